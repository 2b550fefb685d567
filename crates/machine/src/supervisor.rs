//! Owns the QEMU process: starts it, watches it, replaces a KVM that fails, stops it.
//!
//! One thread does all of it, so that nobody races for the process. Everybody else sends [`Order`]s and reads [`Shared`].

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::acceleration::{self, Acceleration, Verdict};
use crate::error::{MachineError, io as io_error};
use crate::folder::{VmFolder, names};
use crate::note::Note;
use crate::plan::QemuCommand;
use crate::qmp::Qmp;
use crate::relay::PortState;

/// How long QEMU may take until its monitor answers.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(25);
/// How often the run state is asked for while KVM has to prove itself.
const STATE_INTERVAL: Duration = Duration::from_millis(250);
/// So much on the serial console is more than a boot loader's greeting: the kernel runs.
const SERIAL_PROOF: u64 = 512;
/// How much of QEMU's words is told in errors.
const SAID_LIMIT: u64 = 2000;

/// Asks the supervisor for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As if somebody pressed the power button.
    PressPower,
    /// End QEMU in an orderly way; the guest is not asked.
    Quit,
    /// End QEMU at once: a power cut.
    Kill,
}

/// How QEMU ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, when it was not killed.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The last lines it wrote.
    pub said: String,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("no exit code"),
        }
    }
}

/// What everybody may read.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    facts: Mutex<Facts>,
    changed: Condvar,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) exit: Option<Exit>,
    pub(crate) acceleration: Option<Acceleration>,
    pub(crate) restarts: u32,
    pub(crate) qemu: u32,
}

impl Shared {
    pub(crate) fn facts(&self) -> Facts {
        self.lock().clone()
    }

    /// Waits for the end.
    pub(crate) fn wait_exit(&self, timeout: Duration) -> Option<Exit> {
        let deadline = Instant::now() + timeout;
        let mut facts = self.lock();
        while facts.exit.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            facts = self.changed.wait_timeout(facts, left).expect("BUG: the supervisor panicked").0;
        }
        facts.exit.clone()
    }

    fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().expect("BUG: the supervisor panicked")
    }
}

/// What the supervisor needs to start QEMU, and to start it again.
pub(crate) struct Job {
    pub(crate) folder: VmFolder,
    /// The command for each way to provide the processor.
    pub(crate) command: Box<dyn Fn(Acceleration) -> QemuCommand + Send>,
    pub(crate) acceleration: Acceleration,
    /// Whether TCG may take the place of KVM.
    pub(crate) may_fall_back: bool,
    pub(crate) silence: Duration,
    pub(crate) port: PortState,
    pub(crate) notes: Arc<dyn Fn(Note) + Send + Sync>,
    /// Run after QEMU ended and before the lock is given up.
    pub(crate) clean_up: Box<dyn Fn(&VmFolder) + Send>,
}

/// A handle on the thread.
#[derive(Debug)]
pub(crate) struct Supervisor {
    orders: Sender<Order>,
    pub(crate) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// A channel for orders; made first because the relay needs its end before there is a supervisor.
    pub(crate) fn orders() -> (Sender<Order>, Receiver<Order>) {
        channel()
    }

    /// Starts QEMU and returns when its monitor answers.
    pub(crate) fn start(
        mut job: Job,
        orders: Sender<Order>,
        received: Receiver<Order>,
    ) -> Result<Self, MachineError> {
        rotate_serial_log(&job.folder)?;
        let shared = Arc::new(Shared::default());
        let process = match Process::launch(&mut job, &shared) {
            Err(MachineError::QemuFailed { exit, said }) if job.can_fall_back() => {
                let said = said.lines().last().unwrap_or_default().to_owned();
                job.fall_back(format!("QEMU ended with KVM ({exit}) {said}").trim_end(), &shared)?
            }
            other => other?,
        };
        let watched = Arc::clone(&shared);
        let thread = thread::spawn(move || watch(job, process, &received, &watched));
        Ok(Self { orders, shared, thread: Some(thread) })
    }

