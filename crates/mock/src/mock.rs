//! The handle: starts the server on a thread of its own, changes it while it runs, and stops it when dropped.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, oneshot};

use crate::failure::{FailFirst, Failure};
use crate::latency::Latency;
use crate::log::{Entry, Stats, WaitError};
use crate::quota::Quota;
use crate::scripts::Script;
use crate::server::{self, Shared};
use crate::settings::{Service, Settings};

/// A running mock. Dropping it closes every connection and frees the port.
///
/// It has its own thread and its own runtime, so that it serves blocking and async callers alike and a busy
/// caller can't slow it down by holding up a shared runtime.
#[derive(Debug)]
pub struct Mock {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mock {
    /// Starts a mock with the defaults: no latency, no limits, no faults, a free port on 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound or no thread started.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// A mock still to be started.
    pub fn builder() -> Builder {
        Builder {
            settings: Settings::default(),
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
        }
    }

    /// What goes into `OPENAI_BASE_URL`: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests so far, in order of arrival.
    pub fn log(&self) -> Vec<Entry> {
        self.shared.log.entries()
    }

    /// Forgets the requests, their attempts and the counters of [`stats`](Self::stats).
    ///
    /// What is in flight goes on, unseen by the log; it still counts as in flight, and so do its tokens as sent.
    pub fn clear_log(&self) {
        self.shared.log.clear();
    }

    /// The counters since the start or the last [`clear_log`](Self::clear_log).
    pub fn stats(&self) -> Stats {
        self.shared.log.stats()
    }

    /// Blocks until the log meets a condition, and returns it.
    ///
    /// The condition is asked after each change. It holds the log's lock meanwhile, so it must not call the mock.
    ///
    /// # Errors
    /// When the limit has passed; the error shows the log.
    pub fn wait_for(
        &self,
        limit: Duration,
        met: impl Fn(&[Entry]) -> bool,
    ) -> Result<Vec<Entry>, WaitError> {
        self.shared.log.wait_for(limit, met)
    }

    /// [`wait_for`](Self::wait_for) that waits in a task, on tokio.
    ///
    /// # Errors
    /// When the limit has passed; the error shows the log.
    pub async fn wait_for_async(
        &self,
        limit: Duration,
        met: impl Fn(&[Entry]) -> bool,
    ) -> Result<Vec<Entry>, WaitError> {
        self.shared.log.wait_for_async(limit, met).await
    }

    /// The gate of this name: requests with the header `x-mock-gate: name` go on only as it lets them.
    pub fn gate(&self, name: &str) -> Gate {
        Gate(self.shared.gate(name))
    }

    /// Changes how the mock behaves, for the requests that arrive from now on.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.change(change);
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Settings {
        self.shared.settings()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread's panic has been printed by its hook; a second panic in a drop would abort.
            let _ = thread.join();
        }
    }
}

/// Holds the tokens of gated requests back until they are released.
///
/// A stream takes one permit before each token, a plain reply one before its head. Permits may be given in advance.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// Lets n tokens pass, now or whenever they come.
    pub fn release(&self, n: usize) {
        self.0.add_permits(n);
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        self.0.close();
    }
}

/// Settings of a mock that has not started yet.
#[derive(Clone, Debug)]
pub struct Builder {
    settings: Settings,
    host: IpAddr,
    port: u16,
}

impl Builder {
    /// Fixes the answers, the drawn latencies and the faults.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Time to the head of a plain reply.
    pub fn latency(mut self, latency: impl Into<Latency>) -> Self {
        self.settings.latency = latency.into();
        self
    }

    /// Replaces the latency for one service.
    pub fn service_latency(mut self, service: Service, latency: impl Into<Latency>) -> Self {
        self.settings
            .service_latency
            .insert(service, latency.into());
        self
    }

    /// Time to the head and first token of a stream.
    pub fn first_token(mut self, latency: impl Into<Latency>) -> Self {
        self.settings.first_token = Some(latency.into());
        self
    }

