//! What the two policies for a slot's end cost and risk, in virtual time, the same each time.
//! `cargo run --example rate-limited-batch-long-answers`

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use demo::fullest_window;
use futures::future::join_all;
use rate_limited_batch::{AsyncLimiter, Feedback, Limits};
use tokio::time::{Instant, sleep};

const PROMPTS: u32 = 600;
const REQUESTS: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// How long an answer takes, and when its head comes if it streams.
const ANSWER: Duration = Duration::from_secs(20);
const HEAD: Duration = Duration::from_millis(500);

/// When the slot of a request expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A window after its answer has come.
    Answer,
    /// A window after its answer has begun to stream.
    Head,
    /// A window and two seconds after it was sent.
    Margin,
}

/// Ten minutes' worth of prompts against a server that counts each request so long after it was
/// sent: the share of the permitted rate, and the most that the server saw in a minute.
pub(crate) fn run(policy: Policy, counted: fn(sent: Duration) -> Duration) -> (f64, usize) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be built");
    runtime.block_on(async {
        let limiter = AsyncLimiter::new(Limits {
            margin: (policy == Policy::Margin).then_some(Duration::from_secs(2)),
            // Enough for a whole window, so that it is not the bottleneck.
            concurrency: NonZeroUsize::new(60).expect("60 is not 0"),
            ..Limits::new(REQUESTS, MINUTE)
        });
        let (start, server) = (Instant::now(), Mutex::new(Vec::new()));
        join_all((0..PROMPTS).map(async |_| {
            let permit = limiter.acquire(0).await.expect("a window holds it");
            let sent = start.elapsed();
            let arrived = sent + counted(sent);
            server.lock().expect("nobody panics").push(arrived);
            // Nothing of an answer comes before its request has arrived.
            let head = counted(sent).max(HEAD);
            sleep(head).await;
            if policy == Policy::Head {
                permit.seen();
            }
            sleep(ANSWER - head).await;
            permit.finish(&Feedback::default());
        }))
        .await;
        // The first window's worth goes at once, the last one when all the others' are over.
        let ideal = MINUTE * (PROMPTS / REQUESTS - 1) + ANSWER;
        let share = ideal.as_secs_f64() / start.elapsed().as_secs_f64();
        let server = server.into_inner().expect("nobody panics");
        (share, fullest_window(server, MINUTE))
    })
}

/// What the margin is made for.
pub(crate) fn quick(_: Duration) -> Duration {
    Duration::from_millis(200)
}

/// For half a minute the way to the server takes longer than the margin.
pub(crate) fn slow_at_first(sent: Duration) -> Duration {
    match sent < Duration::from_secs(30) {
        true => Duration::from_secs(5),
        false => quick(sent),
    }
}

/// The README shows it, and a test compares the two.
pub(crate) fn report() -> String {
    let mut report = format!(
        "{PROMPTS} requests, {REQUESTS} in any {MINUTE:?}, answers of {ANSWER:?}\n\n\
         a slot expires one window after    share of the rate   most in a window, if counted\n\
         {:54} after 0.2s   at first after 5s\n",
        ""
    );
    for (policy, name) in [
        (Policy::Answer, "its answer has come"),
        (Policy::Head, "its answer has begun (a stream)"),
        (Policy::Margin, "its sending, and 2 s (margin)"),
    ] {
        let (share, quick) = run(policy, quick);
        let (_, slow) = run(policy, slow_at_first);
        let share = share * 100.0;
        report += &format!("{name:<35}{share:>15.1} %   {quick:>11}   {slow:>17}\n");
    }
    report
}

fn main() {
    print!("{}", report());
}
