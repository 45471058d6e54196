//! What must hold: the names of the tests say it, their messages say where to look.

use std::sync::Arc;
use std::time::Duration;

use ai_core::{Error, Phase};
use ex_07_02::{Budget, Next, Policy, Reason, Retryable};
use http::{HeaderMap, HeaderValue};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a server answered, with or without a Retry-After.
fn refused(status: u16, retry_after: Option<&'static str>, body: &str) -> Error {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", HeaderValue::from_static(seconds));
    }
    Error::from_response(status, &headers, body.as_bytes())
}

fn overloaded() -> Error {
    refused(503, None, "")
}

/// A call that was sent and never answered: it may have been paid for.
fn silent() -> Error {
    Error::Silent {
        phase: Phase::Head,
        limit: s(30),
    }
}

/// What follows the first attempt, which took 2 s and did not begin at 0. Chance takes nothing off the
/// pause.
fn after_first(policy: &Policy, error: &impl Retryable) -> Next {
    policy.start(s(100)).after(error, s(102), 1.0)
}

#[test]
fn what_would_fail_again_is_not_tried_again() {
    let no_money = r#"{"error":{"message":"no money","code":"insufficient_quota"}}"#;
    for (what, error) in [
        ("a wrong key", refused(401, None, "")),
        ("a mistake in the request", refused(400, None, "")),
        (
            "an account without money",
            refused(429, Some("1"), no_money),
        ),
        ("an answer that was cut", Error::Truncated),
    ] {
        let next = after_first(&Policy::default(), &error);
        assert_eq!(
            next,
            Next::GiveUp(Reason::Permanent),
            "{what}: ask the error"
        );
    }
}

#[test]
fn what_may_pass_is_tried_again_after_the_pause_of_the_schedule() {
    for error in [overloaded(), silent(), Error::Connect("refused".to_owned())] {
        assert_eq!(
            after_first(&Policy::default(), &error),
            Next::Wait(s(1)),
            "{error}"
        );
    }
}

#[test]
fn each_pause_is_that_of_its_attempt() {
    let policy = Policy {
        max_attempts: 4,
        ..Policy::default()
    };
    let mut attempts = policy.start(s(0));
    let pauses = [1, 2, 3].map(|now| attempts.after(&overloaded(), s(now), 1.0));
    assert_eq!(
        pauses,
        [s(1), s(2), s(4)].map(Next::Wait),
        "after a `Wait` it is the next attempt: count it"
    );
    assert_eq!(attempts.number(), 4);
}

#[test]
fn three_attempts_are_three_and_not_four() {
    let policy = Policy::default();
    let mut attempts = policy.start(s(0));
    let next = [1, 2, 3].map(|now| attempts.after(&overloaded(), s(now), 0.0));
    assert_eq!(
        next[2],
        Next::GiveUp(Reason::NoAttemptsLeft),
        "max_attempts counts the first one, too"
    );
}

#[test]
fn the_server_knows_better_than_the_schedule_when_to_come_back() {
    let error = refused(429, Some("7"), "");
    assert_eq!(
        after_first(&Policy::default(), &error),
        Next::Wait(s(7)),
        "who comes after 1 s is refused again, and it may count against the limit"
    );
}

#[test]
fn a_short_retry_after_does_not_shorten_the_schedule() {
    for wish in ["0", "0.2"] {
        let next = after_first(&Policy::default(), &refused(429, Some(wish), ""));
        assert_eq!(
            next,
            Next::Wait(s(1)),
            "it asks for {wish} s: the longer of the two counts"
        );
    }
}

#[test]
fn a_long_retry_after_does_not_lengthen_the_schedule() {
    let policy = Policy::default();
    let mut attempts = policy.start(s(0));
    let next = attempts.after(&refused(429, Some("7"), ""), s(1), 1.0);
    assert_eq!(next, Next::Wait(s(7)));
    assert_eq!(
        attempts.previous(),
        s(1),
        "`previous` is the last pause of the schedule, whatever the server has asked for"
    );
}

#[test]
fn a_server_that_asks_for_as_long_as_the_cap_is_asked_again() {
    let error = refused(429, Some("120"), "");
    assert_eq!(
        after_first(&Policy::default(), &error),
        Next::Wait(s(120)),
        "the cap is the longest pause that is waited for"
    );
}

