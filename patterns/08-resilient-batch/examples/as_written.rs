//! The guide's batch, as written: `cargo run --example resilient-batch-as-written`
//! It keeps all results in memory until the last one is there. Stopped before that, it has paid for nothing.

use std::time::Duration;

use ai_core::{AsyncClient, Config, Error};
use ai_mock::{Failure, Mock};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) struct BatchProcessor {
    pub(crate) client: AsyncClient,
    pub(crate) semaphore: Semaphore, // the guide's batch_size
}

impl BatchProcessor {
    async fn process_single(&self, prompt: &str) -> Value {
        let _held = self.semaphore.acquire().await.expect("it is never closed");
        match self.client.generate_text(prompt).await {
            Ok(result) => json!({"prompt": prompt, "result": result, "error": null}),
            // One that would work a second later is an error for good.
            Err(error) => json!({"prompt": prompt, "result": null, "error": error.to_string()}),
        }
    }

    pub(crate) async fn process_batch(&self, prompts: &[String]) -> Vec<Value> {
        join_all(prompts.iter().map(|prompt| self.process_single(prompt))).await
    }
}

#[tokio::main(flavor = "current_thread")] // asyncio.run
async fn main() -> Result<(), Error> {
    let mock = Mock::builder().latency(Duration::from_millis(50));
    let mock = mock.failure_rate(0.15, Failure::Status(500)).start();
    let mock = mock.expect("a free port on 127.0.0.1");
    let processor = BatchProcessor {
        client: AsyncClient::new(Config::new(&mock.base_url(), "sk-test")?)?,
        semaphore: Semaphore::new(10),
    };
    let prompts: Vec<_> = (0..100).map(|i| format!("Summarize topic {i}")).collect();

    let results = processor.process_batch(&prompts).await;
    let failed = results.iter().filter(|it| it["result"].is_null());
    println!("Processed {}/100", results.len() - failed.count());

    mock.clear_log();
    let answered = |log: &[ai_mock::Entry]| log.iter().filter(|it| it.status == Some(200)).count();
    let mut kept = Vec::new();
    tokio::select! {
        results = processor.process_batch(&prompts) => kept = results,
        _ = mock.wait_for_async(Duration::MAX, |log| answered(log) >= 50) => {} // Ctrl-C
    }
    let paid = answered(&mock.log());
    println!(
        "stopped after {paid} answers, all paid for: {} are kept",
        kept.len()
    );
    Ok(())
}
