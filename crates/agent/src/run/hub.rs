//! Peers that hear events.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

use model::control::{Event, Reply};
use serde::Serialize;

use super::lock;

/// Lines that wait for a peer. One that does not read loses events; it must not fill the memory.
const QUEUE: usize = 64;

/// All peers.
#[derive(Default)]
pub struct Hub {
    peers: Mutex<Vec<Peer>>,
}

/// The way to one peer.
#[derive(Clone)]
pub struct Peer {
    lines: SyncSender<String>,
    waiting: Arc<AtomicUsize>,
}

/// Where a peer's writer takes its lines from.
pub struct Outbox {
    lines: Receiver<String>,
    waiting: Arc<AtomicUsize>,
}

impl Hub {
    /// Adds a peer.
    pub fn join(&self) -> (Peer, Outbox) {
        let (sender, lines) = mpsc::sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let peer = Peer { lines: sender, waiting: waiting.clone() };
        lock(&self.peers).push(peer.clone());
        (peer, Outbox { lines, waiting })
    }

    /// Forgets a peer; its writer ends with the lines that are queued.
    pub fn leave(&self, peer: Peer) {
        lock(&self.peers).retain(|known| !Arc::ptr_eq(&known.waiting, &peer.waiting));
    }

    /// Sends an event to every peer; those whose outbox is gone are forgotten.
    pub fn broadcast(&self, event: &Event) {
        lock(&self.peers).retain(|peer| peer.send(event));
    }

    /// Waits until all lines are written, at most for `time`.
    pub fn flush(&self, time: Duration) {
        let began = Instant::now();
        let is_waiting = || lock(&self.peers).iter().any(|peer| peer.waiting.load(Ordering::Acquire) > 0);
        while is_waiting() && began.elapsed() < time {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Peer {
    /// Queues a reply.
    pub fn reply(&self, reply: &Reply) {
        self.send(reply);
    }

    /// Whether the peer is still there. A full queue drops the line.
    fn send(&self, message: &impl Serialize) -> bool {
        let Ok(mut line) = serde_json::to_string(message) else { return true };
        line.push('\n');
        self.waiting.fetch_add(1, Ordering::AcqRel);
        match self.lines.try_send(line) {
            Ok(()) => true,
            Err(error) => {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                matches!(error, mpsc::TrySendError::Full(_))
            }
        }
    }
}

impl Outbox {
    /// Writes lines until the peer or the agent is gone.
    pub fn write_to(self, mut write: impl FnMut(&str) -> std::io::Result<()>) {
        for line in &self.lines {
            let written = write(&line);
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            if written.is_err() {
                return;
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.waiting.store(0, Ordering::Release);
    }
}
