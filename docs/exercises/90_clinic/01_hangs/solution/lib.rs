//! The solution of 90.01: a chapter takes no permit.

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
    // No permit here. Who holds one and waits for another waits for those who hold the others, and
    // they may be waiting for him.
    join_all(parts.iter().map(|part| summarize(client, permits, part))).await
}

async fn summarize(client: &AsyncClient, permits: &Semaphore, part: &str) -> Result<String, Error> {
    let _permit = permits.acquire().await.expect("nobody closes it");
    client.generate_text(&format!("Summarize: {part}")).await
}
