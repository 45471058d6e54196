//! The solution of 90.02: every call is waited for, and every answer is saved.

use std::collections::BTreeMap;

use ai_core::{AsyncClient, Error};
use futures::future::join_all;

/// Asks all prompts at once and saves the answers.
///
/// # Errors
/// The first one, by the order of the prompts.
pub async fn run(
    client: &AsyncClient,
    prompts: &[&str],
    archive: &mut Archive,
) -> Result<(), Error> {
    let calls = prompts.iter().map(|prompt| client.generate_text(prompt));
    let mut outcome = Ok(());
    // Not `try_join_all`: at the first error it drops the calls under way, and the answers that have
    // come, which are paid for.
    for (prompt, result) in prompts.iter().zip(join_all(calls).await) {
        match result {
            Ok(answer) => archive.save(prompt, answer),
            // It is told, but after the others' answers are safe. The first one stays.
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome
}

/// What was saved, by its prompt.
#[derive(Debug, Default)]
pub struct Archive(BTreeMap<String, String>);

impl Archive {
    /// Saves an answer.
    pub fn save(&mut self, prompt: &str, answer: String) {
        self.0.insert(prompt.to_owned(), answer);
    }

    /// How many are saved.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
