//! The decision alone, against a server that counts whenever it is worst for us.

use std::num::NonZeroUsize;
use std::time::Duration;

use ai_core::{Error, Usage};
use http::HeaderMap;
use proptest::prelude::*;
use rate_limited_batch::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at_once(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).expect("no test asks for a limit of 0")
}

/// One request of the model, with all its fate. Times are milliseconds.
#[derive(Debug, Clone)]
struct Request {
    arrives: u64,
    tokens: u64,
    used: u64,
    /// From sending to the first evidence, and from there to the end.
    evidence: u64,
    rest: u64,
    /// Where between sending and evidence the server counts it, and where between that and the
    /// evidence it writes down what is left.
    counted: f64,
    head: f64,
    /// When its caller loses patience, from its arrival.
    patience: Option<u64>,
    /// It is refused, with this Retry-After.
    refused: Option<u64>,
    /// Its caller learns so long after its turn has come that it is not to be sent.
    unsent: Option<u64>,
}

/// The longest [`Request::evidence`].
const LATEST: u64 = 60;

fn requests() -> impl Strategy<Value = Vec<Request>> {
    // The instants at which an adversary would count: at once, at the last moment, or between.
    let instant = || prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0];
    let request = (
        (0..400_u64, 1..50_u64, 0.0..=1.0),
        (0..=LATEST, 0..60_u64),
        (instant(), instant()),
        prop::option::weighted(0.2, 0..200_u64),
        (
            prop::option::weighted(0.1, 0..100_u64),
            prop::option::weighted(0.2, 0..30_u64),
        ),
    );
    let request = request.prop_map(
        |((arrives, tokens, used), times, counts, patience, (refused, unsent))| Request {
            arrives,
            tokens,
            used: (tokens as f64 * used) as u64,
            evidence: times.0,
            rest: times.1,
            counted: counts.0,
            head: counts.1,
            patience,
            refused,
            unsent,
        },
    );
    prop::collection::vec(request, 1..80)
}

impl Request {
    /// When its caller is gone.
    fn gone(&self) -> u64 {
        self.patience
            .map_or(u64::MAX, |patience| self.arrives + patience)
    }
}

/// A request that waits, and when its caller asks: at the time it was told, or when it is rung for.
#[derive(Debug)]
struct Waiting<'a> {
    ticket: Ticket,
    request: &'a Request,
    asks: Option<Duration>,
}

/// A request under way.
struct Sent<'a> {
    ticket: Ticket,
    request: &'a Request,
    at: u64,
    counted: f64,
}

/// What the server has counted: when, for how many tokens, and when it gave some of them back.
struct Counted {
    at: f64,
    tokens: u64,
    refunded: Option<(u64, u64)>,
}

/// What a server with a window of 100 ms holds at an instant.
fn held(server: &[Counted], now: f64) -> (u64, u64) {
    let live = server
        .iter()
        .filter(|one| one.at <= now && now < one.at + 100.0);
    live.fold((0, 0), |(count, sum), one| {
        let tokens = match one.refunded {
            Some((at, used)) if at as f64 <= now => used,
            _ => one.tokens,
        };
        (count + 1, sum + tokens)
    })
}

/// Two windows, of which one hears what the server says is left. Nobody else uses the account, so
/// that must never make a difference.
struct Windows {
    hears: Window,
    is_deaf: Window,
}

impl Windows {
    fn both<T: PartialEq + std::fmt::Debug>(&mut self, act: impl Fn(&mut Window) -> T) -> T {
        let made = act(&mut self.hears);
        assert_eq!(made, act(&mut self.is_deaf), "the server's words misled it");
        made
    }

