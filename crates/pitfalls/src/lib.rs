//! The common mistakes, each as a pair that runs: `wrong` beside `right`.
//!
//! A pair is a file. What its halves did is counted, or taken in virtual time, so that it is the same
//! on every machine: `cargo run --bin pitfall -- 10` shows it, `-- --list` lists all, and the page
//! docs/src/pitfalls.md has every pair with its code. A test holds that page to what the program says.
//!
//! The first 28 are those of the workshop; the others stand apart from these, or are mistakes of the
//! guide that no pattern's `as_written` example shows.

mod support;

#[path = "26_async_fn_mut.rs"]
pub mod async_fn_mut;
#[path = "16_bad_event_skipped.rs"]
pub mod bad_event_skipped;
#[path = "02_block_on.rs"]
pub mod block_on;
#[path = "01_blocking_client.rs"]
pub mod blocking_client;
#[path = "45_cache_outage.rs"]
pub mod cache_outage;
#[path = "53_cache_without_bound.rs"]
pub mod cache_without_bound;
#[path = "29_cached_error.rs"]
pub mod cached_error;
#[path = "10_check_then_act.rs"]
pub mod check_then_act;
#[path = "05_client_per_call.rs"]
pub mod client_per_call;
#[path = "25_connection_per_lookup.rs"]
pub mod connection_per_lookup;
#[path = "17_cpu_on_runtime.rs"]
pub mod cpu_on_runtime;
#[path = "21_dropped_handle.rs"]
pub mod dropped_handle;
#[path = "46_empty_is_a_miss.rs"]
pub mod empty_is_a_miss;
#[path = "31_end_of_body.rs"]
pub mod end_of_body;
#[path = "39_error_as_text.rs"]
pub mod error_as_text;
#[path = "23_error_as_value.rs"]
pub mod error_as_value;
#[path = "47_expire_together.rs"]
pub mod expire_together;
#[path = "41_full_buffer.rs"]
pub mod full_buffer;
#[path = "06_head_of_line.rs"]
pub mod head_of_line;
#[path = "34_key_in_debug.rs"]
pub mod key_in_debug;
#[path = "52_key_per_attempt.rs"]
pub mod key_per_attempt;
#[path = "03_lazy_futures.rs"]
pub mod lazy_futures;
#[path = "08_limit_zero.rs"]
pub mod limit_zero;
#[path = "09_lock_over_await.rs"]
pub mod lock_over_await;
#[path = "33_missing_key.rs"]
pub mod missing_key;
#[path = "04_no_bound.rs"]
pub mod no_bound;
#[path = "20_no_deadline.rs"]
pub mod no_deadline;
#[path = "15_no_flush.rs"]
pub mod no_flush;
#[path = "48_no_jitter.rs"]
pub mod no_jitter;
#[path = "13_no_silence_limit.rs"]
pub mod no_silence_limit;
#[path = "28_one_at_a_time.rs"]
pub mod one_at_a_time;
#[path = "40_past_done.rs"]
pub mod past_done;
#[path = "37_permit_while_waiting.rs"]
pub mod permit_while_waiting;
#[path = "42_reader_left_behind.rs"]
pub mod reader_left_behind;
#[path = "32_retry_after.rs"]
pub mod retry_after;
#[path = "19_retry_everything.rs"]
pub mod retry_everything;
#[path = "18_retry_layers.rs"]
pub mod retry_layers;
#[path = "50_retry_mid_stream.rs"]
pub mod retry_mid_stream;
#[path = "11_select_drops.rs"]
pub mod select_drops;
#[path = "07_slow_consumer.rs"]
pub mod slow_consumer;
#[path = "24_small_key.rs"]
pub mod small_key;
#[path = "30_stampede.rs"]
pub mod stampede;
#[path = "49_stated_schedule.rs"]
pub mod stated_schedule;
#[path = "51_text_of_a_tool_call.rs"]
pub mod text_of_a_tool_call;
#[path = "38_tokens_uncounted.rs"]
pub mod tokens_uncounted;
#[path = "43_tool_calls_dropped.rs"]
pub mod tool_calls_dropped;
#[path = "12_total_timeout.rs"]
pub mod total_timeout;
#[path = "22_try_join_all.rs"]
pub mod try_join_all;
#[path = "35_two_timeouts.rs"]
pub mod two_timeouts;
#[path = "27_unlike_compared.rs"]
pub mod unlike_compared;
#[path = "44_unversioned_key.rs"]
pub mod unversioned_key;
#[path = "14_utf8_by_chunk.rs"]
pub mod utf8_by_chunk;
#[path = "36_wall_clock.rs"]
pub mod wall_clock;
#[path = "54_what_is_left.rs"]
pub mod what_is_left;

