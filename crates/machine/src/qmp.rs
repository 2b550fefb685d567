//! QEMU's machine protocol: JSON lines on a unix socket. See `docs/interop/qmp-spec.rst` of QEMU.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::MachineError;
use crate::line::{Line, LineReader};
use crate::socket;

/// Longest line from QEMU. Stops a monitor gone mad from filling memory.
const LINE_LIMIT: usize = 1 << 20;
/// How long a command may take. All of ours return at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to QEMU's monitor. Only one can exist for a QEMU at any time.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    replies: Receiver<Value>,
    events: Receiver<Value>,
}

impl Qmp {
    /// Connects and leaves the negotiation mode. Fails with `NotFound` or `ConnectionRefused` while QEMU is not up.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = socket::connect(path)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let (reply_sender, replies) = channel();
        let (event_sender, events) = channel();
        let reader = LineReader::new(stream.try_clone()?, LINE_LIMIT);
        thread::spawn(move || read_lines(reader, &reply_sender, &event_sender));
        let mut qmp = Self { stream, replies, events };
        qmp.execute("qmp_capabilities", json!({})).map_err(io::Error::other)?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, MachineError> {
        let monitor = |why: String| MachineError::Monitor { why };
        // An answer that came after its time-out is not this command's.
        while self.replies.try_recv().is_ok() {}
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes()).map_err(|error| monitor(format!("`{command}`: {error}")))?;
        match self.replies.recv_timeout(ANSWER_TIMEOUT) {
            Ok(mut reply) => match reply.get("error") {
                Some(error) => {
                    Err(monitor(format!("`{command}`: {}", error["desc"].as_str().unwrap_or("refused"))))
                }
                None => Ok(reply["return"].take()),
            },
            Err(RecvTimeoutError::Timeout) => Err(monitor(format!("`{command}` was not answered"))),
            Err(RecvTimeoutError::Disconnected) => Err(monitor(format!("`{command}`: the connection ended"))),
        }
    }

    /// The run state: `running`, `paused`, `internal-error`, `shutdown`, ...
    pub fn run_state(&mut self) -> Result<String, MachineError> {
        let status = self.execute("query-status", json!({}))?;
        Ok(status["status"].as_str().unwrap_or_default().to_owned())
    }

    /// The next event that is already there.
    pub fn try_event(&mut self) -> Option<Value> {
        self.events.try_recv().ok()
    }
}

fn read_lines(mut reader: LineReader<UnixStream>, replies: &Sender<Value>, events: &Sender<Value>) {
    while let Ok(line) = reader.next() {
        let value: Value = match line {
            Line::Text(text) => match serde_json::from_slice(&text) {
                Ok(value) => value,
                Err(_) => continue,
            },
            Line::TooLong => continue,
            Line::End => return,
        };
        // The greeting has neither key and is left out.
        let sent = if value.get("event").is_some() {
            events.send(value)
        } else if value.get("return").is_some() || value.get("error").is_some() {
            replies.send(value)
        } else {
            Ok(())
        };
        if sent.is_err() {
            return;
        }
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        // Ends the reader thread, which holds a clone.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
