//! A key that is not set is sent as if it were one, and the server's 401 says nothing of the variable.
//! `unwrap_or_default` has it, and the guide's `os.getenv`, which sends "Bearer None". Stop before you
//! send anything.

use std::error::Error;

use ai_core::install_tls_provider;
use ai_mock::Mock;

use crate::Both;
use crate::support::start;

type Lookup = fn(&str) -> Option<String>;

// ANCHOR: wrong
/// The server is asked, and says that the key is wrong.
pub fn wrong(base_url: &str, variable: Lookup) -> Result<u16, Box<dyn Error>> {
    let key = variable("OPENAI_API_KEY").unwrap_or_default();
    let client = reqwest::blocking::Client::builder().no_proxy().build()?;
    let request = client.get(format!("{base_url}/models")).bearer_auth(key);
    Ok(request.send()?.error_for_status()?.status().as_u16())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Nobody is asked, and the error names the variable.
pub fn right(base_url: &str, variable: Lookup) -> Result<u16, Box<dyn Error>> {
    let key = variable("OPENAI_API_KEY").ok_or("OPENAI_API_KEY is not set")?;
    let client = reqwest::blocking::Client::builder().no_proxy().build()?;
    let request = client.get(format!("{base_url}/models")).bearer_auth(key);
    Ok(request.send()?.error_for_status()?.status().as_u16())
}
// ANCHOR_END: right

/// What the user reads, and how many requests it took.
fn told(half: impl Fn(&str, Lookup) -> Result<u16, Box<dyn Error>>) -> (String, u64) {
    install_tls_provider();
    let mock = start(Mock::builder());
    let error = half(&mock.base_url(), |_| None).expect_err("there is no key");
    // Of reqwest's words not the URL, which has another port each time.
    let words = error.to_string();
    let words = words.split(" for url").next().unwrap_or_default();
    (words.to_owned(), mock.stats().requests)
}

pub(crate) fn both() -> Both {
    let tell = |(words, requests): &(String, u64)| format!("requests sent: {requests}; {words}");
    Both::of(
        told(wrong),
        told(right),
        |(_, requests)| *requests == 0,
        tell,
    )
}
