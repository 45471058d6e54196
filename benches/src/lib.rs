//! The protocol under which everything here is measured, and the shared set-up.
//!
//! Release build; the mock in a process of its own; clients built and warmed before the clock
//! starts; CPU time by the process's own nanosecond clock; two contestants taken in turn, ABAB, so
//! that both see the same neighbours; the median of the paired ratios, with its quartiles.
//! `docs/src/measuring.md` says why.

mod bare;
mod figures;
mod mock;
mod process;

pub use bare::{BARE_REQUEST, Bare, BareAnswer, BareBlocking, BareRequest, PROMPT};
pub use figures::{Figure, Output, Spread, Unit};
pub use mock::{Counted, MockProcess, Seen, serve_if_asked};
pub use process::{context_switches, peak_resident, raise_open_files, resident, threads};

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use tokio::runtime::{Builder, Runtime};

/// A runtime of one thread, as cheap as there is: what is measured waits, it does not compute.
///
/// # Panics
/// When the system has no more descriptors.
pub fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built")
}

/// What one run cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// CPU time of this process, all threads, user and system.
    pub cpu: Duration,
    /// Time on the wall.
    pub wall: Duration,
}

/// The slices of a measurement whose ratio is near 1. They take turns with the peer's, since a machine
/// that is shared changes its pace from one second to the next, and so that does the same to both.
pub const SLICES: usize = 20;

/// Puts measurements together, each of [`SLICES`] of them.
pub fn of_slices(slices: &[Cost]) -> Vec<Cost> {
    let measurements = slices.chunks(SLICES);
    measurements.map(|it| it.iter().copied().sum()).collect()
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), |sum, cost| Cost {
            cpu: sum.cpu + cost.cpu,
            wall: sum.wall + cost.wall,
        })
    }
}

/// Measures one run.
pub fn measure(run: impl FnOnce()) -> Cost {
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    run();
    Cost {
        cpu: cpu.elapsed(),
        wall: wall.elapsed(),
    }
}

/// Runs two contestants in turn, `pairs` times, and returns the costs of each, pair by pair.
pub fn in_pairs(pairs: usize, mut ours: impl FnMut(), mut peer: impl FnMut()) -> Vec<(Cost, Cost)> {
    ours();
    peer();
    // Who goes first changes from pair to pair, so that neither always profits from the other's
    // warm caches.
    (0..pairs)
        .map(|pair| {
            if pair % 2 == 0 {
                let ours = measure(&mut ours);
                (ours, measure(&mut peer))
            } else {
                let peer = measure(&mut peer);
                (measure(&mut ours), peer)
            }
        })
        .collect()
}

/// In which order contestants take their turns: another begins in each round, and every second round
/// goes backwards, so that nobody always runs in the caches that the same one has left.
pub fn turns(round: usize, contestants: usize) -> impl Iterator<Item = usize> {
    (0..contestants).map(move |turn| {
        let turn = if round.is_multiple_of(2) {
            turn
        } else {
            contestants - 1 - turn
        };
        (turn + round / 2) % contestants
    })
}

#[cfg(test)]
mod tests {
    use super::turns;

    #[test]
    fn everybody_has_a_turn_in_each_round_and_begins_as_often_as_the_others() {
        let mut began = [0; 4];
        for round in 0..16 {
            let mut order: Vec<_> = turns(round, 4).collect();
            began[order[0]] += 1;
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
        assert_eq!(began, [4; 4]);
    }
}
