//! The program, in both versions: what is set up, and how jobs are shared out.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use ai_core::{AsyncClient, SyncClient, SystemClock};
use caching::{AsyncCache, Cache};
use futures::stream::{self, StreamExt};
use rate_limited_batch::{AsyncLimiter, Limiter};
use tokio::task::spawn_blocking;

use crate::r#async::Layers as AsyncLayers;
use crate::batch::Batch;
use crate::line::Job;
use crate::sync::Layers;

/// Runs the program: all jobs of the input, to the output. A thread looks after each job.
///
/// # Errors
/// The exit code as well, when it could not begin and has said why.
pub fn run(mut batch: Batch) -> Result<ExitCode, ExitCode> {
    let (options, rules) = (&batch.options, batch.rules());
    let client = SyncClient::new(batch.server.config.clone());
    let client = client.map_err(|error| demo::fail(&error))?;
    let cache = Cache::open(&options.cache, options.ttl());
    let cache = cache.on_trouble(batch.warn());
    let clock = SystemClock::new();
    let limiter = Limiter::with_clock(options.limits(), clock);
    let mut layers = Layers::new(rules, cache, limiter, clock, move |request, options| {
        client.with(options)?.chat(request)
    });
    if let Some(after) = options.hedge {
        layers = layers.hedged(after);
    }
    let layers = Arc::new(layers);

    // Without a bound, since the collector has one: no job is read before it has a place there.
    let (send, jobs) = crossbeam_channel::unbounded::<Job>();
    let stopped = layers.clone();
    let stop = batch.begin(move |job| send.send(job).is_ok(), move || stopped.stop())?;
    let work = || {
        for job in &jobs {
            let done = layers.answer(&job);
            if !batch.collector.put(job.number, &done) {
                stop();
            }
        }
    };
    thread::scope(|scope| {
        for count in 0..batch.at_once {
            let Err(error) = thread::Builder::new().spawn_scoped(scope, work) else {
                continue;
            };
            if count == 0 {
                return Err(demo::fail(&error));
            }
            // Those there are do the same work, only less at one time.
            let only = format_args!("only {count} threads can be started ({error})");
            batch.console.note(only);
            break;
        }
        Ok(())
    })?;
    Ok(batch.close())
}

/// As [`run`], awaited. One task looks after all jobs.
///
/// # Errors
/// As [`run`].
pub async fn run_async(mut batch: Batch) -> Result<ExitCode, ExitCode> {
    let (options, rules) = (&batch.options, batch.rules());
    let client = AsyncClient::new(batch.server.config.clone());
    let client = client.map_err(|error| demo::fail(&error))?;
    let cache = AsyncCache::open(&options.cache, options.ttl()).on_trouble(batch.warn());
    let limiter = AsyncLimiter::new(options.limits());
    let mut layers = AsyncLayers::new(rules, cache, limiter, async move |request, options| {
        client.with(options)?.chat(request).await
    });
    if let Some(after) = options.hedge {
        layers = layers.hedged(after);
    }
    let layers = Arc::new(layers);

    // Without a bound, since the collector has one: no job is read before it has a place there.
    let (send, mut jobs) = tokio::sync::mpsc::unbounded_channel::<Job>();
    let stopped = layers.clone();
    let stop = batch.begin(move |job| send.send(job).is_ok(), move || stopped.stop())?;
    let work = async |job: Job| {
        let done = layers.answer(&job).await;
        // In a thread: the reader of the output may pause, and all jobs are one task, which must go on
        // with those that are under way.
        let collector = batch.collector.clone();
        let put = spawn_blocking(move || collector.put(job.number, &done)).await;
        if !put.expect("the collector does not panic") {
            stop();
        }
    };
    let jobs = stream::poll_fn(|context| jobs.poll_recv(context));
    jobs.for_each_concurrent(batch.at_once, work).await;
    Ok(batch.close())
}
