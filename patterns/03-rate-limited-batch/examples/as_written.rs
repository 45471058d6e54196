//! The guide's `RateLimitedAIProcessor`, as written: `cargo run --example rate-limited-batch-as-written`
//! All who wait sleep for the same oldest request: one slot comes free, and a whole batch takes it.

use std::sync::Mutex;
use std::time::Duration;

use ai_core::{AsyncClient, Config, Error};
use ai_mock::{Latency, Mock};
use futures::future::join_all;
use rate_limited_batch::topics;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

pub(crate) const MINUTE: Duration = Duration::from_millis(1500); // the guide's is 60 s

pub(crate) struct RateLimitedAIProcessor {
    client: AsyncClient,
    semaphore: Semaphore,
    request_times: Mutex<Vec<Instant>>,
}

impl RateLimitedAIProcessor {
    async fn rate_limit(&self) {
        let times = || self.request_times.lock().expect("nobody panics");
        times().retain(|t| t.elapsed() < MINUTE);
        let full = times().len() >= 60;
        let oldest = times().first().copied().filter(|_| full);
        if let Some(oldest) = oldest {
            sleep(MINUTE.saturating_sub(oldest.elapsed())).await; // then it does not look again
        }
        times().push(Instant::now());
    }
    async fn process_single(&self, prompt: &str) -> Result<String, Error> {
        let _held = self.semaphore.acquire().await.expect("it is never closed");
        self.rate_limit().await; // and it holds the semaphore while it waits
        self.client.generate_text(prompt).await
    }
}

#[tokio::main(flavor = "current_thread")] // asyncio.run
pub(crate) async fn process_batch(config: Config, prompts: &[String]) -> Result<usize, Error> {
    let processor = RateLimitedAIProcessor {
        client: AsyncClient::new(config)?,
        semaphore: Semaphore::new(10),
        request_times: Mutex::default(),
    };
    let results = join_all(prompts.iter().map(|p| processor.process_single(p))).await;
    Ok(results.iter().flatten().count())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let latency: Latency = "10ms..300ms".parse()?;
    let mock = Mock::builder().latency(latency).start()?;
    let successful = process_batch(Config::new(&mock.base_url(), "sk-test")?, &topics())?;
    println!("Processed {successful}/100 prompts successfully");
    let arrivals = mock.log().into_iter().map(|entry| entry.arrived);
    let fullest = demo::fullest_window(arrivals, MINUTE);
    println!("fullest window: {fullest} of 60");
    Ok(())
}
