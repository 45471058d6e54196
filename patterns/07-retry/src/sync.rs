//! Retry, blocking. Diff this file with `async.rs`: only the waiting differs.

use std::time::Instant;

use ai_core::{CallOptions, Clock, Error, SyncClient, SystemClock};
use tracing::info_span;

use crate::backoff::{Next, Policy, Retryable};
use crate::report::{Answer, Failed, in_known_terms, with_reason};

/// Calls `op` until it succeeds or the policy gives up.
///
/// # Errors
/// The last one of `op`.
pub fn retry<T, E: Retryable>(policy: &Policy, op: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    retry_with(policy, &SystemClock::new(), rand::random, |_| {}, op)
}

/// As [`retry`], with time and chance from elsewhere, and `notify` told of each failed attempt
/// before its pause.
///
/// # Errors
/// The last one of `op`.
pub fn retry_with<T, E: Retryable>(
    policy: &Policy,
    clock: &impl Clock,
    mut random: impl FnMut() -> f64,
    mut notify: impl FnMut(&Failed<'_, E>),
    mut op: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let operation = info_span!("retry");
    let mut attempts = policy.start(clock.now());
    loop {
        let attempt = attempts.number();
        let span = info_span!(parent: &operation, "attempt", number = attempt);
        let error = match span.in_scope(&mut op) {
            Ok(value) => {
                attempts.succeeded();
                return Ok(value);
            }
            Err(error) => error,
        };
        // The policy decides and we wait, so the twins cannot disagree on what is worth another try.
        let next = attempts.after(&error, clock.now(), random());
        let cause = &error;
        notify(&Failed {
            attempt,
            cause,
            next,
        });
        match next {
            Next::Wait(pause) => clock.sleep(pause),
            Next::GiveUp(_) => return Err(error),
        }
    }
}

/// Asks the default model one thing, as often as the policy allows.
///
/// All attempts carry one idempotency key, and none runs past the policy's deadline, as far as
/// [`Timeouts::total`](ai_core::Timeouts::total) can be kept by a client that blocks. Where the client
/// has a limit on the whole of a call, the shorter of the two holds.
///
/// # Errors
/// The last one of [`SyncClient::generate_text`]. If an attempt has used up what was left of the deadline,
/// it names the deadline.
pub fn generate_text(
    client: &SyncClient,
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
        let result = client.with(options)?.generate_text(prompt);
        result.map_err(|error| in_known_terms(error, policy.deadline, own))
    };
    let notify = |failed: &Failed<'_, Error>| notify(&with_reason(failed, policy.deadline));
    let text = retry_with(policy, &SystemClock::new(), rand::random, notify, op)?;
    Ok(Answer { text, attempts })
}
