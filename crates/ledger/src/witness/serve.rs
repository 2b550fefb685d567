//! A small HTTP server for a witness: two calls, each answered by a function.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::{Answer, REQUEST_LIMIT};

/// What one client, or all of them, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait. Stops a crowd from taking every file handle.
    pub connections: usize,
    /// For a request's head, between two requests, and for a request's body. Stops a client that never ends its request.
    pub request: Duration,
    /// For a connection with all its requests. Stops a client that never reads its answer.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, request: Duration::from_secs(15), connection: Duration::from_secs(300) }
    }
}

/// One request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asked.
    pub peer: SocketAddr,
    /// `GET`, `POST` or another word.
    pub method: String,
    /// The path without its first slash, at most 200 characters.
    pub path: String,
    /// The body, within [`REQUEST_LIMIT`].
    pub body: Vec<u8>,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Server {
    address: SocketAddr,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

type Answering = Arc<dyn Fn(Call) -> Answer + Send + Sync>;

impl Server {
    /// Starts to listen. Port 0 is any free one. `answer` is called from several threads, and may block: it is where
    /// [`super::Witness::answer`] is called, with the time and the key.
    pub fn start(
        listen: SocketAddr,
        limits: Limits,
        answer: impl Fn(Call) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(listen))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(Notify::new());
        let (stopped, answer): (_, Answering) = (Arc::clone(&stop), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, limits, answer) => {}
                    () = stopped.notified() => {}
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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

async fn accept(listener: TcpListener, limits: Limits, answer: Answering) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        // A place first: who finds none waits in the kernel's queue, where it costs nothing.
        let place = Arc::clone(&places).acquire_owned().await.expect("BUG: the semaphore is never closed");
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file handles, or the peer is gone: the next one may be luckier.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            // A connection that fails or takes too long is its peer's business.
            let _ = timeout(limits.connection, serve(stream, peer, limits, answer)).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, limits: Limits, answer: Answering) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = Arc::clone(&answer);
        async move { Ok::<_, Infallible>(response(respond(request, peer, limits, answer).await)) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(request: Request<Incoming>, peer: SocketAddr, limits: Limits, answer: Answering) -> Answer {
    let method = request.method().to_string();
    let path = request.uri().path().trim_start_matches('/').chars().take(200).collect();
    let body = match timeout(limits.request, Limited::new(request.into_body(), REQUEST_LIMIT).collect()).await
    {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(_)) => return Answer::plain(413, "the request is too long, or ended early\n"),
        Err(_) => return Answer::plain(408, "the request took too long\n"),
    };
    let call = Call { peer, method, path, body };
    // A co-signature waits for the disk.
    let answered = tokio::task::spawn_blocking(move || answer(call)).await;
    answered.unwrap_or_else(|_| Answer::plain(500, "the witness failed\n"))
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status.try_into().expect("BUG: no HTTP status");
    if let Ok(kind) = HeaderValue::from_str(&answer.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}
