//! The guide's `RateLimitedAIProcessor`, as written: `cargo run --example rate-limited-batch-as-written`
//! All who wait sleep for the same oldest request: one slot comes free, and a whole batch takes it.

use std::{sync::Mutex, time::Duration};

use ai_core::{AsyncClient, Config, Error};
use ai_mock::{Latency, Mock};
use futures::future::join_all;
use rate_limited_batch::topics;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

pub(crate) struct RateLimitedAIProcessor {
    pub(crate) client: AsyncClient,
    pub(crate) requests_per_minute: usize, // the guide's 60
    pub(crate) minute: Duration,
    pub(crate) semaphore: Semaphore, // of its batch_size, 10
    pub(crate) request_times: Mutex<Vec<Instant>>,
}

impl RateLimitedAIProcessor {
    async fn rate_limit(&self) {
        let times = || self.request_times.lock().expect("nobody panics");
        times().retain(|t| t.elapsed() < self.minute);
        let full = times().len() >= self.requests_per_minute;
        let first = times().first().copied();
        if let Some(oldest) = first.filter(|_| full) {
            sleep(self.minute.saturating_sub(oldest.elapsed())).await; // then it does not look again
        }
        times().push(Instant::now());
    }
    async fn process_single(&self, prompt: &str) -> Result<String, Error> {
        let _held = self.semaphore.acquire().await.expect("it is never closed");
        self.rate_limit().await; // and it holds the semaphore while it waits
        self.client.generate_text(prompt).await
    }
    #[tokio::main(flavor = "current_thread")] // asyncio.run
    pub(crate) async fn process_batch(&self, prompts: &[String]) -> usize {
        let results = join_all(prompts.iter().map(|p| self.process_single(p))).await;
        results.iter().flatten().count()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let latency: Latency = "10ms..300ms".parse()?;
    let mock = Mock::builder().latency(latency).start()?;
    let guides = RateLimitedAIProcessor {
        client: AsyncClient::new(Config::new(&mock.base_url(), "sk-test")?)?,
        requests_per_minute: 60,
        minute: Duration::from_millis(1500),
        semaphore: Semaphore::new(10),
        request_times: Mutex::default(),
    };
    let successful = guides.process_batch(&topics());
    println!("Processed {successful}/100 prompts successfully");
    let arrivals = mock.log().into_iter().map(|entry| entry.arrived);
    let fullest = demo::fullest_window(arrivals, guides.minute);
    println!("fullest window: {fullest} of 60");
    Ok(())
}
