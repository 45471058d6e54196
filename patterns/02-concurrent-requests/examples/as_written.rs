//! The guide's pattern 2, as written: `cargo run --example concurrent-requests-as-written`
//!
//! A faithful port. In turn, the first error loses the answers before it. At once, an error stands
//! among the answers as if it were one, and nothing limits how many requests are under way.

use std::time::{Duration, Instant};

use ai_core::{AsyncClient, Config, Error, SyncClient};
use ai_mock::{Mock, Quota};
use concurrent_requests::PROMPTS;
use futures::future::join_all;

type Results = Result<Vec<String>, Error>;

pub(crate) fn process_multiple_prompts_sync(config: Config, prompts: &[&str]) -> Results {
    let client = SyncClient::new(config)?;
    let mut results = Vec::new();
    let start = Instant::now();
    for prompt in prompts {
        // The exception leaves through here, and `results` goes with it.
        results.push(client.generate_text(prompt)?);
    }
    let elapsed = start.elapsed().as_secs_f64();
    println!("Processed {} prompts in {elapsed:.2}s", prompts.len());
    Ok(results)
}

#[tokio::main(flavor = "current_thread")] // asyncio.run
pub(crate) async fn process_multiple_prompts_async(config: Config, prompts: &[&str]) -> Results {
    let client = AsyncClient::new(config)?;
    let start = Instant::now();
    let results = join_all(prompts.iter().map(|prompt| client.generate_text(prompt))).await;
    let elapsed = start.elapsed().as_secs_f64();
    println!("Processed {} prompts in {elapsed:.2}s", prompts.len());
    // `return_exceptions=True` puts the exceptions among the results, and `-> list` hides it.
    let text = |result: Result<_, Error>| result.unwrap_or_else(|error| error.to_string());
    Ok(results.into_iter().map(text).collect())
}

#[cfg_attr(test, allow(dead_code))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = |mock: &Mock| Config::new(&mock.base_url(), "sk-test");
    let two = Quota {
        requests: Some(2), // a minute; the third is refused
        ..Quota::default()
    };
    let mock = Mock::builder().quota(two).start()?;
    if let Err(error) = process_multiple_prompts_sync(config(&mock)?, &PROMPTS) {
        println!("in turn: nothing of the 2 answers, only: {error}");
    }
    let mock = Mock::builder().quota(two).start()?;
    for text in process_multiple_prompts_async(config(&mock)?, &PROMPTS)? {
        println!("an answer? {text:.60}");
    }
    let slow = Duration::from_millis(300);
    let mock = Mock::builder().latency(slow).start()?;
    process_multiple_prompts_async(config(&mock)?, &["Hello"; 100])?;
    println!("{} requests at one time", mock.stats().peak_in_flight);
    Ok(())
}
