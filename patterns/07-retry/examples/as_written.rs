//! The guide's `retry_with_backoff`, as written: a faithful port with its flaws kept.
//! `cargo run --example retry-as-written`
//!
//! It retries what cannot work, is deaf to Retry-After, and takes attempts for retries.

use std::error::Error;
use std::time::Duration;

use ai_core::{AsyncClient, Config, Error as AiError};
use ai_mock::{Mock, Quota};

pub(crate) async fn retry_with_backoff<T, Fut: Future<Output = Result<T, AiError>>>(
    mut func: impl FnMut() -> Fut,
    max_retries: u32,
    base_delay: f64,
) -> Result<T, Box<dyn Error>> {
    for attempt in 0..max_retries {
        // `except Exception`: whatever it is.
        let error = match func().await {
            Ok(value) => return Ok(value),
            Err(error) if attempt == max_retries - 1 => return Err(error.into()),
            Err(error) => error,
        };
        let mut delay = f64::min(base_delay * 2_f64.powf(attempt.into()), 60.0);
        delay *= 0.5 + rand::random::<f64>() * 0.5;
        let attempt = attempt + 1;
        println!("Attempt {attempt} failed: {error}. Retrying in {delay:.2}s...");
        tokio::time::sleep(Duration::from_secs_f64(delay)).await;
    }
    // Python's `raise None`.
    Err("TypeError: exceptions must derive from BaseException".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mock = Mock::builder().api_key("sk-right").start()?;
    let ask = async |key: &str, max_retries: u32| {
        let client = AsyncClient::new(Config::new(&mock.base_url(), key)?)?;
        // The guide's second, at a hundredth.
        retry_with_backoff(|| client.generate_text("Hello"), max_retries, 0.01).await
    };
    let error = ask("sk-wrong", 5).await.expect_err("the key is wrong");
    let attempts = mock.stats().requests;
    println!("a wrong key, {attempts} attempts: {error}\n");
    mock.set(|settings| {
        settings.quota = Some(Quota {
            requests: Some(1),
            ..Quota::default()
        });
    });
    ask("sk-right", 3).await?;
    let error = ask("sk-right", 3).await.expect_err("over the limit");
    println!("over the limit, 3 attempts: {error}\n");
    let error = ask("sk-right", 0).await.expect_err("nothing is tried");
    println!("max_retries=0: {error}");
    Ok(())
}
