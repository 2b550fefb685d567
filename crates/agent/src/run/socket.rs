//! The control protocol on the unix socket.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::control::{LINE_LIMIT, SOCKET_PATH};
use rustix::fs::Mode;

use super::hub::Peer;
use super::{App, answer};
use crate::init::state::make_directories;

/// Connections at a time: each has two threads.
const PEER_LIMIT: usize = 8;

/// Binds the socket for root alone.
pub fn bind() -> io::Result<UnixListener> {
    let path = Path::new(SOCKET_PATH);
    if let Some(folder) = path.parent() {
        make_directories(folder)?;
    }
    let _left_over = fs::remove_file(path);
    // Nobody else may connect between making the socket and giving it its mode. No other thread runs yet.
    let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(umask);
    listener
}

/// Accepts connections for ever.
pub fn serve(app: &Arc<App>, listener: &UnixListener) {
    let peers = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if peers.fetch_add(1, Ordering::AcqRel) >= PEER_LIMIT {
            // Dropping it closes the connection.
            peers.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (app, count) = (app.clone(), peers.clone());
        let started = super::spawn("peer", move || {
            let _gone = talk(&app, stream);
            count.fetch_sub(1, Ordering::AcqRel);
        });
        if started.is_err() {
            peers.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn talk(app: &Arc<App>, stream: UnixStream) -> io::Result<()> {
    let (peer, outbox) = app.hub.join();
    let mut writer = stream.try_clone()?;
    super::spawn("writer", move || {
        outbox.write_to(|line| writer.write_all(line.as_bytes()));
        let _gone = writer.shutdown(std::net::Shutdown::Both);
    })?;
    let outcome = answer_lines(app, &peer, &mut BufReader::new(&stream));
    // The writer ends after the last reply and closes the stream.
    app.hub.leave(peer);
    outcome
}

/// Answers line after line until the stream ends. A line longer than the limit ends it too.
pub fn answer_lines(app: &App, peer: &Peer, reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut line)?;
        if line.len() > LINE_LIMIT || !line.ends_with(b"\n") {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            peer.reply(&answer::line(app, text.trim()));
        }
    }
}
