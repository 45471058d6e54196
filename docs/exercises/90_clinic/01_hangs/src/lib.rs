//! Clinic: this program hangs.
//!
//! It summarizes a book, part by part, with few requests at one time. Short books it does.

// TODO: a book of four chapters is never done. Run the tests, read what the mock's log says, and find
// out who waits for whom. The cure is one place.

use std::num::NonZeroUsize;

use ai_core::{AsyncClient, Error};
use futures::future::join_all;
use tokio::sync::Semaphore;

/// Summarizes each part of each chapter, with at most `limit` requests under way.
pub async fn summarize_book(
    client: &AsyncClient,
    chapters: &[Vec<String>],
    limit: NonZeroUsize,
) -> Vec<Vec<Result<String, Error>>> {
    let permits = Semaphore::new(limit.get());
    let chapters = chapters.iter();
    join_all(chapters.map(|parts| summarize_chapter(client, &permits, parts))).await
}

async fn summarize_chapter(
    client: &AsyncClient,
    permits: &Semaphore,
    parts: &[String],
) -> Vec<Result<String, Error>> {
    // Not all chapters at once, either.
    let _permit = permits.acquire().await.expect("nobody closes it");
    join_all(parts.iter().map(|part| summarize(client, permits, part))).await
}

async fn summarize(client: &AsyncClient, permits: &Semaphore, part: &str) -> Result<String, Error> {
    let _permit = permits.acquire().await.expect("nobody closes it");
    client.generate_text(&format!("Summarize: {part}")).await
}