    /// What a driver does after each change: it wakes the head, if that may go sooner than told.
    fn ring(&mut self, waiting: &mut [Waiting<'_>], now: u64) {
        if self.both(|window| window.head_may_go_sooner(ms(now))) {
            waiting.first_mut().expect("somebody waits").asks = Some(ms(now));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_server_never_sees_more_than_it_allows_whenever_it_counts(
        mut requests in requests(),
        limits in (1..12_u32, 50..200_u64, 1..15_usize),
        [paced, trued_up, has_tokens, has_margin] in any::<[bool; 4]>(),
    ) {
        requests.sort_by_key(|request| request.arrives);
        let (most_requests, most_tokens, concurrency) = limits;
        let limits = Limits {
            tokens: has_tokens.then_some(most_tokens),
            concurrency: at_once(concurrency),
            margin: has_margin.then_some(ms(LATEST)),
            paced,
            trued_up,
            ..Limits::new(most_requests, ms(100))
        };
        let mut windows = Windows { hears: Window::new(limits), is_deaf: Window::new(limits) };
        let mut waiting: Vec<Waiting<'_>> = Vec::new();
        let mut under_way: Vec<Sent<'_>> = Vec::new();
        let mut server: Vec<Counted> = Vec::new();
        let mut arriving = requests.iter().peekable();
        let (mut paused_until, mut last, mut now) = (0, None, 0);
        while arriving.peek().is_some() || !waiting.is_empty() || !under_way.is_empty() {
            prop_assert!(now < 100_000, "a request waits for ever: {waiting:?}");
            while let Some(request) = arriving.next_if(|request| request.arrives <= now) {
                let ticket = windows.both(|window| window.enter(request.tokens)).expect("it fits");
                waiting.push(Waiting { ticket, request, asks: Some(ms(now)) });
            }
            while let Some(index) = waiting.iter().position(|one| one.request.gone() <= now) {
                let ticket = waiting.remove(index).ticket;
                windows.both(|window| window.leave(ticket, ms(now)));
                windows.ring(&mut waiting, now);
            }
            for index in (0..under_way.len()).rev() {
                let Sent { ticket, request, at, counted } = under_way[index];
                let evidence = at + request.evidence;
                if let Some(after) = request.unsent {
                    if now < at + after {
                        continue;
                    }
                    windows.both(|window| window.unsent(ticket));
                    windows.both(|window| window.leave(ticket, ms(now)));
                    under_way.remove(index);
                    windows.ring(&mut waiting, now);
                    continue;
                }
                if now >= evidence {
                    windows.both(|window| window.seen(ticket, ms(now)));
                    windows.ring(&mut waiting, now);
                }
                if now >= evidence + request.rest {
                    let head = counted + (evidence as f64 - counted) * request.head;
                    let (requests, tokens) = held(&server, head);
                    let left = |remaining| Some(Left { remaining, reset: ms(100) });
                    let pause = request.refused.map(ms);
                    let deaf = Feedback { tokens: Some(request.used), pause, ..Feedback::default() };
                    let hears = Feedback {
                        requests_left: left(u64::from(most_requests) - requests),
                        tokens_left: limits.tokens.and_then(|limit| left(limit - tokens)),
                        ..deaf
                    };
                    windows.hears.finished(ticket, &hears, ms(now));
                    windows.is_deaf.finished(ticket, &deaf, ms(now));
                    paused_until = paused_until.max(now + request.refused.unwrap_or(0));
                } else if now >= request.gone() {
                    windows.both(|window| window.leave(ticket, ms(now)));
                } else {
                    continue;
                }
                under_way.remove(index);
                windows.ring(&mut waiting, now);
            }
            // Each that is told or rung for asks, the last one first: only the head may go.
            while let Some(index) = waiting
                .iter()
                .rposition(|one| one.asks.is_some_and(|asks| asks <= ms(now)))
            {
                let Waiting { ticket, request, .. } = waiting[index];
                waiting[index].asks = match windows.both(|window| window.poll(ticket, ms(now))) {
                    Admission::WaitUntil(time) => {
                        prop_assert!(time > ms(now));
                        Some(time)
                    }
                    Admission::Wait => None,
                    Admission::Closed => unreachable!("nobody closes it"),
                    Admission::Go => {
                        prop_assert_eq!(index, 0, "first come, first served");
                        prop_assert!(last < Some(ticket));
                        last = Some(ticket);
                        prop_assert!(now >= paused_until, "sent during a pause");
                        waiting.remove(index);
                        // What is sent is counted before its evidence or its connection's end.
                        let evidence = now + request.evidence;
                        let until = evidence.min(request.gone());
                        let counted = now as f64 + (until - now) as f64 * request.counted;
                        let end = evidence + request.rest;
                        let refunded = (trued_up && end <= request.gone()).then_some((end, request.used));
                        if request.unsent.is_none() {
                            server.push(Counted { at: counted, tokens: request.tokens, refunded });
                        }
                        under_way.push(Sent { ticket, request, at: now, counted });
                        prop_assert!(under_way.len() <= concurrency);
                        windows.ring(&mut waiting, now);
                        continue;
                    }
                };
            }
            now += 1;
        }

        for one in &server {
            let (requests, tokens) = held(&server, one.at);
            prop_assert!(requests <= most_requests.into(), "{requests} requests");
            prop_assert!(!has_tokens || tokens <= most_tokens, "{tokens} tokens");
        }
        // Nothing is left behind: after a window as many go at once as in the beginning.
        let later = ms(now.max(paused_until) + 200);
        let goes = if paced { 1 } else { concurrency.min(most_requests as usize) };
        let mut last = Vec::new();
        for _ in 0..goes {
            let ticket = windows.both(|window| window.enter(0)).expect("it fits");
            prop_assert_eq!(windows.both(|window| window.poll(ticket, later)), Admission::Go);
            last.push(ticket);
        }
        for ticket in last {
            windows.both(|window| window.leave(ticket, later));
        }
        // And after one more, all tokens in one piece.
        let ticket = windows.both(|window| window.enter(most_tokens)).expect("it fits");
        let admission = windows.both(|window| window.poll(ticket, later + ms(300)));
        prop_assert_eq!(admission, Admission::Go);
    }
}

#[test]
fn a_slot_expires_one_window_after_the_first_evidence() {
    let mut window = Window::new(Limits::new(1, secs(60)));
    let tickets = [(); 2].map(|()| window.enter(0).expect("it fits"));
    assert_eq!(window.poll(tickets[1], secs(0)), Admission::Wait);
    assert_eq!(window.poll(tickets[0], secs(0)), Admission::Go);
    // Under way, nobody knows when it will be counted, however long that takes.
    assert_eq!(window.poll(tickets[1], secs(100)), Admission::Wait);
    window.seen(tickets[0], secs(101));
    window.finished(tickets[0], &Feedback::default(), secs(105));
    assert_eq!(
        window.poll(tickets[1], secs(105)),
        Admission::WaitUntil(secs(161))
    );
    assert_eq!(window.poll(tickets[1], secs(161)), Admission::Go);
}

#[test]
fn what_was_not_sent_is_given_back_at_once() {
    let unsent = Feedback {
        unsent: true,
        ..Feedback::default()
    };
    // It is said while the call is not made, or when it has ended.
    let says: [fn(&mut Window, Ticket, Feedback); 2] = [
        |window, ticket, _| window.unsent(ticket),
        |window, ticket, unsent| window.finished(ticket, &unsent, secs(1)),
    ];
    for (margin, say) in [(None, says[0]), (Some(secs(2)), says[0]), (None, says[1])] {
        let limits = Limits {
            tokens: Some(100),
            concurrency: at_once(2),
            margin,
            ..Limits::new(2, secs(60))
        };
        let mut window = Window::new(limits);
        let tickets = [60, 40, 30, 40].map(|tokens| window.enter(tokens).expect("it fits"));
        assert_eq!(window.poll(tickets[0], secs(0)), Admission::Go);
        assert_eq!(window.poll(tickets[1], secs(0)), Admission::Go);
        let full = window.poll(tickets[2], secs(1));
        assert!(
            full > Admission::Go,
            "requests, tokens and places are taken"
        );
        say(&mut window, tickets[1], unsent);
        window.leave(tickets[1], secs(1));
        assert!(window.head_may_go_sooner(secs(1)));
        assert_eq!(window.poll(tickets[2], secs(1)), Admission::Go);
        // What was sent is not: neither is that of the one who went in its place.
        window.leave(tickets[0], secs(1));
        window.leave(tickets[2], secs(1));
        assert!(window.poll(tickets[3], secs(60)) > Admission::Go);
        // To say it twice, or of what is over, changes nothing.
        window.unsent(tickets[1]);
        window.leave(tickets[1], secs(60));
        assert!(window.poll(tickets[3], secs(60)) > Admission::Go);
        assert_eq!(window.poll(tickets[3], secs(62)), Admission::Go);
    }
}

#[test]
fn what_was_not_sent_has_had_its_time_by_the_pace() {
    let limits = Limits {
        paced: true,
        ..Limits::new(60, secs(60))
    };
    let mut window = Window::new(limits);
    let tickets = [(); 2].map(|()| window.enter(0).expect("it fits"));
    assert_eq!(window.poll(tickets[0], secs(0)), Admission::Go);
    window.unsent(tickets[0]);
    window.leave(tickets[0], secs(0));
    assert_eq!(
        window.poll(tickets[1], secs(0)),
        Admission::WaitUntil(secs(1))
    );
}

#[test]
fn with_a_margin_a_slot_expires_while_its_request_is_under_way() {
    let limits = Limits {
        margin: Some(secs(2)),
        ..Limits::new(1, secs(60))
    };
    let mut window = Window::new(limits);
    let tickets = [(); 2].map(|()| window.enter(0).expect("it fits"));
    assert_eq!(window.poll(tickets[0], secs(0)), Admission::Go);
    assert_eq!(
        window.poll(tickets[1], secs(10)),
        Admission::WaitUntil(secs(62))
    );
    window.seen(tickets[0], secs(50));
    assert_eq!(window.poll(tickets[1], secs(62)), Admission::Go);
}

#[test]
fn unused_tokens_come_back_only_where_the_server_gives_them_back() {
    let later = Admission::WaitUntil(secs(60));
    // Of a hundred, 80 are reserved; what was used of them, and when so many more may go.
    for (trued_up, used, more, admission) in [
        (true, 30, 70, Admission::Go),
        (true, 30, 71, later),
        (false, 30, 20, Admission::Go),
        (false, 30, 21, later),
        // More than was reserved: the server has let it pass.
        (true, 200, 20, Admission::Go),
        (true, 200, 21, later),
    ] {
        let limits = Limits {
            tokens: Some(100),
            trued_up,
            ..Limits::new(60, secs(60))
        };
        let mut window = Window::new(limits);
        let feedback = Feedback {
            tokens: Some(used),
            ..Feedback::default()
        };
        ask(&mut window, 80, &feedback, secs(0));
        let ticket = window.enter(more).expect("it fits");
        let case = format!("{trued_up}: {used} of 80, {more} more");
        assert_eq!(window.poll(ticket, secs(0)), admission, "{case}");
    }
}

#[test]
fn a_pause_lasts_as_long_as_the_server_says_but_no_longer_than_a_window_or_two_minutes() {
    for (length, says, lasts) in [
        (secs(60), secs(7), secs(7)),
        (secs(60), secs(86_400), secs(120)),
        (secs(3600), secs(600), secs(600)),
        (secs(3600), secs(86_400), secs(3600)),
        (secs(60), Duration::MAX, secs(120)),
        (Duration::MAX, Duration::MAX, Duration::MAX),
    ] {
        let mut window = Window::new(Limits::new(60, length));
        let feedback = Feedback {
            pause: Some(says),
            ..Feedback::default()
        };
        ask(&mut window, 0, &feedback, secs(0));
        let ticket = window.enter(0).expect("it fits");
        let admission = window.poll(ticket, secs(0));
        assert_eq!(
            admission,
            Admission::WaitUntil(lasts),
            "{length:?} {says:?}"
        );
    }
}

#[test]
fn a_window_may_be_longer_than_time_can_count() {
    let for_ever = Limits::new(2, Duration::MAX);
    let with_margin = |margin| Limits {
        margin: Some(margin),
        ..for_ever
    };
    let paced = Limits {
        paced: true,
        ..for_ever
    };
    let taken = Feedback {
        requests_left: Some(Left {
            remaining: 0,
            reset: Duration::MAX,
        }),
        pause: Some(Duration::MAX),
        ..Feedback::default()
    };
    for (limits, feedback, may_go) in [
        (for_ever, Feedback::default(), 2),
        (with_margin(secs(1)), Feedback::default(), 2),
        (with_margin(Duration::MAX), Feedback::default(), 2),
        (paced, Feedback::default(), 1),
        (for_ever, taken, 1),
    ] {
        let mut window = Window::new(limits);
        for second in 0..may_go {
            ask(&mut window, 0, &feedback, secs(10 + second));
        }
        let ticket = window.enter(0).expect("it fits");
        let admission = window.poll(ticket, secs(20));
        assert!(admission > Admission::Go, "{limits:?}: {admission:?}");
    }
}

#[test]
fn a_request_larger_than_a_window_fails_at_once() {
    let limits = Limits {
        tokens: Some(100),
        ..Limits::new(60, secs(60))
    };
    let error = Window::new(limits).enter(101).expect_err("it never fits");
    assert_eq!(
        error.to_string(),
        "a request of 101 tokens never fits into 60 requests and 100 tokens each 60s"
    );
    assert!(Window::new(Limits::new(0, secs(60))).enter(1).is_err());
    let limits = Limits {
        tokens: Some(u64::MAX),
        ..Limits::new(60, secs(60))
    };
    assert!(Window::new(limits).enter(u64::MAX).is_ok());
}

#[test]
fn a_closed_window_lets_nobody_go() {
    let mut window = Window::new(Limits::new(60, secs(60)));
    let tickets = [(); 2].map(|()| window.enter(0).expect("it fits"));
    window.close();
    for ticket in tickets {
        assert_eq!(window.poll(ticket, secs(0)), Admission::Closed);
    }
    assert_eq!(window.enter(0), Err(AcquireError::Closed));
}

/// Lets one go now, and tells what its answer says is left.
fn ask(window: &mut Window, tokens: u64, feedback: &Feedback, now: Duration) {
    let ticket = window.enter(tokens).expect("it fits");
    assert_eq!(window.poll(ticket, now), Admission::Go);
    window.finished(ticket, feedback, now);
}

#[test]
fn what_the_server_says_is_left_counts_downward_only() {
    let left = |remaining, reset| Some(Left { remaining, reset });
    let limits = Limits {
        tokens: Some(100),
        ..Limits::new(10, secs(60))
    };
    // Of ten requests seven were taken by somebody else, and said twice it is still seven.
    let mut window = Window::new(limits);
    for remaining in [2, 1] {
        let requests_left = left(remaining, secs(20));
        let feedback = Feedback {
            requests_left,
            ..Feedback::default()
        };
        ask(&mut window, 0, &feedback, secs(0));
    }
    // More than we think is no news: some of ours may be on their way.
    let more = Feedback {
        requests_left: left(9, secs(20)),
        tokens_left: left(100, secs(20)),
        ..Feedback::default()
    };
    ask(&mut window, 0, &more, secs(0));
    let ticket = window.enter(0).expect("it fits");
    assert_eq!(window.poll(ticket, secs(0)), Admission::WaitUntil(secs(20)));

    // The same for tokens. Of a hundred we reserved 30, and somebody else took 40.
    let mut window = Window::new(limits);
    let feedback = Feedback {
        tokens_left: left(30, secs(20)),
        ..Feedback::default()
    };
    ask(&mut window, 30, &feedback, secs(0));
    let ticket = window.enter(31).expect("it fits");
    assert_eq!(window.poll(ticket, secs(0)), Admission::WaitUntil(secs(20)));

    // What is in use by now is not in use a window later, whatever is said.
    let mut window = Window::new(limits);
    let feedback = Feedback {
        tokens_left: left(0, secs(6000)),
        ..Feedback::default()
    };
    ask(&mut window, 30, &feedback, secs(0));
    let ticket = window.enter(31).expect("it fits");
    assert_eq!(window.poll(ticket, secs(0)), Admission::WaitUntil(secs(60)));
}

#[test]
fn the_tokens_that_others_take_are_not_looked_at_where_tokens_are_not_limited() {
    let mut window = Window::new(Limits::new(10, secs(60)));
    let nothing = Some(Left {
        remaining: 0,
        reset: secs(60),
    });
    let feedback = Feedback {
        tokens_left: nothing,
        ..Feedback::default()
    };
    ask(&mut window, 1000, &feedback, secs(0));
    ask(&mut window, 1000, &feedback, secs(0));
}

#[test]
fn a_pace_keeps_its_schedule_and_makes_up_for_one_request_at_most() {
    let mut pace = Pace::new(secs(1));
    // A little late each time, and yet none is lost.
    for second in 0..100 {
        assert_eq!(pace.next(), secs(second));
        pace.go(secs(second) + ms(300));
    }
    // A long pause: one goes at once, one to make up for it, and then it is paced again.
    pace.go(secs(200));
    assert_eq!(pace.next(), secs(200));
    pace.go(secs(200));
    assert_eq!(pace.next(), secs(201));

    let mut never_again = Pace::new(Duration::MAX);
    never_again.go(secs(1));
    never_again.go(secs(1));
    assert_eq!(never_again.next(), Duration::MAX);
}

#[test]
fn a_pace_faster_than_timers_makes_up_for_what_they_are_late_by() {
    let mut pace = Pace::new(ms(1));
    // A timer of 4 ms for an interval of 1 ms: four go each time, and none is lost.
    for tick in 1..100 {
        let now = ms(4 * tick);
        while pace.next() < now {
            pace.go(now);
        }
        assert_eq!(pace.next(), now);
    }
    // But a second is not made up for.
    pace.go(secs(10));
    assert_eq!(pace.next(), secs(10) - ms(9));
}

#[test]
fn feedback_is_read_from_the_headers_of_answers_and_refusals() {
    let headers = |pairs: &[(&'static str, &str)]| {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| {
            (
                name.parse().expect("a name"),
                value.parse().expect("a value"),
            )
        });
        pairs.collect::<HeaderMap>()
    };
    let limits = [
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-tokens", "1h6m0.5s"),
    ];
    let usage = Usage {
        input_tokens: 10,
        output_tokens: 5,
        ..Usage::default()
    };
    let learned = Feedback {
        tokens: Some(15),
        requests_left: Some(Left {
            remaining: 59,
            reset: secs(1),
        }),
        tokens_left: Some(Left {
            remaining: 149_984,
            reset: ms(3_960_500),
        }),
        pause: None,
        unsent: false,
    };
    assert_eq!(Feedback::of_reply(&headers(&limits), Some(usage)), learned);
    // One without the other, and what can't be read, is not known.
    for broken in ["", "1", "1x", "-1s", "1s 2", "NaNs", "1e400s"] {
        let broken = [limits[0], (limits[1].0, broken), limits[2]];
        let feedback = Feedback::of_reply(&headers(&broken), None);
        let nothing = feedback == Feedback::default();
        // No text at all is no time at all, which is as harmless.
        assert!(
            nothing || broken[1].1.is_empty(),
            "{broken:?}: {feedback:?}"
        );
    }

    let refused = |status, code: &str, retry_after: Option<&str>| {
        let body = format!(r#"{{"error": {{"message": "no", "code": "{code}"}}}}"#);
        let mut all = limits.to_vec();
        all.extend(retry_after.map(|time| ("retry-after", time)));
        let error = Error::from_response(status, &headers(&all), body.as_bytes());
        Feedback::of_error(&error)
    };
    let pause = refused(429, "rate_limit_exceeded", Some("7"));
    assert_eq!(pause.pause, Some(secs(7)));
    assert_eq!(pause.tokens_left, learned.tokens_left);
    assert_eq!(pause.tokens, None);
    let unsaid = refused(429, "rate_limit_exceeded", None);
    assert_eq!(unsaid.pause, Some(secs(1)));
    // No wait helps against an empty account, and what is not about the limit stops nobody else.
    for (status, code) in [(429, "insufficient_quota"), (503, "overloaded")] {
        for retry_after in [Some("7"), None] {
            assert_eq!(refused(status, code, retry_after).pause, None);
        }
    }
    assert_eq!(Feedback::of_error(&Error::Truncated), Feedback::default());
    for nothing_sent in [Error::Connect("no".into()), Error::Config("no".into())] {
        let unsent = Feedback {
            unsent: true,
            ..Feedback::default()
        };
        assert_eq!(Feedback::of_error(&nothing_sent), unsent);
    }
}
