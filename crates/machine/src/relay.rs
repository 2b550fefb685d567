//! Serves the one control port of a running appliance to many clients.
//!
//! QEMU takes one connection to the port; this thread pair holds it and listens on `control.sock`. Requests get an id of
//! ours on the way in and their own back on the way out; events go to everybody. Nobody waits for somebody slow: a client
//! that does not read is dropped.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::control::{
    Answer, Call, Event, LINE_LIMIT, Outcome, Refusal, Reply, Request, Status, UndeclaredWrite,
};

use crate::control::Message;
use crate::line::{Line, LineReader};
use crate::socket;

/// Most clients at once. Stops a host process gone mad from taking every thread.
const CLIENT_LIMIT: usize = 64;
/// Most unanswered requests. Stops a client that never reads answers from filling memory.
const PENDING_LIMIT: usize = 1024;
/// How long a client or the port may take to accept a line.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(30);

/// What was heard from the agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Last status, by event or answer.
    pub(crate) status: Option<Status>,
    /// What the agent said when it stopped.
    pub(crate) undeclared_writes: Option<Vec<UndeclaredWrite>>,
    /// Good lines so far.
    pub(crate) lines: u64,
}

/// A running relay. Dropping it ends its threads.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Listens at `control` and keeps connecting to `guest`. `press_power` is called when somebody wants the appliance
    /// off and there is no agent to ask.
    pub(crate) fn start(
        control: &Path,
        guest: &Path,
        press_power: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = socket::listen(control)?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            is_closed: AtomicBool::new(false),
            is_port_open: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            state: Mutex::new(State::default()),
            press_power: Box::new(press_power),
        });
        let accepting = Arc::clone(&shared);
        let accept = thread::spawn(move || {
            while !accepting.is_closed() {
                match listener.accept() {
                    Ok((stream, _)) => accepting.welcome(stream),
                    Err(_) => thread::sleep(PAUSE),
                }
            }
        });
        let reading = Arc::clone(&shared);
        let guest = guest.to_owned();
        let read = thread::spawn(move || {
            while !reading.is_closed() {
                if let Ok(stream) = socket::connect(&guest) {
                    reading.serve_guest(stream);
                }
                thread::sleep(PAUSE);
            }
        });
        Ok(Self { shared, threads: vec![accept, read] })
    }

    pub(crate) fn heard(&self) -> Heard {
        self.shared.state().heard.clone()
    }

    /// A handle for the supervisor.
    pub(crate) fn port(&self) -> PortState {
        PortState(Arc::clone(&self.shared))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.shared.close_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What the supervisor knows about the port from QEMU.
#[derive(Clone, Debug)]
pub(crate) struct PortState(Arc<Shared>);

impl PortState {
    /// The guest opened or closed its end.
    pub(crate) fn changed(&self, is_open: bool) {
        self.0.is_port_open.store(is_open, Ordering::SeqCst);
        if !is_open {
            self.0.forget_agent();
        }
    }

    /// QEMU is gone. MUST be called before the VM folder's lock is given up: the sockets there are the next run's then.
    /// What the agent said last is still read.
    pub(crate) fn end(&self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        self.changed(false);
        for stream in self.0.state().clients.values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(crate) fn lines(&self) -> u64 {
        self.0.state().heard.lines
    }
}

struct Shared {
    is_closed: AtomicBool,
    is_port_open: AtomicBool,
    next_id: AtomicU64,
    state: Mutex<State>,
    press_power: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Guarded together: an answer must find the client its request came from.
#[derive(Debug, Default)]
struct State {
    guest: Option<UnixStream>,
    clients: BTreeMap<u64, UnixStream>,
    pending: BTreeMap<u64, Pending>,
    heard: Heard,
}

#[derive(Debug)]
struct Pending {
    client: u64,
    id: u64,
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("BUG: a thread of the relay panicked")
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::SeqCst)
    }

    fn welcome(self: &Arc<Self>, stream: UnixStream) {
        let set_up = || -> io::Result<UnixStream> {
            stream.set_nonblocking(false)?;
            stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
            stream.try_clone()
        };
        let Ok(writer) = set_up() else { return };
        let client = self.next_id();
        {
            let mut state = self.state();
            if state.clients.len() >= CLIENT_LIMIT {
                return;
            }
            state.clients.insert(client, writer);
        }
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let mut reader = LineReader::new(stream, LINE_LIMIT);
            while let Ok(line) = reader.next() {
                match line {
                    Line::Text(line) => shared.take_request(client, &line),
                    Line::TooLong => shared.refuse(client, 0, "the request is too long"),
                    Line::End => break,
                }
            }
            let mut state = shared.state();
            state.clients.remove(&client);
            state.pending.retain(|_, pending| pending.client != client);
        });
    }

    fn take_request(&self, client: u64, line: &[u8]) {
        let Ok(Request { id, call }) = serde_json::from_slice::<Request>(line) else {
            return self.refuse(client, 0, "the request is not of the control protocol");
        };
        if !self.is_port_open.load(Ordering::SeqCst) {
            if call == Call::PowerOff {
                (self.press_power)();
                return self.send(client, &Reply { id, outcome: Outcome::Ok(Answer::Done) });
            }
            return self.refuse(client, id, "the appliance's agent does not answer yet");
        }
        let ours = self.next_id();
        let mut bytes =
            serde_json::to_vec(&Request { id: ours, call }).expect("a request has only string keys");
        bytes.push(b'\n');
        let refusal = {
            let mut state = self.state();
            if state.pending.len() >= PENDING_LIMIT {
                Some("too many requests are waiting")
            } else {
                state.pending.insert(ours, Pending { client, id });
                match state.guest.as_ref().map(|mut guest| guest.write_all(&bytes)) {
                    Some(Ok(())) => None,
                    _ => {
                        state.pending.remove(&ours);
                        Some("the appliance does not take requests")
                    }
                }
            }
        };
        if let Some(why) = refusal {
            self.refuse(client, id, why);
        }
    }

    fn serve_guest(&self, stream: UnixStream) {
        let writer = stream.set_write_timeout(Some(WRITE_TIMEOUT)).and_then(|()| stream.try_clone());
        let Ok(writer) = writer else { return };
        self.state().guest = Some(writer);
        // After it is listed: whoever closes the relay now sees the stream, or is seen here.
        if self.is_closed() {
            return;
        }
        let mut reader = LineReader::new(stream, LINE_LIMIT);
        while let Ok(line) = reader.next() {
            match line {
                // What is not of the protocol is skipped: the guest is not trusted, and its port can begin mid-line.
                Line::Text(line) => {
                    if let Some(message) = Message::parse(&line) {
                        self.take_message(message);
                    }
                }
                Line::TooLong => {}
                Line::End => break,
            }
        }
        self.state().guest = None;
        self.forget_agent();
    }

    fn take_message(&self, message: Message) {
        self.is_port_open.store(true, Ordering::SeqCst);
        let mut state = self.state();
        state.heard.lines += 1;
        match message {
            Message::Event(event) => {
                match &event {
                    Event::Hello(status) | Event::Health(status) => state.heard.status = Some(status.clone()),
                    Event::Stopping { undeclared_writes } => {
                        state.heard.undeclared_writes = Some(undeclared_writes.clone());
                    }
                    Event::Update(update) => {
                        if let Some(status) = &mut state.heard.status {
                            status.update = update.clone();
                        }
                    }
                }
                let clients: Vec<u64> = state.clients.keys().copied().collect();
                drop(state);
                clients.into_iter().for_each(|client| self.send(client, &event));
            }
            Message::Reply(Reply { id, outcome }) => {
                if let Outcome::Ok(Answer::Status(status)) = &outcome {
                    state.heard.status = Some(status.clone());
                }
                // An answer to nobody: its client is gone.
                let Some(Pending { client, id }) = state.pending.remove(&id) else { return };
                drop(state);
                self.send(client, &Reply { id, outcome });
            }
        }
    }

    /// The agent is gone: nobody waits for its answers in vain, and its last status is not shown as the present one.
    fn forget_agent(&self) {
        let pending = {
            let mut state = self.state();
            state.heard.status = None;
            std::mem::take(&mut state.pending)
        };
        for Pending { client, id } in pending.into_values() {
            self.refuse(client, id, "the appliance's agent went away before it answered");
        }
    }

    fn refuse(&self, client: u64, id: u64, why: &str) {
        let refusal = Refusal { message: why.to_owned(), setting: None, rule: None, output: None };
        self.send(client, &Reply { id, outcome: Outcome::Refused(refusal) });
    }

    fn send(&self, client: u64, message: &impl serde::Serialize) {
        let mut bytes = serde_json::to_vec(message).expect("messages have only string keys");
        bytes.push(b'\n');
        let mut state = self.state();
        let Some(mut stream) = state.clients.get(&client) else { return };
        if stream.write_all(&bytes).is_err() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            state.clients.remove(&client);
        }
    }

    fn close_all(&self) {
        let state = self.state();
        for stream in state.clients.values().chain(&state.guest) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}
