//! The host's side of the control protocol ([`model::control`]).
//!
//! A client speaks to `control.sock` of a VM folder, where a run serves its appliance to any number of clients, or to any
//! other socket with an agent behind it. What comes from it is not trusted: lines have a limit, junk is skipped, and a
//! peer that sends nothing but junk is told apart from an agent.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::control::{Answer, Call, Event, LINE_LIMIT, Outcome, Refusal, Reply, Request};
use serde_json::Value;

use crate::line::{Line, LineReader};
use crate::socket;

/// How long an answer may take unless said otherwise: a settings change restarts services.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// So many lines of junk before the first good one, and the peer is not an agent. A few are forgiven: a serial port can
/// begin in the middle of a line.
const JUNK_LIMIT: u32 = 16;

/// A connection to an agent.
#[derive(Debug)]
pub struct ControlClient {
    path: PathBuf,
    reader: LineReader<UnixStream>,
    next_id: u64,
    timeout: Duration,
    junk: u32,
    is_known: bool,
    events: std::collections::VecDeque<Event>,
}

/// Asking an agent failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no socket, or nobody listens on it.
    #[error("no appliance answers at `{path}`")]
    Absent {
        /// The socket.
        path: PathBuf,
    },
    /// The answer did not come in time.
    #[error("the appliance at `{path}` did not answer within {} seconds", .timeout.as_secs())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The peer speaks something else.
    #[error("what answers at `{path}` does not speak the control protocol: {sample}")]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// The beginning of what it said.
        sample: String,
    },
    /// The connection ended.
    #[error("the appliance at `{path}` ended the connection")]
    Ended {
        /// The socket.
        path: PathBuf,
    },
    /// The agent refused; nothing changed.
    #[error("{}", .refusal.message)]
    Refused {
        /// What and why.
        refusal: Box<Refusal>,
    },
    /// The request is longer than a line may be.
    #[error("the request to `{path}` is longer than {LINE_LIMIT} bytes")]
    TooLong {
        /// The socket.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("can not talk to `{path}`")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ControlClient {
    /// Connects to a socket.
    pub fn connect(path: &Path) -> Result<Self, ControlError> {
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                ControlError::Absent { path: path.to_owned() }
            }
            _ => ControlError::Io { path: path.to_owned(), source },
        };
        let stream = socket::connect(path).map_err(failed)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            reader: LineReader::new(stream, LINE_LIMIT),
            next_id: 1,
            timeout: ANSWER_TIMEOUT,
            junk: 0,
            is_known: false,
            events: std::collections::VecDeque::new(),
        })
    }

    /// Changes how long an answer may take.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks and waits for the answer. A refusal is [`ControlError::Refused`].
    pub fn call(&mut self, call: Call) -> Result<Answer, ControlError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = serde_json::to_vec(&Request { id, call }).expect("a request has only string keys");
        if line.len() > LINE_LIMIT {
            return Err(ControlError::TooLong { path: self.path.clone() });
        }
        line.push(b'\n');
        let mut stream = self.reader.stream();
        stream.write_all(&line).map_err(|source| self.failed(source))?;
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.next_message(deadline)? {
                Some(Message::Reply(reply)) if reply.id == id => match reply.outcome {
                    Outcome::Ok(answer) => return Ok(answer),
                    Outcome::Refused(refusal) => {
                        return Err(ControlError::Refused { refusal: Box::new(refusal) });
                    }
                },
                // The answer to a call that was given up on.
                Some(Message::Reply(_)) => {}
                Some(Message::Event(event)) => self.keep_event(event),
                None => return Err(ControlError::Silent { path: self.path.clone(), timeout: self.timeout }),
            }
        }
    }

    /// The next event, when one comes in time.
    pub fn next_event(&mut self, timeout: Duration) -> Result<Option<Event>, ControlError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        let deadline = Instant::now() + timeout;
        loop {
            match self.next_message(deadline)? {
                Some(Message::Event(event)) => return Ok(Some(event)),
                Some(Message::Reply(_)) => {}
                None => return Ok(None),
            }
        }
    }

    fn keep_event(&mut self, event: Event) {
        // Stops a peer that sends events for ever while a call waits from filling memory.
        const KEPT_EVENTS: usize = 256;
        if self.events.len() == KEPT_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The next good line; `None` at the deadline.
    fn next_message(&mut self, deadline: Instant) -> Result<Option<Message>, ControlError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.reader.stream().set_read_timeout(Some(left)).map_err(|source| self.failed(source))?;
            match self.reader.next() {
                Ok(Line::Text(line)) => match Message::parse(&line) {
                    Some(message) => {
                        self.is_known = true;
                        return Ok(Some(message));
                    }
                    None => self.count_junk(&line)?,
                },
                Ok(Line::TooLong) => self.count_junk(b"a line without end")?,
                Ok(Line::End) => return Err(ControlError::Ended { path: self.path.clone() }),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(source) => return Err(self.failed(source)),
            }
        }
    }

    fn count_junk(&mut self, line: &[u8]) -> Result<(), ControlError> {
        self.junk += 1;
        if self.is_known || self.junk < JUNK_LIMIT {
            return Ok(());
        }
        let sample = String::from_utf8_lossy(line).chars().take(60).flat_map(char::escape_default).collect();
        Err(ControlError::Foreign { path: self.path.clone(), sample })
    }

    fn failed(&self, source: io::Error) -> ControlError {
        match source.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                ControlError::Ended { path: self.path.clone() }
            }
            _ => ControlError::Io { path: self.path.clone(), source },
        }
    }
}

/// What an agent sends.
#[derive(Debug)]
pub(crate) enum Message {
    Reply(Reply),
    Event(Event),
}

impl Message {
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        if value.get("event").is_some() {
            serde_json::from_value(value).ok().map(Self::Event)
        } else {
            serde_json::from_value(value).ok().map(Self::Reply)
        }
    }
}
