//! What the pairs share: runtimes, virtual time, and a server to call.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ai_core::{AsyncClient, Config};
use ai_mock::{Builder, Mock};
use tokio::runtime;
use tokio::task::JoinError;
use tokio::time::Instant;

/// Longer than anything here takes: only what is broken waits so long.
pub(crate) const LONG: Duration = Duration::from_secs(10);

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Runs a future on a runtime of one thread, which its tasks share.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    runtime.expect("a runtime can be built").block_on(future)
}

/// Runs a future in time that jumps: when all wait, it is the time at which the first goes on. So an
/// hour takes no time, and the figures are the same on every machine.
pub(crate) fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(future)
}

/// What a future makes, and how long it took.
pub(crate) async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    let made = future.await;
    (made, started.elapsed())
}

pub(crate) fn start(mock: Builder) -> Mock {
    mock.start().expect("a free port on 127.0.0.1")
}

pub(crate) fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid")
}

pub(crate) fn client(mock: &Mock) -> AsyncClient {
    AsyncClient::new(config(mock)).expect("a client can be built")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

/// What a task said when it panicked: its first sentence.
pub(crate) fn panic_words(error: JoinError) -> String {
    let panic = error.into_panic();
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    let words = words.unwrap_or_default();
    words.split(". ").next().unwrap_or(words).to_owned()
}