use std::fmt;

/// A mistake, its cure, and both of them at work.
#[derive(Debug, Clone, Copy)]
pub struct Pitfall {
    /// From 1, in the order of [`PITFALLS`].
    pub number: usize,
    /// What goes wrong, in a few words.
    pub title: &'static str,
    /// What to do instead, in a sentence or two.
    pub lesson: &'static str,
    both: fn() -> Both,
}

impl Pitfall {
    /// Runs both halves.
    pub fn run(&self) -> Both {
        (self.both)()
    }
}

/// What the two halves did.
#[derive(Debug, Clone)]
pub struct Both {
    /// The mistake.
    pub wrong: Half,
    /// The cure.
    pub right: Half,
}

/// What one half did.
#[derive(Debug, Clone)]
pub struct Half {
    /// Whether that is what its user wanted.
    pub well: bool,
    /// What was counted or seen.
    pub seen: String,
}

impl Both {
    /// Judges both halves by one measure, and tells what they did in the same words.
    pub(crate) fn of<T>(
        wrong: T,
        right: T,
        well: impl Fn(&T) -> bool,
        tell: impl Fn(&T) -> String,
    ) -> Both {
        let half = |made: T| Half {
            well: well(&made),
            seen: tell(&made),
        };
        Both {
            wrong: half(wrong),
            right: half(right),
        }
    }
}

impl fmt::Display for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Both { wrong, right } = self;
        write!(f, "wrong: {}\nright: {}", wrong.seen, right.seen)
    }
}

const fn pitfall(
    number: usize,
    title: &'static str,
    both: fn() -> Both,
    lesson: &'static str,
) -> Pitfall {
    Pitfall {
        number,
        title,
        lesson,
        both,
    }
}