    /// Pace of the tokens of a stream.
    pub fn tokens_per_second(mut self, pace: f64) -> Self {
        self.settings.tokens_per_second = Some(pace);
        self
    }

    /// Serves at most n requests at once; the others wait in line.
    pub fn slots(mut self, n: usize) -> Self {
        self.settings.slots = Some(n);
        self
    }

    /// Lets this share of attempts, in [0, 1], fail. Called again, it adds another kind of failure.
    pub fn failure_rate(mut self, rate: f64, failure: Failure) -> Self {
        self.settings.failure_rate.push((rate, failure));
        self
    }

    /// Lets the first n attempts of each item fail.
    pub fn fail_first(mut self, n: u32, failure: Failure) -> Self {
        self.settings.fail_first = Some(FailFirst {
            attempts: Some(n),
            failure,
        });
        self
    }

    /// Limits the rate.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.settings.quota = Some(quota);
        self
    }

    /// Accepts only this key.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.settings.api_key = Some(key.into());
        self
    }

    /// Plays this script for every request that names none.
    pub fn script(mut self, script: Script) -> Self {
        self.settings.script = script;
        self
    }

    /// Replaces the script for one service.
    pub fn service_script(mut self, service: Service, script: Script) -> Self {
        self.settings.service_script.insert(service, script);
        self
    }

    /// Makes every text answer exactly this long.
    pub fn answer_tokens(mut self, n: u32) -> Self {
        self.settings.answer_tokens = Some(n);
        self
    }

    /// Sends so many tokens of a stream in one write; 0 is as good as 1.
    pub fn tokens_per_write(mut self, n: u32) -> Self {
        self.settings.tokens_per_write = NonZeroU32::new(n);
        self
    }

    /// Makes the text of each streamed token the [time](Settings::stamp_tokens) at which it was written.
    pub fn stamp_tokens(mut self) -> Self {
        self.settings.stamp_tokens = true;
        self
    }

    /// Holds every request that names no gate at this one.
    pub fn gate(mut self, name: impl Into<String>) -> Self {
        self.settings.gate = Some(name.into());
        self
    }

    /// Sets all settings at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens on this address instead of 127.0.0.1.
    pub fn host(mut self, host: IpAddr) -> Self {
        self.host = host;
        self
    }

    /// Starts it; when this returns, connections are accepted.
    ///
    /// # Errors
    /// When the port can't be bound or no thread started.
    pub fn start(self) -> io::Result<Mock> {
        let shared = Arc::new(Shared::new(self.settings));
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = mpsc::channel();
        let server = shared.clone();
        let wanted = SocketAddr::new(self.host, self.port);
        let thread = std::thread::Builder::new()
            .name("ai-mock".to_owned())
            .spawn(move || {
                // One thread is enough: what it does a token is far less than what a client does with it, and on a
                // laptop of two cores it leaves one to the client.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(bound.send(Err(error))),
                };
                runtime.block_on(async {
                    match listen(wanted) {
                        Ok(listener) => {
                            // If nobody waits for the address any more, the channel to stop us is closed too.
                            let _ = bound.send(listener.local_addr());
                            tokio::select! {
                                () = server::serve(listener, server) => {}
                                _ = stopped => {}
                            }
                        }
                        Err(error) => drop(bound.send(Err(error))),
                    }
                });
            })?;
        let addr = address
            .recv()
            .map_err(|_| io::Error::other("the mock's thread ended before it was ready"))??;
        Ok(Mock {
            addr,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

fn listen(wanted: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    // The default backlog of 1024 would drop connections when thousands of streams open at once.
    const BACKLOG: u32 = 8192;
    let socket = if wanted.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // On Unix this only lets a restarted mock have its port back; on Windows it would let two share one.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(wanted)?;
    socket.listen(BACKLOG)
}
