//! Retry, awaited. Diff this file with `sync.rs`: only the waiting differs.

use ai_core::{AsyncClient, CallOptions, Error};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, info_span};

use crate::backoff::{Next, Policy, Retryable};
use crate::report::{Answer, Failed, in_known_terms, with_reason};

/// Calls `op` until it succeeds or the policy gives up. Dropping the future ends the attempt or the
/// pause that it is in.
///
/// `op` is `FnMut() -> Fut` and not `AsyncFnMut`: the future of one that borrows can't be spawned.
///
/// # Errors
/// The last one of `op`.
pub async fn retry<T, E: Retryable, Fut: Future<Output = Result<T, E>>>(
    policy: &Policy,
    op: impl FnMut() -> Fut,
) -> Result<T, E> {
    retry_with(policy, rand::random, |_| {}, op).await
}

/// As [`retry`], with chance from elsewhere, and `notify` told of each failed attempt before its
/// pause. Time is tokio's, which tests can pause.
///
/// # Errors
/// The last one of `op`.
pub async fn retry_with<T, E: Retryable, Fut: Future<Output = Result<T, E>>>(
    policy: &Policy,
    mut random: impl FnMut() -> f64,
    mut notify: impl FnMut(&Failed<'_, E>),
    mut op: impl FnMut() -> Fut,
) -> Result<T, E> {
    let operation = info_span!("retry");
    let started = Instant::now();
    let mut attempts = policy.start(started.elapsed());
    loop {
        let attempt = attempts.number();
        let span = info_span!(parent: &operation, "attempt", number = attempt);
        let error = match op().instrument(span).await {
            Ok(value) => {
                attempts.succeeded();
                return Ok(value);
            }
            Err(error) => error,
        };
        // The policy decides and we wait, so the twins cannot disagree on what is worth another try.
        let next = attempts.after(&error, started.elapsed(), random());
        let cause = &error;
        notify(&Failed {
            attempt,
            cause,
            next,
        });
        match next {
            Next::Wait(pause) => sleep(pause).await,
            Next::GiveUp(_) => return Err(error),
        }
    }
}

/// Asks the default model one thing, as often as the policy allows.
///
/// All attempts carry one idempotency key, and none runs past the policy's deadline. Where the client
/// has a limit on the whole of a call, the shorter of the two holds.
///
/// # Errors
/// The last one of [`AsyncClient::generate_text`]. If an attempt has used up what was left of the deadline,
/// it names the deadline.
pub async fn generate_text(
    client: &AsyncClient,
    policy: &Policy,
    prompt: &str,
    mut notify: impl FnMut(&Failed<'_, Error>),
) -> Result<Answer, Error> {
    // One key for the operation and not one an attempt: by it a server that knows the header sees
    // that it has done this already.
    let key = format!("{:032x}", rand::random::<u128>());
    let options = CallOptions::new().idempotency_key(key);
    let own = client.timeouts().total;
    let started = Instant::now();
    let mut attempts = 0;
    let op = || {
        attempts += 1;
        let mut options = options.clone();
        if let Some(limit) = policy.deadline {
            let left = limit.saturating_sub(started.elapsed());
            options = options.total(own.map_or(left, |own| own.min(left)));
        }
        async move {
            let result = client.with(options)?.generate_text(prompt).await;
            result.map_err(|error| in_known_terms(error, policy.deadline, own))
        }
    };
    let notify = |failed: &Failed<'_, Error>| notify(&with_reason(failed, policy.deadline));
    let text = retry_with(policy, rand::random, notify, op).await?;
    Ok(Answer { text, attempts })
}
