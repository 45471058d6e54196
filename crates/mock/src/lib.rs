//! An OpenAI-compatible simulator: latency, streams, quotas, faults, and a log of what really happened.
//!
//! Calling an AI service is mostly waiting and failing, and both cost money to practise on the real thing. The mock
//! waits and fails on request, the same way for everybody who uses the same seed, and its log is the ground truth
//! that a client's own numbers are checked against.
//!
//! ```
//! use std::time::Duration;
//! use ai_mock::{Latency, Mock, Quota, Service};
//!
//! let mock = Mock::builder()
//!     .seed(7)
//!     .latency(Latency::LogNormal { p50: Duration::from_millis(50), p99: Duration::from_millis(400) })
//!     .service_latency(Service::Embedding, Duration::from_millis(500))
//!     .quota(Quota { requests: Some(60), tokens: Some(90_000), window: Duration::from_secs(60) })
//!     .start()?;
//!
//! println!("OPENAI_BASE_URL={}", mock.base_url());
//! assert!(mock.log().is_empty());
//! assert_eq!(mock.stats().connections, 0);
//! // Dropped, it closes its connections and frees its port.
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What it answers
//!
//! `POST /v1/chat/completions` (plain and streamed, `n`, limits, `stop`, tools, `response_format`), `POST
//! /v1/embeddings`, `GET /v1/models`, all in OpenAI's shape, errors too. The texts come from templates, a lexicon and
//! the capital letters of the text given, so they fit any prompt and never change for a seed.
//!
//! # How it is set
//!
//! By [`Builder`], by flags of the program, at run time by [`Mock::set`] or `PATCH /_mock/settings`; and for one
//! request by its headers. The narrower setting wins: that of the request, then of its [`Service`], then of the mock.
//!
//! | header | example | what it does |
//! |---|---|---|
//! | `x-mock-latency` | `300ms`, `100ms..300ms`, `lognormal:50ms,400ms` | time to the head, and to the first token of a stream |
//! | `x-mock-script` | `reset-mid-chunk` | how the reply looks on the wire, see [`Script`] |
//! | `x-mock-fail` | `2`, `2x429`, `2xreset`, `always` | which attempts of the item fail, see [`FailFirst`] |
//! | `x-mock-item` | `prompt-7` | the name that all attempts of one piece of work share |
//! | `x-mock-gate` | `steps` | tokens wait until [`Gate::release`] lets them go |
//! | `x-mock-tokens` | `100` | the answer has exactly this many tokens |
//!
//! # What happens to a request
//!
//! It is checked, and refused at once if it is wrong or over the quota. It waits for a slot, then for its latency.
//! Then it fails, if its item and attempt are to fail, or its script is played. A stream sends its head together with
//! its first token, as OpenAI does: until then an error can still have a status. When the client leaves, at any of
//! these points, the work ends there and the log says at which token.
//!
//! # Suggested reading order
//!
//! `scripts` (what goes over the wire, as data), `quota` (a sliding window without a clock), `server` (how a client
//! that leaves ends the work), `work` (a request from start to end), `log` (waiting without polling).

mod scripts;

mod quota;

mod server;
mod work;

mod log;

mod mock;
mod settings;

mod failure;
mod latency;
pub mod parse;

mod answers;
mod chat;
mod embeddings;
mod models;
mod schema;

mod control;
mod dice;
mod errors;
mod headers;
mod http;
mod tokens;

pub use failure::{FailFirst, Failure};
pub use latency::Latency;
pub use log::{Entry, LOG_LIMIT, Stats, WaitError};
pub use mock::{Builder, Gate, Mock};
pub use quota::Quota;
pub use scripts::Script;
pub use settings::{Service, Settings};
