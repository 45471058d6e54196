//! The server: connections, and what they share.
//!
//! One task a connection. While a request is worked on, the task also listens to the connection: when the client
//! goes away, the work is dropped wherever it stands (in line, in its latency, between two tokens), which frees
//! its slot and writes into the log where it was. So nothing else has to look out for clients that left.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::ReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::control;
use crate::errors::ApiError;
use crate::http::{self, Head, ReadError};
use crate::log::Log;
use crate::quota::Window;
use crate::settings::Settings;
use crate::work::Work;

/// What the handle and all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Arc<Log>,
    current: Mutex<Arc<Current>>,
    window: Mutex<Window>,
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    connections: AtomicU64,
}

/// The settings, and the slots that belong to them.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) settings: Settings,
    pub(crate) slots: Option<Arc<Semaphore>>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let slots = settings.slots.map(|n| Arc::new(Semaphore::new(n)));
        Self {
            log: Arc::new(Log::new()),
            current: Mutex::new(Arc::new(Current { settings, slots })),
            window: Mutex::default(),
            gates: Mutex::default(),
            connections: AtomicU64::new(0),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        self.current().settings.clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut current = lock(&self.current);
        let mut settings = current.settings.clone();
        change(&mut settings);
        // Whoever is in line stays in the old one, so a new number of slots makes a new line.
        let slots = if settings.slots == current.settings.slots {
            current.slots.clone()
        } else {
            settings.slots.map(|n| Arc::new(Semaphore::new(n)))
        };
        *current = Arc::new(Current { settings, slots });
    }

    /// The permits of a gate, which comes into being when it is first named.
    pub(crate) fn gate(&self, name: &str) -> Arc<Semaphore> {
        lock(&self.gates)
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(0)))
            .clone()
    }

    pub(crate) fn window(&self) -> MutexGuard<'_, Window> {
        lock(&self.window)
    }

    /// The settings at this moment; a request keeps those it arrived under.
    pub(crate) fn current(&self) -> Arc<Current> {
        lock(&self.current).clone()
    }
}

/// Nothing panics while it holds one of these locks, but a poisoned one would be no reason to stop either.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts connections for ever.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut warned = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, shared.clone()));
            }
            Err(error) => {
                // Most likely too many open files. The connection waits in the backlog, so we try again.
                if !std::mem::replace(&mut warned, true) {
                    eprintln!("ai-mock: cannot accept a connection: {error} (see `ulimit -n`)");
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// What becomes of the connection after a request.
pub(crate) enum End {
    /// It may carry the next request.
    Next,
    Close,
    Reset,
    /// The client is gone.
    Left,
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    // Without this, small writes wait for the acknowledgement of the one before: 40 ms a token.
    let _ = stream.set_nodelay(true);
    let mut buffer = BytesMut::new();
    let mut id = None;
    loop {
        let request = match http::read(&mut stream, &mut buffer).await {
            Ok(request) => request,
            Err(ReadError::Closed) => return,
            Err(ReadError::Bad(status, why)) => {
                let error = ApiError::new(status, "invalid_request_error", None, why);
                let mut head = json_head(status);
                head.set("connection", "close");
                let _ = send(&mut stream, head, error.body()).await;
                return;
            }
        };
        if buffer.is_empty() {
            // Ten thousand waiting streams should not keep ten thousand read buffers.
            buffer = BytesMut::new();
        }
        let keep_alive = request.keep_alive;
        let end = if let Some(path) = request.path.strip_prefix("/_mock/") {
            let (status, body) = control::reply(&shared, &request.method, path, &request.body);
            send(&mut stream, json_head(status), body)
                .await
                .map_or(End::Left, |()| End::Next)
        } else {
            let new = id.is_none();
            let id =
                *id.get_or_insert_with(|| shared.connections.fetch_add(1, Ordering::Relaxed) + 1);
            let work = Work::new(&shared, request, id, new);
            let (mut read, mut write) = stream.split();
            tokio::select! {
                biased;
                () = client_left(&mut read, &mut buffer) => End::Left,
                end = work.run(&mut write) => end.unwrap_or(End::Left),
            }
        };
        match end {
            End::Next if keep_alive => {}
            End::Reset => {
                // A socket closed with a linger time of zero sends RST instead of FIN.
                let _ = stream.set_zero_linger();
                return;
            }
            End::Next | End::Close | End::Left => return,
        }
    }
}

/// Returns when the client has closed its side. What it sends meanwhile, the next request, is kept.
///
/// A client that only shuts down its sending half looks the same and is taken as gone; HTTP clients don't do that.
async fn client_left(read: &mut ReadHalf<'_>, buffer: &mut BytesMut) {
    const MOST: usize = 1 << 20;
    let mut bytes = [0; 512];
    while buffer.len() < MOST {
        match read.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(n) => buffer.extend_from_slice(&bytes[..n]),
        }
    }
    std::future::pending().await
}

pub(crate) fn json_head(status: u16) -> Head {
    Head {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
    }
}

async fn send(stream: &mut TcpStream, mut head: Head, body: Vec<u8>) -> io::Result<()> {
    head.set("content-length", body.len().to_string());
    stream.write_all(&[head.encode(), body].concat()).await
}
