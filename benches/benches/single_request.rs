//! Pattern 1: what one call costs beside bare reqwest, and what it costs to build a client for it.
//! `cargo bench -p benches --bench single-request`
//!
//! Nine tenths of what building one costs are the system's root certificates, by perf: reqwest reads
//! and decodes them for each client anew, some 300 files on Debian, also for a URL without TLS. With a
//! single certificate (`SSL_CERT_FILE`, and no `SSL_CERT_DIR`) it is a tenth. The rest is a connection,
//! and a thread with a runtime of its own in the client that blocks.

mod setup;

use ai_core::{AsyncClient, Config, SyncClient};
use benches::{
    Bare, BareBlocking, Figure, MockProcess, Output, PROMPT, Unit, runtime, serve_if_asked,
};
use criterion::Criterion;
use single_request::{ask, ask_async};

/// How many calls the connections are counted of.
const CALLS: u32 = 20;

fn main() {
    serve_if_asked(|mock| mock);
    let mock = MockProcess::start().expect("this program can start itself");
    setup::run(
        |output| count(output, &mock),
        |criterion| bench(criterion, &mock),
    );
}

/// A client that is built for each call opens a connection for each.
fn count(output: &mut Output, mock: &MockProcess) {
    output.title(format_args!("connections of {CALLS} calls"));
    let (runtime, config) = (runtime(), mock.config());
    let (sync, client) = (sync_client(&config), async_client(&config));
    let mut count = |version: &str, shared: &dyn Fn(), own: &dyn Fn()| {
        let connections = |name: &str, call: &dyn Fn()| {
            mock.forget().expect("the mock forgets");
            (0..CALLS).for_each(|_| call());
            let counted = mock.counted().expect("the mock counts").connections;
            let id = format!("single-request/{version}/{name}");
            Figure::one(id, Unit::Count, counted as f64)
        };
        output.row(&[
            connections("shared-client", shared),
            connections("client-a-call", own),
        ]);
    };
    count("sync", &|| one(&sync), &|| one(&sync_client(&config)));
    count("async", &|| runtime.block_on(one_async(&client)), &|| {
        runtime.block_on(one_async(&async_client(&config)));
    });
}

fn bench(criterion: &mut Criterion, mock: &MockProcess) {
    let (runtime, config) = (runtime(), mock.config());
    let (sync, client) = (sync_client(&config), async_client(&config));
    let mut group = setup::group(criterion, "single-request");

    group.bench_function("sync/shared-client", |b| b.iter(|| one(&sync)));
    group.bench_function("sync/client-a-call", |b| {
        b.iter(|| one(&sync_client(&config)));
    });
    let bare = BareBlocking::new(&mock.base_url);
    group.bench_function("sync/bare-reqwest", |b| b.iter(|| bare.ask()));

    group.bench_function("async/shared-client", |b| {
        b.iter(|| runtime.block_on(one_async(&client)));
    });
    group.bench_function("async/client-a-call", |b| {
        b.iter(|| runtime.block_on(one_async(&async_client(&config))));
    });
    let bare = Bare::new(&mock.base_url);
    group.bench_function("async/bare-reqwest", |b| {
        b.iter(|| runtime.block_on(bare.ask()));
    });
}

fn sync_client(config: &Config) -> SyncClient {
    SyncClient::new(config.clone()).expect("a client can be built")
}

fn async_client(config: &Config) -> AsyncClient {
    AsyncClient::new(config.clone()).expect("a client can be built")
}

fn one(client: &SyncClient) {
    ask(client, PROMPT).expect("the mock answers");
}

async fn one_async(client: &AsyncClient) {
    ask_async(client, PROMPT).await.expect("the mock answers");
}
