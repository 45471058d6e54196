//! Pattern 5: four services on one text, with limits on their time.
//!
//! An embedding, a sentiment, a summary and the entities of a text come from four calls that do not
//! need each other. At once they take as long as the slowest. But four calls also fail four times
//! as often as one, and the slowest may be very slow. So each [`Branch`] of the [`Analysis`] says
//! for itself how it ended, and [`Limits`] bound each branch and the whole.
//!
//! Read `analysis.rs` (how a branch ends, and when: pure), `services.rs` (what is asked: pure), then
//! `sync.rs`, then `async.rs` beside it.

mod analysis;
mod answers;
mod r#async;
mod report;
mod services;
mod sync;

pub use analysis::{Allowance, Analysis, Branch, Limit, Limits};
pub use r#async::analyze_sentiment as analyze_sentiment_async;
pub use r#async::comprehensive_analysis as comprehensive_analysis_async;
pub use r#async::comprehensive_analysis_in_turn as comprehensive_analysis_in_turn_async;
pub use r#async::extract_entities as extract_entities_async;
pub use r#async::get_embedding as get_embedding_async;
pub use r#async::summarize as summarize_async;
pub use services::Sentiment;
pub use sync::{
    analyze_sentiment, comprehensive_analysis, comprehensive_analysis_in_turn, extract_entities,
    get_embedding, summarize,
};

/// The guide's text, analysed when no other is given.
pub const TEXT: &str = "Python is a high-level programming language...";
