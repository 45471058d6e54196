//! The rate limit as a true sliding window: never more than N requests and T tokens in any window.
//!
//! The window is a pure decision: the time comes in as an argument. A token bucket, the usual
//! choice, lets up to twice the quota through in the first window (its burst and its refill).

use std::collections::VecDeque;
use std::time::Duration;

/// What is allowed in any span of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests in a window; `None` means any number.
    pub requests: Option<u32>,
    /// Tokens in a window, those of the prompt and those asked for; `None` means any number.
    pub tokens: Option<u32>,
    /// The length of the window.
    pub window: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            requests: None,
            tokens: None,
            window: Duration::from_secs(60),
        }
    }
}

/// Which of the two budgets a number is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    Requests,
    Tokens,
}

/// What is left of one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Time until the whole limit is free again.
    pub(crate) reset: Duration,
}

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) budget: Budget,
    /// The earliest moment at which this request would be let in if no other came; `None` if it never fits.
    pub(crate) retry_after: Option<Duration>,
}

/// The requests let in during the last window, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    taken: VecDeque<(Duration, u32)>,
}

impl Window {
    /// Lets a request in and counts it, or says when to come back. `now` must not go backwards.
    pub(crate) fn take(&mut self, quota: Quota, now: Duration, tokens: u32) -> Result<(), Refusal> {
        self.forget(quota, now);
        let by_requests = self.free_at(quota, quota.requests, 1, |_| 1);
        let by_tokens = self.free_at(quota, quota.tokens, tokens, |tokens| tokens);
        let refuse = |budget, at: Option<Duration>| {
            Err(Refusal {
                budget,
                retry_after: at.map(|at| at.saturating_sub(now)),
            })
        };
        match (by_requests, by_tokens) {
            (None, _) => return refuse(Budget::Requests, None),
            (_, None) => return refuse(Budget::Tokens, None),
            (Some(requests), Some(tokens)) if requests.max(tokens) > now => {
                let budget = if requests >= tokens {
                    Budget::Requests
                } else {
                    Budget::Tokens
                };
                return refuse(budget, Some(requests.max(tokens)));
            }
            _ => {}
        }
        self.taken.push_back((now, tokens));
        Ok(())
    }

    /// What is left of a budget, or `None` if it has no limit.
    pub(crate) fn left(&mut self, quota: Quota, now: Duration, budget: Budget) -> Option<Left> {
        self.forget(quota, now);
        let (limit, used) = match budget {
            Budget::Requests => (quota.requests?, self.taken.len() as u64),
            Budget::Tokens => (
                quota.tokens?,
                self.taken
                    .iter()
                    .map(|(_, tokens)| u64::from(*tokens))
                    .sum(),
            ),
        };
        let remaining = u32::try_from(u64::from(limit).saturating_sub(used)).unwrap_or(limit);
        let reset = self.taken.back().map_or(Duration::ZERO, |(at, _)| {
            (*at + quota.window).saturating_sub(now)
        });
        Some(Left {
            limit,
            remaining,
            reset,
        })
    }

    fn forget(&mut self, quota: Quota, now: Duration) {
        while self
            .taken
            .front()
            .is_some_and(|(at, _)| *at + quota.window <= now)
        {
            self.taken.pop_front();
        }
    }

    /// When `want` more fit below the limit: zero for now, `None` for never.
    fn free_at(
        &self,
        quota: Quota,
        limit: Option<u32>,
        want: u32,
        cost: fn(u32) -> u32,
    ) -> Option<Duration> {
        let Some(limit) = limit else {
            return Some(Duration::ZERO);
        };
        let mut room = u64::from(limit).checked_sub(u64::from(want))?;
        // From the newest back: the first that no longer fits beside the request has to expire.
        for (at, tokens) in self.taken.iter().rev() {
            match room.checked_sub(u64::from(cost(*tokens))) {
                Some(rest) => room = rest,
                None => return Some(*at + quota.window),
            }
        }
        Some(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_refused_request_fits_exactly_when_it_is_told_to_come_back() {
        let quota = Quota {
            requests: Some(2),
            tokens: None,
            window: ms(1000),
        };
        let mut window = Window::default();
        assert_eq!(window.take(quota, ms(0), 5), Ok(()));
        assert_eq!(window.take(quota, ms(400), 5), Ok(()));
        assert_eq!(
            window.take(quota, ms(500), 5),
            Err(Refusal {
                budget: Budget::Requests,
                retry_after: Some(ms(500))
            })
        );
        assert!(window.take(quota, ms(999), 5).is_err());
        assert_eq!(window.take(quota, ms(1000), 5), Ok(()));
        let left = window.left(quota, ms(1000), Budget::Requests);
        assert_eq!(
            left,
            Some(Left {
                limit: 2,
                remaining: 0,
                reset: ms(1000)
            })
        );
        assert_eq!(window.left(quota, ms(1000), Budget::Tokens), None);
    }

    #[test]
    fn a_request_larger_than_the_quota_is_told_that_it_never_fits() {
        let quota = Quota {
            requests: None,
            tokens: Some(100),
            window: ms(1000),
        };
        let refused = Window::default().take(quota, ms(0), 101);
        assert_eq!(
            refused,
            Err(Refusal {
                budget: Budget::Tokens,
                retry_after: None
            })
        );
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_quota(
            arrivals in prop::collection::vec((0u64..300, 1u32..60), 1..200),
            requests in 1u32..12,
            tokens in 60u32..200,
        ) {
            let quota = Quota { requests: Some(requests), tokens: Some(tokens), window: ms(1000) };
            let mut window = Window::default();
            let mut accepted = Vec::new();
            let mut now = Duration::ZERO;
            for (gap, cost) in arrivals {
                now += ms(gap);
                match window.take(quota, now, cost) {
                    Ok(()) => accepted.push((now, cost)),
                    Err(refusal) => {
                        // Honest both ways: a millisecond early is refused again, at the time itself it is let in.
                        let at = now + refusal.retry_after.expect("every request here fits an empty window");
                        prop_assert!(at > now);
                        let copy = || Window { taken: window.taken.clone() };
                        prop_assert!(copy().take(quota, at.saturating_sub(ms(1)).max(now), cost).is_err());
                        prop_assert!(copy().take(quota, at, cost).is_ok());
                    }
                }
            }
            for (start, _) in &accepted {
                let inside = || accepted.iter().filter(|(at, _)| at >= start && *at < *start + quota.window);
                prop_assert!(inside().count() <= requests as usize);
                prop_assert!(inside().map(|(_, cost)| cost).sum::<u32>() <= tokens);
            }
        }
    }
}
