//! A rate-limited batch, blocking. Diff this file with `async.rs`: only the waiting differs.

use ai_core::{Clock, Error, SyncClient};

use crate::batch::{self, Answer, Batch, Failure, Item};
use crate::limiter_sync::Limiter;

/// Processes one prompt when it is its turn.
pub fn process_single(
    limiter: &Limiter<impl Clock>,
    prompt: &str,
    call: impl FnOnce(&str) -> Result<Answer, Error>,
) -> Item {
    let entered = limiter.now();
    let slot = limiter.enter(batch::most_tokens(prompt));
    let waited = limiter.now() - entered;
    let result = match slot {
        Ok(slot) => {
            let result = call(prompt);
            // The call returns after the last byte, which is later than the first evidence. The
            // slot lives a little longer than it must: safe, and it costs no more than the body.
            slot.finish(&batch::feedback(&result));
            result.map(|answer| answer.text).map_err(Failure::Call)
        }
        Err(error) => Err(Failure::NoSlot(error)),
    };
    Item {
        prompt: prompt.to_owned(),
        result,
        waited,
        called: limiter.now() - entered - waited,
    }
}

/// Processes all prompts, and returns the items in their order.
///
/// # Panics
/// When `call` does, after the other threads have done what they can.
pub fn process_batch(
    limiter: &Limiter<impl Clock>,
    prompts: &[impl AsRef<str> + Sync],
    call: impl Fn(&str) -> Result<Answer, Error> + Sync,
) -> Batch {
    let items = limiter.share_out(prompts.len(), |index| {
        process_single(limiter, prompts[index].as_ref(), &call)
    });
    Batch { items }
}

/// The call of this lesson: asks for an answer of at most [`MAX_TOKENS`](crate::MAX_TOKENS).
///
/// # Errors
/// Those of the client, and [`Error::Unfinished`] for an answer that is not whole.
pub fn ask(client: &SyncClient, prompt: &str) -> Result<Answer, Error> {
    let request = batch::request(client.config(), prompt);
    let reply = client.chat(&request)?;
    Answer::new(reply, client.config())
}
