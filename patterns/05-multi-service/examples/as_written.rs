//! The guide's pattern 5, as written: `cargo run --example multi-service-as-written`
//!
//! A port of its `comprehensive_analysis`, with calls where it sleeps. An exception stands in the
//! field of the data, so the error of the sentiment service is the sentiment, and joining the
//! entities fails. And nothing bounds the time: one slow service holds up everything.

use std::time::{Duration, Instant};

use ai_core::{AsyncClient, Config, Error};
use ai_mock::{Failure, Mock, Service};
use multi_service::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) async fn comprehensive_analysis(client: &AsyncClient, text: &str) -> Value {
    let (embedding, sentiment, summary, entities) = tokio::join!(
        get_embedding_async(client, text),
        analyze_sentiment_async(client, text),
        summarize_async(client, text),
        extract_entities_async(client, text),
    );
    json!({
        "embedding": data_or_exception(embedding),
        "sentiment": data_or_exception(sentiment),
        "summary": data_or_exception(summary),
        "entities": data_or_exception(entities),
        "text": text,
    })
}

/// The guide's `return_exceptions=True`.
fn data_or_exception(result: Result<impl Serialize, Error>) -> Value {
    result.map_or_else(|error| json!(error.to_string()), |data| json!(data))
}

/// Python's `', '.join(names)`.
pub(crate) fn join(names: &Value) -> Result<String, &'static str> {
    let names =
        Vec::<String>::deserialize(names).or(Err("TypeError: can only join an iterable"))?;
    Ok(names.join(", "))
}

#[tokio::main]
#[cfg_attr(test, allow(dead_code))]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slow = Duration::from_secs(3);
    let mock = Mock::builder()
        .service_latency(Service::Summary, slow)
        .start()?;
    let client = AsyncClient::new(Config::new(&mock.base_url(), "sk-test")?)?;
    let started = Instant::now();
    comprehensive_analysis(&client, TEXT).await;
    let elapsed = started.elapsed();
    println!("one slow service, and the whole takes {elapsed:.1?}");
    mock.set(|settings| settings.failure_rate = vec![(1.0, Failure::Status(503))]);
    let analysis = comprehensive_analysis(&client, TEXT).await;
    println!("Sentiment: {}", analysis["sentiment"]);
    println!("Entities: {:?}", join(&analysis["entities"]));
    Ok(())
}