#[test]
fn a_server_that_asks_for_too_long_a_pause_is_not_asked_again() {
    let error = refused(429, Some("3600"), "");
    assert_eq!(
        after_first(&Policy::default(), &error),
        Next::GiveUp(Reason::AskedTooMuch(s(3600))),
        "not cut to the cap: the server would refuse again"
    );
}

#[test]
fn what_may_have_been_paid_for_is_repeated_only_if_the_policy_says_so() {
    let policy = Policy {
        retry_maybe_billed: false,
        ..Policy::default()
    };
    assert_eq!(
        after_first(&policy, &silent()),
        Next::GiveUp(Reason::MaybeBilled)
    );
    assert_eq!(
        after_first(&policy, &overloaded()),
        Next::Wait(s(1)),
        "503 says: nothing was done"
    );
}

#[test]
fn no_pause_runs_past_the_deadline() {
    let within = |seconds| Policy {
        deadline: Some(s(seconds)),
        ..Policy::default()
    };
    let error = refused(429, Some("7"), "");
    assert_eq!(after_first(&within(10), &error), Next::Wait(s(7)));
    for seconds in [9, 5] {
        assert_eq!(
            after_first(&within(seconds), &error),
            Next::GiveUp(Reason::PastDeadline(s(7))),
            "2 s have passed, and 7 s more leave no time for an attempt within {seconds} s: say so now"
        );
    }
}

#[test]
fn without_a_budget_left_there_is_no_attempt() {
    let policy = Policy {
        budget: Some(Arc::new(Budget::new(1))),
        ..Policy::default()
    };
    assert_eq!(after_first(&policy, &overloaded()), Next::Wait(s(1)));
    assert_eq!(
        after_first(&policy, &overloaded()),
        Next::GiveUp(Reason::NoBudget)
    );
}

#[test]
fn nothing_is_spent_on_an_attempt_that_is_not_made() {
    let budget = Arc::new(Budget::new(5));
    let policy = Policy {
        deadline: Some(s(5)),
        budget: Some(budget.clone()),
        ..Policy::default()
    };
    for error in [
        refused(401, None, ""),
        refused(429, Some("3600"), ""),
        refused(429, Some("7"), ""),
    ] {
        after_first(&policy, &error);
    }
    assert_eq!(
        budget.left(),
        5,
        "the budget is asked last, when all else allows the attempt"
    );
}

/// An error that gives every reason, unless one is taken away.
struct Worst {
    retryable: bool,
    maybe_billed: bool,
    retry_after: Duration,
}

impl Retryable for Worst {
    fn is_retryable(&self) -> bool {
        self.retryable
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.retry_after)
    }

    fn maybe_billed(&self) -> bool {
        self.maybe_billed
    }
}

/// Everything speaks against another attempt, and then one reason less each time.
#[test]
fn of_several_reasons_the_first_one_of_the_list_is_told() {
    let mut policy = Policy {
        max_attempts: 1,
        deadline: Some(s(5)),
        retry_maybe_billed: false,
        budget: Some(Arc::new(Budget::new(0))),
        ..Policy::default()
    };
    let mut error = Worst {
        retryable: false,
        maybe_billed: true,
        retry_after: s(3600),
    };
    let told = |policy: &Policy, error: &Worst, reason| {
        assert_eq!(
            after_first(policy, error),
            Next::GiveUp(reason),
            "the order is that of `Reason`"
        );
    };
    told(&policy, &error, Reason::Permanent);
    error.retryable = true;
    told(&policy, &error, Reason::MaybeBilled);
    policy.retry_maybe_billed = true;
    told(&policy, &error, Reason::NoAttemptsLeft);
    policy.max_attempts = 2;
    told(&policy, &error, Reason::AskedTooMuch(s(3600)));
    error.retry_after = s(7);
    told(&policy, &error, Reason::PastDeadline(s(7)));
    policy.deadline = None;
    told(&policy, &error, Reason::NoBudget);
    policy.budget = None;
    assert_eq!(after_first(&policy, &error), Next::Wait(s(7)));
}
