//! A rate-limited batch, awaited. Diff this file with `sync.rs`: only the waiting differs.

use std::panic::AssertUnwindSafe;

use ai_core::AsyncClient;
use futures::FutureExt;

use crate::batch::{self, Batch, Ended, Failure, Item};
use crate::limiter_async::Limiter;

/// Processes one prompt when it is its turn.
///
/// A call that panics is a failure of its prompt alone. Dropping the future gives up its place in
/// the queue, or ends the call.
pub async fn process_single<'a, F: Future<Output = Ended>>(
    limiter: &Limiter,
    prompt: &'a str,
    call: impl FnOnce(&'a str) -> F,
) -> Item {
    let entered = limiter.now();
    let permit = limiter.acquire(batch::most_tokens(prompt)).await;
    let waited = limiter.now() - entered;
    let result = match permit {
        Ok(permit) => {
            // Only the limiter lives on after a panic, and it holds no half-made state.
            let call = async { call(prompt).await };
            let ended = AssertUnwindSafe(call).catch_unwind().await;
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
pub async fn process_batch<'a, F: Future<Output = Ended>>(
    limiter: &Limiter,
    prompts: &'a [impl AsRef<str>],
    call: impl Fn(&'a str) -> F,
) -> Batch {
    let items = limiter.share_out(prompts.len(), |index| {
        process_single(limiter, prompts[index].as_ref(), &call)
    });
    Batch { items: items.await }
}

/// The call of this lesson: asks for an answer of at most [`MAX_TOKENS`](crate::MAX_TOKENS). An answer
/// that is not whole is an [`Error::Unfinished`](ai_core::Error::Unfinished).
pub async fn ask(client: &AsyncClient, prompt: &str) -> Ended {
    let request = batch::request(client.config(), prompt);
    let result = client.chat(&request).await;
    Ended::new(result, client.config().finish_policy)
}
