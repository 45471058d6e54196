//! The guide's `SyncStreamingAIClient`, as written: a faithful port with its flaws kept.
//! `cargo run --example streaming-as-written`
//! The status is not looked at, the end not looked for, `data:` without a space not understood.

use std::error::Error;
use std::io::{BufRead, BufReader};

use reqwest::blocking::Client;
use serde_json::{Value, json};

/// The guide's class. (Its base URL is fixed; ours must be able to reach the mock.)
pub(crate) struct SyncStreamingAIClient(pub(crate) String);

impl SyncStreamingAIClient {
    /// What the generator yields goes to `each`, and what it raises is the error.
    pub(crate) fn generate_stream(
        &self,
        prompt: &str,
        mut each: impl FnMut(&str),
    ) -> Result<(), Box<dyn Error>> {
        let messages = json!([{"role": "user", "content": prompt}]);
        let client = Client::builder().timeout(None).no_proxy().build()?;
        let response = client
            .post(format!("{}/chat/completions", self.0))
            .bearer_auth("sk-any")
            .json(&json!({"model": "gpt-3.5-turbo", "messages": messages, "stream": true}))
            .send()?;
        for line in BufReader::new(response).lines() {
            let line = line?;
            // What is no JSON is passed over: [DONE], where it could stop, and half an event.
            let data = line
                .strip_prefix("data: ")
                .map(serde_json::from_str::<Value>);
            let Some(Ok(chunk)) = data else { continue };
            let choices = chunk.get("choices").ok_or("KeyError: 'choices'")?;
            let choice = choices
                .get(0)
                .ok_or("IndexError: list index out of range")?;
            if let Some(content) = choice["delta"].get("content") {
                each(content.as_str().unwrap_or("None"));
            }
        }
        Ok(())
    }
}

#[cfg_attr(test, allow(dead_code))]
fn main() -> Result<(), Box<dyn Error>> {
    ai_core::install_tls_provider();
    let mock = ai_mock::Mock::start()?;
    let guide = SyncStreamingAIClient(mock.base_url());
    for name in "normal unauthorized truncated no-space error-mid-stream".split(' ') {
        let script = name.parse()?;
        mock.set(|settings| settings.script = script);
        let mut text = String::new();
        let result = guide.generate_stream("Write a short story", |piece| text += piece);
        println!("{name:17}{:3} characters, {result:?}", text.len());
    }
    Ok(())
}
