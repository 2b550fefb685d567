//! A server for a depot's folder: GET and HEAD of the paths a depot has, nothing else.
//!
//! A path is recognised, not cleaned (`path::Kind`): what is no path of a depot is 404 before any file is looked at, so that
//! there is nothing to traverse. Objects never change: they may be kept for a year, and their digest is their `ETag`. Indices
//! are asked for again each time.

mod answer;
mod path;
mod stall;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

use crate::error::{DepotError, io};
use crate::folder::DepotFolder;
use stall::Stalling;

/// What one client, or all of them, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait. Stops a crowd from taking every file handle.
    pub connections: usize,
    /// For a request's head, and between two requests. Stops a client that never ends its request.
    pub head: Duration,
    /// For the next byte to move either way. Stops a client that never reads its answer.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 256, head: Duration::from_secs(15), stall: Duration::from_secs(60) }
    }
}

/// One answered request, for whoever keeps a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who asked.
    pub peer: SocketAddr,
    /// `GET` or another word.
    pub method: String,
    /// The path, as it was sent, at most 200 characters.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
}

/// A server that runs until it is dropped or stopped.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Server {
    address: SocketAddr,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve `folder`, which MUST be a depot. Port 0 is any free one. `log` is called from several threads.
    pub fn start(
        folder: &Path,
        listen: SocketAddr,
        limits: Limits,
        log: impl Fn(Access) + Send + Sync + 'static,
    ) -> Result<Self, DepotError> {
        let depot = DepotFolder::open(folder)?;
        let root = std::fs::canonicalize(depot.path()).map_err(io("look at", folder))?;
        let failed = |source| DepotError::Listen { address: listen.to_string(), source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let log: Log = Arc::new(log);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, root.into(), limits, log) => {}
                    () = stopped.notified() => {}
                }
            });
            // Connections end with it: who is in the middle of a download asks for the rest later.
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Log = Arc<dyn Fn(Access) + Send + Sync>;

async fn accept(listener: TcpListener, root: Arc<Path>, limits: Limits, log: Log) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        // A place first: who finds none waits in the kernel's queue, where it costs nothing.
        let place = Arc::clone(&places).acquire_owned().await.expect("BUG: the semaphore is never closed");
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file handles, or the peer is gone: the next one may be luckier.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (root, log) = (Arc::clone(&root), Arc::clone(&log));
        tokio::spawn(async move {
            serve(stream, peer, root, limits, log).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, root: Arc<Path>, limits: Limits, log: Log) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (root, log) = (PathBuf::from(&*root), Arc::clone(&log));
        async move {
            let method = request.method().to_string();
            let path = request.uri().path().chars().take(200).collect();
            let answer = answer::answer(&root, request).await;
            log(Access { peer, method, path, status: answer.status().as_u16() });
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    // A connection that fails is its peer's business.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(Stalling::new(stream, limits.stall)), service)
        .await;
}

#[cfg(test)]
mod tests;
