//! Pattern 8: a batch for real work.
//!
//! A file of requests goes in and a file of answers comes out, whatever happens meanwhile: a server
//! that fails, is slow or says "not so fast"; a bad line; Ctrl-C, `kill -9`, a full disk. What was
//! paid for is written, what is written is not asked again, and what is left to do is known.
//!
//! Around each call stand the layers of the other patterns, in the one order that is right:
//! `cache( retry( limit( call )))`. A hit pays nothing, and each attempt pays the limiter. To them
//! come a [`Breaker`] a model, and a fallback.
//!
//! Read `breaker.rs` (whether to go on asking what keeps failing: pure), `rules.rs` (what holds for
//! all jobs), then `sync.rs` (the layers), then `async.rs` beside it. Beside them stand the lines of
//! the input and the output, the files, the collector that finished jobs are handed to, and the program.

mod alarm_async;
mod alarm_sync;
mod r#async;
mod batch;
mod breaker;
mod breakers;
mod collector;
mod console;
mod failure;
mod files;
mod gate_async;
mod gate_sync;
mod hedge_async;
mod hedge_sync;
mod intake;
mod line;
mod options;
mod order;
mod record;
mod resume;
mod rules;
mod run;
mod server;
mod sync;
mod tally;
mod trace;

pub use r#async::Layers as AsyncLayers;
pub use batch::Batch;
pub use breaker::{Ask, Breaker, Outcome, Pass};
pub use breakers::{Breakers, Rules as BreakerRules};
pub use failure::Failure;
pub use files::{Output, Refused};
pub use intake::{BadLine, Intake, Taken};
pub use line::{Defaults, Job, LONGEST_LINE, lesson};
pub use options::Options;
pub use order::Order;
pub use record::{Reason, Record, Written, on_one_line};
pub use resume::{Fate, Ids, Resume};
pub use rules::Rules;
pub use run::{run, run_async};
pub use sync::Layers;
pub use tally::{Call, Tally};
pub use trace::Done;
