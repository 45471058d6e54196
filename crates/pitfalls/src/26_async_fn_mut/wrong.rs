//! The helper takes an async closure. The compiler refuses to spawn its future where the closure
//! borrows: "implementation of `Send` is not general enough".

// ANCHOR: wrong
async fn retry<T>(mut op: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    match op().await {
        None => op().await,
        value => value,
    }
}
// ANCHOR_END: wrong

async fn ask(prompt: &str) -> Option<usize> {
    Some(prompt.len())
}

fn spawn(_: impl Future + Send + 'static) {}

pub fn caller() {
    spawn(async {
        let prompt = String::from("Hello");
        retry(async || ask(&prompt).await).await
    });
}
