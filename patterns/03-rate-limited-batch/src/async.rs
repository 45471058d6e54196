//! A rate-limited batch, awaited. Diff this file with `sync.rs`: only the waiting differs.

use ai_core::{AsyncClient, Error};

use crate::batch::{self, Answer, Batch, Failure, Item};
use crate::limiter_async::Limiter;

/// Processes one prompt when it is its turn.
///
/// Dropping the future gives its place in the queue back, or ends the call.
pub async fn process_single<'a, F: Future<Output = Result<Answer, Error>>>(
    limiter: &Limiter,
    prompt: &'a str,
    call: impl FnOnce(&'a str) -> F,
) -> Item {
    let entered = limiter.now();
    let slot = limiter.enter(batch::most_tokens(prompt)).await;
    let waited = limiter.now() - entered;
    let result = match slot {
        Ok(slot) => {
            let result = call(prompt).await;
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
pub async fn process_batch<'a, F: Future<Output = Result<Answer, Error>>>(
    limiter: &Limiter,
    prompts: &'a [impl AsRef<str>],
    call: impl Fn(&'a str) -> F,
) -> Batch {
    let items = limiter.share_out(prompts.len(), |index| {
        process_single(limiter, prompts[index].as_ref(), &call)
    });
    Batch { items: items.await }
}

/// The call of this lesson: asks for an answer of at most [`MAX_TOKENS`](crate::MAX_TOKENS).
///
/// # Errors
/// Those of the client, and [`Error::Unfinished`] for an answer that is not whole.
pub async fn ask(client: &AsyncClient, prompt: &str) -> Result<Answer, Error> {
    let request = batch::request(client.config(), prompt);
    let reply = client.chat(&request).await?;
    Answer::new(reply, client.config())
}
