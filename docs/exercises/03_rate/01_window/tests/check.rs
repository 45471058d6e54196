//! What must hold: the names of the tests say it, their messages say where to look.

use std::time::Duration;

use ex_03_01::{Admission, Window};

const MINUTE: Duration = s(60);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn as_many_go_at_once_as_the_limit_allows() {
    let mut window = Window::new(3, MINUTE);
    for number in 1..=3 {
        assert_eq!(
            window.poll(s(0)),
            Admission::Go,
            "number {number} of 3: nothing is in its way"
        );
    }
}

#[test]
fn while_all_are_under_way_nobody_can_say_when_it_is_worth_asking_again() {
    let mut window = Window::new(1, MINUTE);
    window.poll(s(0));
    assert_eq!(
        window.poll(s(3600)),
        Admission::Wait,
        "the answer is not there after an hour: the server may count the request only now"
    );
}

#[test]
fn a_slot_is_free_one_window_after_its_answer_was_seen() {
    let mut window = Window::new(1, MINUTE);
    window.poll(s(0));
    window.seen(s(5));
    assert_eq!(
        window.poll(s(5)),
        Admission::WaitUntil(s(65)),
        "not 60: it may have been counted as late as at 5"
    );
    assert_eq!(window.poll(s(64)), Admission::WaitUntil(s(65)));
    assert_eq!(
        window.poll(s(65)),
        Admission::Go,
        "at the time that was named it may go"
    );
}

#[test]
fn the_slot_of_a_slow_answer_does_not_hold_up_the_others() {
    let mut window = Window::new(2, MINUTE);
    window.poll(s(0));
    window.poll(s(0));
    window.seen(s(1));
    assert_eq!(
        window.poll(s(30)),
        Admission::WaitUntil(s(61)),
        "one of two is seen, one is under way"
    );
    assert_eq!(window.poll(s(61)), Admission::Go);
    assert_eq!(
        window.poll(s(61)),
        Admission::Wait,
        "now both are under way"
    );
}

#[test]
fn a_poll_that_is_told_to_wait_takes_nothing() {
    let mut window = Window::new(1, MINUTE);
    window.poll(s(0));
    window.seen(s(0));
    for _ in 0..10 {
        assert_eq!(window.poll(s(30)), Admission::WaitUntil(s(60)));
    }
    assert_eq!(
        window.poll(s(60)),
        Admission::Go,
        "ten who were told to wait hold no slot"
    );
}

#[test]
fn in_no_minute_of_the_servers_clock_are_more_counted_than_it_allows() {
    for seed in 0..20 {
        let counted = run(10, 200, |call| chance(seed, call));
        for (first, start) in counted.iter().enumerate() {
            let in_a_minute = counted[first..]
                .iter()
                .take_while(|time| **time < *start + MINUTE);
            let in_a_minute = in_a_minute.count();
            assert!(
                in_a_minute <= 10,
                "the server counts {in_a_minute} requests from {start:?} on, and allows 10 a minute. \
                 A slot that is free one minute after the request was *sent* is free too early: the \
                 server counts it when it arrives"
            );
        }
    }
}

#[test]
fn the_limit_is_used_and_not_only_kept() {
    let at_once = (Duration::ZERO, Duration::ZERO);
    let counted = run(10, 31, |_| at_once);
    assert_eq!(
        counted[30],
        s(180),
        "with answers that take no time, the 31st may go in the fourth minute"
    );
}

/// How long after it was sent a request is counted, and how long after it its answer is there.
type Delays = (Duration, Duration);

/// Delays of up to ten seconds, the same in each run.
fn chance(seed: u64, call: u64) -> Delays {
    let mut number = seed.wrapping_mul(0x9E37_79B9).wrapping_add(call) | 1;
    for _ in 0..3 {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
    }
    let answered = Duration::from_millis(number % 10_000);
    (
        answered.mul_f64((number >> 20) as f64 % 100.0 / 100.0),
        answered,
    )
}

/// Sends so many requests as the window allows. Returns when the server has counted them, sorted.
fn run(limit: usize, requests: u64, delays: impl Fn(u64) -> Delays) -> Vec<Duration> {
    let mut window = Window::new(limit, MINUTE);
    let mut now = Duration::ZERO;
    let mut counted = Vec::new();
    let mut answers: Vec<Duration> = Vec::new();
    while counted.len() < requests as usize {
        answers.sort();
        let next_answer = answers.first().copied();
        let until = match window.poll(now) {
            Admission::Go => {
                let (count, answer) = delays(counted.len() as u64);
                counted.push(now + count);
                answers.push(now + answer);
                continue;
            }
            Admission::WaitUntil(time) => {
                assert!(
                    time > now,
                    "it is {now:?}: waiting until {time:?} is no wait, it is a loop"
                );
                Some(time)
            }
            Admission::Wait => {
                assert!(
                    next_answer.is_some(),
                    "nothing is under way at {now:?}: for what to wait?"
                );
                None
            }
        };
        match next_answer.filter(|answer| until.is_none_or(|time| *answer <= time)) {
            Some(answer) => {
                answers.remove(0);
                now = now.max(answer);
                window.seen(now);
            }
            None => now = until.expect("without an answer to come there is a time"),
        }
    }
    counted.sort();
    counted
}
