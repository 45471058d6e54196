//! A rate-limited batch, blocking. Diff this file with `async.rs`: only the waiting differs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ai_core::{Clock, SyncClient};

use crate::batch::{self, Batch, Ended, Failure, Item};
use crate::limiter_sync::Limiter;

/// Processes one prompt when it is its turn.
///
/// A call that panics is a failure of its prompt alone.
pub fn process_single(
    limiter: &Limiter<impl Clock>,
    prompt: &str,
    call: impl FnOnce(&str) -> Ended,
) -> Item {
    let entered = limiter.now();
    let permit = limiter.acquire(batch::most_tokens(prompt));
    let waited = limiter.now() - entered;
    let result = match permit {
        Ok(permit) => {
            // Only the limiter lives on after a panic, and it holds no half-made state.
            let call = || call(prompt);
            let ended = catch_unwind(AssertUnwindSafe(call));
            let (result, feedback) = batch::sort_out(ended);
            // The call returns after the last byte, which is later than the first evidence. The
            // slot lives a little longer than it must: safe, and it costs no more than the body.
            permit.finish(&feedback);
            result
        }
        Err(error) => Err(Failure::Acquire(error)),
    };
    Item {
        prompt: prompt.to_owned(),
        result,
        waited,
        called: limiter.now() - entered - waited,
    }
}

/// Processes all prompts, and returns the items in their order.
pub fn process_batch(
    limiter: &Limiter<impl Clock>,
    prompts: &[impl AsRef<str> + Sync],
    call: impl Fn(&str) -> Ended + Sync,
) -> Batch {
    let items = limiter.share_out(prompts.len(), |index| {
        process_single(limiter, prompts[index].as_ref(), &call)
    });
    Batch { items }
}

/// The call of this lesson: asks for an answer of at most [`MAX_TOKENS`](crate::MAX_TOKENS). An answer
/// that is not whole is an [`Error::Unfinished`](ai_core::Error::Unfinished).
pub fn ask(client: &SyncClient, prompt: &str) -> Ended {
    let request = batch::request(client.config(), prompt);
    let result = client.chat(&request);
    Ended::new(result, client.config().finish_policy)
}
