//! The helper takes a closure that makes futures. It can be spawned.

// ANCHOR: right
async fn retry<T, F: Future<Output = Option<T>>>(mut op: impl FnMut() -> F) -> Option<T> {
    match op().await {
        None => op().await,
        value => value,
    }
}
// ANCHOR_END: right

async fn ask(prompt: &str) -> Option<usize> {
    Some(prompt.len())
}

fn spawn(_: impl Future + Send + 'static) {}

pub fn caller() {
    spawn(async {
        let prompt = String::from("Hello");
        retry(|| ask(&prompt)).await
    });
}
