//! A blocking client in a task holds up the thread that the tasks share. Who moves a script into a
//! web handler has it, and a release build does not tell. Move the call to `spawn_blocking`, or await
//! an async client.

use ai_core::install_tls_provider;
use ai_mock::Mock;
use reqwest::Error;
use tokio::task::{JoinError, spawn_blocking};

use crate::Both;
use crate::support::{block_on, panic_words, secs, start};

// ANCHOR: wrong
/// In a debug build reqwest panics. In a release build the thread is blocked until the answer comes.
pub async fn wrong(url: String) -> Result<u16, Error> {
    get(&url)
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Blocks a thread that is there to be blocked.
pub async fn right(url: String) -> Result<u16, Error> {
    let call = spawn_blocking(move || get(&url));
    call.await.expect("it does not panic")
}
// ANCHOR_END: right

/// A call of the script: it blocks.
fn get(url: &str) -> Result<u16, Error> {
    let client = reqwest::blocking::Client::builder().no_proxy();
    let client = client.timeout(secs(1)).build()?;
    let response = client.get(url).bearer_auth("sk-test").send()?;
    Ok(response.status().as_u16())
}

/// Calls a server whose answer is let go by another task of the same thread.
fn call<F>(half: impl FnOnce(String) -> F) -> Result<Result<u16, Error>, JoinError>
where
    F: Future<Output = Result<u16, Error>> + Send + 'static,
{
    install_tls_provider();
    let mock = start(Mock::builder().gate("door"));
    let door = mock.gate("door");
    block_on(async {
        let call = tokio::spawn(half(format!("{}/models", mock.base_url())));
        let other_task = tokio::spawn(async move { door.open() });
        let result = call.await;
        other_task.await.expect("it does not panic");
        result
    })
}

pub(crate) fn both() -> Both {
    let told = |result: Result<Result<u16, Error>, JoinError>| match result {
        Ok(Ok(status)) => (true, format!("the server answers with {status}")),
        Ok(Err(_)) => (
            false,
            "no answer: the task to let it go has had no turn".into(),
        ),
        Err(error) => (false, format!("panic: {}", panic_words(error))),
    };
    Both::of(
        told(call(wrong)),
        told(call(right)),
        |it| it.0,
        |it| it.1.clone(),
    )
}
