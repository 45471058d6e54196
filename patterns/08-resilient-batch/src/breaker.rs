//! Whether to go on asking what keeps failing: pure, and shared by both versions.

use std::time::Duration;

use crate::breakers::Rules;

/// A circuit breaker: it lets calls through until too many of the last ones failed, then none for a
/// while, then one, by which it sees whether to let all through again.
///
/// It counts over the last calls and not in a row: a service that fails nine times of ten is down,
/// and hardly ever fails ten times in a row. And over calls and not over a time: so a slow service,
/// or a slow caller, is judged by as many calls as a fast one.
#[derive(Debug)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// How often the state has changed. What was asked before a change has no say after it.
    era: u64,
}

#[derive(Debug)]
enum State {
    /// All calls may go. Each bit is one of the last calls, the lowest the latest; 1 is a failure.
    Closed { history: u64 },
    /// No call may go before this time.
    Open { until: Duration },
    /// One call, the probe, is under way, and all others wait for what becomes of it.
    HalfOpen,
}

impl Breaker {
    /// Asks whether a call may go. After [`Ask::Go`] the breaker must be told how it
    /// [`ended`](Self::ended), also if it was never made.
    pub fn ask(&mut self, now: Duration) -> Ask {
        match self.state {
            State::Closed { .. } => Ask::Go(Pass(self.era)),
            State::Open { until } if now < until => Ask::WaitUntil(until),
            State::Open { .. } => {
                self.change(State::HalfOpen);
                Ask::Go(Pass(self.era))
            }
            State::HalfOpen => Ask::Wait,
        }
    }

    /// Says how a call ended. Returns whether that changed the breaker: if so, all callers that wait
    /// must ask again.
    pub fn ended(&mut self, pass: Pass, outcome: Outcome, now: Duration) -> bool {
        if !self.holds(pass) {
            return false;
        }
        // `Duration::MAX` is a spelling of "for ever", and no time can be added to it.
        let open = |time| State::Open {
            until: now.saturating_add(time),
        };
        let next = match (&mut self.state, outcome) {
            (State::Closed { .. }, Outcome::Neutral) => return false,
            (State::Closed { history }, outcome) => {
                let last = (1_u64 << self.rules.of_the_last) - 1;
                *history = (*history << 1 | u64::from(outcome == Outcome::Failed)) & last;
                if history.count_ones() < self.rules.failures {
                    return false;
                }
                open(self.rules.cool_down)
            }
            (_, Outcome::Answered) => State::Closed { history: 0 },
            (_, Outcome::Failed) => open(self.rules.cool_down),
            // The call says nothing about the service, so the next one may try, and now.
            (_, Outcome::Neutral) => open(Duration::ZERO),
        };
        self.change(next);
        true
    }

    /// Whether a pass still lets its holder through: the breaker may have changed while the holder
    /// waited for something else.
    pub fn holds(&self, pass: Pass) -> bool {
        pass.0 == self.era
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

/// What the breaker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Go. Alone, if the service was down: then this is the probe.
    Go(Pass),
    /// Ask again at this time.
    WaitUntil(Duration),
    /// Ask again when the breaker has changed: a probe is under way.
    Wait,
}

/// The right to make one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass(u64);

/// What a call tells about the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Answered,
    /// It does not.
    Failed,
    /// Nothing: the call was refused for its own sake, or was not made.
    Neutral,
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    pub fn new(rules: Rules) -> Breaker {
        Breaker {
            rules: Rules {
                failures: rules.failures.max(1),
                of_the_last: rules.of_the_last.clamp(1, 63),
                ..rules
            },
            state: State::Closed { history: 0 },
            era: 0,
        }
    }
}
