//! The guide's `SyncAIClient`, as written: a faithful port with its flaws kept.
//! `cargo run --example single-request-as-written`
//!
//! A new connection for every call, an error without the server's reason, a cut text that looks whole.

use std::error::Error;
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::{Value, json};

/// The guide's base URL is fixed; ours must reach the mock.
pub(crate) struct SyncAIClient {
    pub(crate) api_key: String,
    pub(crate) base_url: String,
}

impl SyncAIClient {
    pub(crate) fn generate_text(&self, prompt: &str) -> Result<String, Box<dyn Error>> {
        let payload = json!({
            "model": "gpt-3.5-turbo",
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.7
        });
        // `requests.post` is a session of its own, and so a connection of its own.
        let response = Client::builder()
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()?
            .post(format!("{}/chat/completions", self.base_url))
            .bearer_auth(&self.api_key)
            .json(&payload)
            .send()?
            // `raise_for_status`: the body, which says why, is thrown away.
            .error_for_status()?;
        let data: Value = response.json()?;
        Ok(data["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    ai_core::install_tls_provider();
    let mock = ai_mock::Mock::builder().api_key("sk-right").start()?;
    let ask = |key: &str| {
        let (api_key, base_url) = (key.to_owned(), mock.base_url());
        SyncAIClient { api_key, base_url }.generate_text("Tell me a story")
    };
    (0..20).try_for_each(|_| ask("sk-right").map(drop))?;
    println!("20 calls, {} connections", mock.stats().connections);
    let error = ask("sk-wrong").expect_err("the key is wrong");
    println!("a wrong key says only: {error}");
    mock.set(|settings| settings.script = ai_mock::Script::Length);
    println!("cut at the limit: {:?}", ask("sk-right")?);
    Ok(())
}