    pub(crate) fn order(&self, order: Order) {
        // A supervisor that is gone has nothing left to stop.
        let _ = self.orders.send(order);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.order(Order::Kill);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Job {
    fn can_fall_back(&self) -> bool {
        self.may_fall_back && self.acceleration == Acceleration::Kvm
    }

    fn fall_back(&mut self, why: &str, shared: &Shared) -> Result<Process, MachineError> {
        self.acceleration = Acceleration::Tcg;
        let process = Process::launch(self, shared)?;
        // Only now is KVM to blame: what fails with TCG too has another reason. The next run need not find out again.
        let program = (self.command)(Acceleration::Tcg).program;
        acceleration::remember(&program, self.folder.path(), &Verdict::Broken(why.to_owned()));
        (self.notes)(Note::Emulated { why: why.to_owned() });
        Ok(process)
    }
}

struct Process {
    child: Child,
    monitor: Qmp,
    started: Instant,
    state_asked: Instant,
    is_proven: bool,
}

impl Process {
    fn launch(job: &mut Job, shared: &Shared) -> Result<Self, MachineError> {
        let command = (job.command)(job.acceleration);
        let log_path = job.folder.file(names::QEMU_LOG);
        // Sockets of an earlier QEMU must not be taken for this one's.
        job.folder.remove(names::MONITOR)?;
        job.folder.remove(names::GUEST)?;
        let log = File::create(&log_path).map_err(io_error("write", &log_path))?;
        let child = Command::new(&command.program)
            .args(&command.arguments)
            .current_dir(job.folder.path())
            // The lock lives as long as QEMU, whatever happens to us.
            .stdin(Stdio::from(job.folder.share_lock()?))
            .stdout(log.try_clone().map_err(io_error("write", &log_path))?)
            .stderr(log)
            // Ctrl-C in the terminal is for us; QEMU would cut the power.
            .process_group(0)
            .spawn();
        let mut child = match child {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(MachineError::NoProgram { program: command.program });
            }
            other => other.map_err(io_error("start", &command.program))?,
        };
        let started = Instant::now();
        let connected = job
            .folder
            .write_owner(Some(child.id()))
            .and_then(|()| connect_monitor(&mut child, &job.folder, &log_path, started));
        match connected {
            Ok(monitor) => {
                shared.update(|facts| {
                    facts.acceleration = Some(job.acceleration);
                    facts.qemu = child.id();
                });
                Ok(Self { child, monitor, started, state_asked: started, is_proven: false })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Why this KVM has to be replaced, if it has.
    fn find_kvm_failure(&mut self, job: &Job) -> Option<String> {
        if self.is_proven || self.state_asked.elapsed() < STATE_INTERVAL {
            return None;
        }
        self.state_asked = Instant::now();
        if self.monitor.run_state().is_ok_and(|state| state == "internal-error") {
            return Some("KVM reports an internal error".to_owned());
        }
        let serial = fs::metadata(job.folder.file(names::SERIAL_LOG)).map_or(0, |found| found.len());
        if job.port.lines() > 0 {
            self.is_proven = true;
        } else if self.started.elapsed() > job.silence {
            if serial < SERIAL_PROOF {
                return Some(format!("with KVM nothing happens for {} seconds", job.silence.as_secs()));
            }
            self.is_proven = true;
        }
        None
    }
}

fn connect_monitor(
    child: &mut Child,
    folder: &VmFolder,
    log: &Path,
    started: Instant,
) -> Result<Qmp, MachineError> {
    let path = folder.file(names::MONITOR);
    loop {
        match Qmp::connect(&path) {
            Ok(monitor) => return Ok(monitor),
            Err(_) if started.elapsed() < MONITOR_TIMEOUT => {}
            Err(source) => return Err(MachineError::Io { action: "connect to", path, source }),
        }
        if let Some(status) = child.try_wait().map_err(io_error("wait for", log))? {
            let exit = exit_of(status, log);
            return Err(MachineError::QemuFailed { exit: exit.to_string(), said: exit.said });
        }
        thread::sleep(PAUSE);
    }
}

fn watch(mut job: Job, mut process: Process, orders: &Receiver<Order>, shared: &Shared) {
    let log = job.folder.file(names::QEMU_LOG);
    let exit = loop {
        match orders.recv_timeout(PAUSE) {
            Ok(order) => obey(&mut process, order),
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody holds the run any more.
            Err(RecvTimeoutError::Disconnected) => obey(&mut process, Order::Kill),
        }
        while let Some(event) = process.monitor.try_event() {
            match event["event"].as_str() {
                Some("VSERPORT_CHANGE") => job.port.changed(event["data"]["open"] == json!(true)),
                Some("RESET") => shared.update(|facts| facts.restarts += 1),
                _ => {}
            }
        }
        let ended = process.child.try_wait();
        let failure = match (&ended, job.can_fall_back()) {
            (Ok(None), true) => process.find_kvm_failure(&job),
            _ => None,
        };
        if let Some(why) = failure {
            let _ = process.child.kill();
            let _ = process.child.wait();
            match job.fall_back(&why, shared) {
                Ok(next) => process = next,
                Err(error) => break Exit { code: None, signal: None, said: error.to_string() },
            }
            continue;
        }
        match ended {
            Ok(None) => {}
            Ok(Some(status)) => break exit_of(status, &log),
            Err(error) => break Exit { code: None, signal: None, said: error.to_string() },
        }
    };
    job.port.end();
    (job.clean_up)(&job.folder);
    // The lock is given up before the end is told: who waits for the end may start again at once.
    drop(process);
    drop(job);
    shared.update(|facts| facts.exit = Some(exit));
}

fn obey(process: &mut Process, order: Order) {
    // A monitor that does not answer is met with the next, stronger order.
    let _ = match order {
        Order::PressPower => process.monitor.execute("system_powerdown", json!({})).map(drop),
        Order::Quit => process.monitor.execute("quit", json!({})).map(drop),
        Order::Kill => {
            let _ = process.child.kill();
            Ok(())
        }
    };
}

fn exit_of(status: ExitStatus, log: &Path) -> Exit {
    let said = tail(log, SAID_LIMIT).unwrap_or_default();
    Exit { code: status.code(), signal: status.signal(), said: said.trim().to_owned() }
}

/// The last bytes of a log as text.
pub(crate) fn tail(path: &Path, limit: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn rotate_serial_log(folder: &VmFolder) -> Result<(), MachineError> {
    let log = folder.file(names::SERIAL_LOG);
    match fs::rename(&log, folder.file(names::SERIAL_LOG_BEFORE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("move away", &log)(error)),
        _ => Ok(()),
    }
}
