//! Pattern 3's limiter beside governor's, in one run: 4,000 tasks that wait for their turn, one
//! each millisecond; and how many each lets through in the first minute at 60 a minute. From this
//! folder: `cargo run --release --bin limiter`

use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use benches::{Cost, Figure, Output, Unit};
use clap::Parser;
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use rate_limited_batch::{Admission, AsyncLimiter, Feedback, Limits, Window};
use tokio::runtime::Runtime;

const WAITERS: usize = 4000;
const A_SECOND: NonZeroU32 = NonZeroU32::new(1000).expect("1000 is not 0");

/// Pattern 3's limiter beside governor's: 4,000 waiters, one let through each millisecond
#[derive(Parser)]
struct Arguments {
    /// Fail where ours takes 4.1 s or more, or more than a tenth of governor's CPU time
    #[arg(long)]
    check: bool,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { check, json } = Arguments::parse();
    let mut output = Output::new(json);
    output.title(format_args!("{WAITERS} waiters at {A_SECOND} a second"));
    let limits = Limits {
        // Not the bottleneck: all may be under way at one time.
        concurrency: NonZeroUsize::new(WAITERS).expect("4000 is not 0"),
        paced: true,
        ..Limits::new(A_SECOND.get(), Duration::from_secs(1))
    };
    let ours = Arc::new(AsyncLimiter::new(limits));
    let ours = measure(&mut output, "ours", || {
        let limiter = ours.clone();
        async move { drop(limiter.acquire(0).await.expect("a window holds it")) }
    });
    // A burst of one, as ours: with governor's default a second's worth would go at once.
    let quota = Quota::per_second(A_SECOND).allow_burst(NonZeroU32::MIN);
    let peer = Arc::new(RateLimiter::direct(quota));
    let peer = measure(&mut output, "governor", || {
        let limiter = peer.clone();
        async move { limiter.until_ready().await }
    });
    let share = ours.cpu.as_secs_f64() / peer.cpu.as_secs_f64();
    let figure =
        |name: &str, unit, value| Figure::one(format!("peers/limiter/{name}"), unit, value);
    output.row(&[figure("governor/cpu-ratio", Unit::Ratio, share)]);
    output.title("let through in the first minute, at 60 a minute");
    let (window, gcra) = first_minute();
    output.row(&[figure("ours/first-minute", Unit::Count, window as f64)]);
    output.row(&[figure("governor/first-minute", Unit::Count, gcra as f64)]);
    if check && (ours.wall >= Duration::from_millis(4100) || share > 0.1) {
        eprintln!("error: ours is to take less than 4.1 s, and at most 0.1 of the CPU time");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// How many go in the first minute, by our window and by governor's default, when as many ask as
/// want to. No time passes in it.
fn first_minute() -> (usize, usize) {
    const MINUTE: Duration = Duration::from_secs(60);
    const TICK: Duration = Duration::from_millis(1);
    let mut window = Window::new(Limits::new(60, MINUTE));
    let clock = FakeRelativeClock::default();
    let quota = Quota::per_minute(NonZeroU32::new(60).expect("60 is not 0"));
    let governor = RateLimiter::direct_with_clock(quota, clock.clone());
    let (mut ours, mut peer, mut now) = (0, 0, Duration::ZERO);
    let mut head = window.enter(0).expect("a window holds it");
    while now < MINUTE {
        while window.poll(head, now) == Admission::Go {
            // It is answered at once.
            window.finished(head, &Feedback::default(), now);
            head = window.enter(0).expect("a window holds it");
            ours += 1;
        }
        while governor.check().is_ok() {
            peer += 1;
        }
        now += TICK;
        clock.advance(TICK);
    }
    (ours, peer)
}

/// Runs all who wait to their end, in a runtime of their own.
fn measure<F: Future<Output = ()> + Send + 'static>(
    output: &mut Output,
    name: &str,
    wait: impl Fn() -> F,
) -> Cost {
    let runtime = Runtime::new().expect("a runtime can be built");
    let cost = benches::measure(|| {
        let tasks: Vec<_> = (0..WAITERS).map(|_| runtime.spawn(wait())).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("nobody panics");
            }
        });
    });
    let figure =
        |what: &str, unit, value| Figure::one(format!("peers/limiter/{name}/{what}"), unit, value);
    let cpu = cost.cpu.as_secs_f64();
    output.row(&[
        figure("wall", Unit::S, cost.wall.as_secs_f64()),
        figure("cpu", Unit::S, cpu),
        figure("cpu-a-grant", Unit::Us, cpu * 1e6 / WAITERS as f64),
    ]);
    cost
}