/// All of them, by their numbers.
#[rustfmt::skip] // A row each.
pub const PITFALLS: &[Pitfall] = &[
    pitfall(1, "A blocking client in a task", blocking_client::both, "Move a call that blocks to `spawn_blocking`, or await an async client."),
    pitfall(2, "block_on inside async code", block_on::both, "Be async all the way up: `block_on` belongs in `main`, and in tests."),
    pitfall(3, "Futures are lazy", lazy_futures::both, "A future does nothing until it is polled: `join_all` polls them together."),
    pitfall(4, "join_all without a bound", no_bound::both, "Bound what is under way: `buffer_unordered(8)`."),
    pitfall(5, "A client for every call", client_per_call::both, "Build one client and share it: the connections are in it."),
    pitfall(6, "buffered waits for the slowest", head_of_line::both, "Take `buffer_unordered`, and sort by index at the end."),
    pitfall(7, "A slow loop body stops the calls", slow_consumer::both, "Spawn the calls, or hand the answers to another task."),
    pitfall(8, "A limit of zero", limit_zero::both, "A limit is at least 1: write `.max(1)`, or take a `NonZeroUsize`."),
    pitfall(9, "A lock held over an await", lock_over_await::both, "Await first, then lock, and let go before the next await."),
    pitfall(10, "Look, sleep, act", check_then_act::both, "Look and take under one lock, and look again after each sleep."),
    pitfall(11, "select! drops half an event", select_drops::both, "What a loser of `select!` has read must live outside of it."),
    pitfall(12, "A total timeout on a stream", total_timeout::both, "Limit the silence between two tokens, and not the whole answer."),
    pitfall(13, "A stream without a limit on silence", no_silence_limit::both, "Every wait has an end: a server may stall without closing."),
    pitfall(14, "Text decoded piece by piece", utf8_by_chunk::both, "Keep bytes until an event is whole, then decode it."),
    pitfall(15, "print! without a flush", no_flush::both, "Flush after each token: standard output waits for the end of the line."),
    pitfall(16, "A bad event is skipped", bad_event_skipped::both, "An event that can't be read is an error: report it with its place."),
    pitfall(17, "Computing on the runtime", cpu_on_runtime::both, "Compute in `spawn_blocking`: a task without an await gives nobody else a turn."),
    pitfall(18, "Retries on top of retries", retry_layers::both, "Retry at one layer, and bound all retries by a budget."),
    pitfall(19, "Retrying what cannot work", retry_everything::both, "Retry only what may pass: ask the error."),
    pitfall(20, "Timeouts without a deadline", no_deadline::both, "Put a deadline around all attempts and pauses."),
    pitfall(21, "A task nobody waits for", dropped_handle::both, "Keep tasks in a `JoinSet`, and wait for it."),
    pitfall(22, "try_join_all on paid calls", try_join_all::both, "Take one `Result` a call: an answer is not lost because its neighbour failed."),
    pitfall(23, "An error in the place of a value", error_as_value::both, "Keep a `Result` for each field until somebody has looked at it."),
    pitfall(24, "A cache key that is too small", small_key::both, "Put everything into the key that can change the answer."),
    pitfall(25, "A connection for every lookup", connection_per_lookup::both, "Open one connection to the cache, and keep it."),
    pitfall(26, "AsyncFnMut cannot be spawned", async_fn_mut::both, "Take `FnMut() -> F`, where `F` is a future: that can be spawned."),
    pitfall(27, "Sync in turn against async at once", unlike_compared::both, "Compare like with like: threads are the third bar."),
    pitfall(28, "A benchmark server that serves one at a time", one_at_a_time::both, "Look how many calls the server had at one time before you believe a speed-up."),
    pitfall(29, "Errors in the cache", cached_error::both, "Keep answers that are whole, and nothing else."),
    pitfall(30, "All who ask at once pay", stampede::both, "Let one call, and the others wait for its answer."),
    pitfall(31, "The end of the body is not the end of the answer", end_of_body::both, "An answer is whole when the model has said why it stopped."),
    pitfall(32, "Deaf to Retry-After", retry_after::both, "Wait as long as the server says, if that is longer than your own pause."),
    pitfall(33, "A missing key is sent", missing_key::both, "Check the settings before anything is sent, and name the variable."),
    pitfall(34, "The key in the log", key_in_debug::both, "Give the key a type that shows itself to nobody."),
    pitfall(35, "One word, two timeouts", two_timeouts::both, "Name the limit you mean, connect, silence or total, and test it in both versions."),
    pitfall(36, "Durations by the clock on the wall", wall_clock::both, "Measure with `Instant`, which nobody can set."),
    pitfall(37, "A permit held while waiting", permit_while_waiting::both, "Wait for the rate limit first, and take the permit last."),
    pitfall(38, "Requests counted, tokens not", tokens_uncounted::both, "Reserve the most tokens a request may use, as well as the request."),
    pitfall(39, "Errors kept as text", error_as_text::both, "Keep the type of an error: decisions need it, and text is for people."),
    pitfall(40, "Reading on after the end", past_done::both, "The answer is over when the stream says so: stop there, and close."),
    pitfall(41, "A buffer that has to be full", full_buffer::both, "Hand out what a read brings, and do not wait for more."),
    pitfall(42, "A reader that outlives its user", reader_left_behind::both, "Drop the stream when its user has gone: its connection closes, and a server that notices stops."),
    pitfall(43, "Only text is kept of a stream", tool_calls_dropped::both, "Match on every kind of event: a stream may bring calls, a refusal, an end."),
    pitfall(44, "A cache key without a version", unversioned_key::both, "Put a version into the key, and change it with the form of the entries."),
    pitfall(45, "A cache outage stops the service", cache_outage::both, "A lookup that fails is a miss, with a warning."),
    pitfall(46, "An empty answer counts as none", empty_is_a_miss::both, "\"Nothing stored\" is a `None`, and not an empty text."),
    pitfall(47, "Entries that expire together", expire_together::both, "Shorten each entry's time a little, by chance."),
    pitfall(48, "Backoff without jitter", no_jitter::both, "Let chance spread the pauses: full jitter, anything up to the delay."),
    pitfall(49, "A schedule stated without its jitter", stated_schedule::both, "Say the range of each pause, or spread it around what you say."),
    pitfall(50, "A retry after the first token", retry_mid_stream::both, "Once something is shown, report the error: no retry."),
    pitfall(51, "The text taken for the answer", text_of_a_tool_call::both, "Look at the finish reason before you take the text."),
    pitfall(52, "A retry that pays twice", key_per_attempt::both, "Draw the idempotency key once, and send it with every attempt."),
    pitfall(53, "A cache without a bound", cache_without_bound::both, "Limit the bytes of all entries together: a time to live is no bound."),
    pitfall(54, "Deaf to what the server says is left", what_is_left::both, "Hand the limiter what each answer says is left."),
];
