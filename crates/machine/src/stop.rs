//! Stopping: politely first, then less so.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use model::control::{Answer, Call, UndeclaredWrite};
use serde_json::json;

use crate::control::{ControlClient, ControlError};
use crate::error::MachineError;
use crate::folder::{VmFolder, names};
use crate::qmp::Qmp;
use crate::run::Running;
use crate::supervisor::{Exit, Order};

/// How long each way of stopping may take before the next one is tried.
#[derive(Clone, Copy, Debug)]
pub struct StopTimeouts {
    /// For the agent to answer.
    pub answer: Duration,
    /// For the appliance to stop after its agent agreed.
    pub agent: Duration,
    /// For the appliance to stop after the power button was pressed.
    pub power_button: Duration,
    /// For QEMU to end after it was told to.
    pub quit: Duration,
}

impl Default for StopTimeouts {
    /// Generous, because emulated processors are slow and a data base takes its time.
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            agent: Duration::from_secs(90),
            power_button: Duration::from_secs(30),
            quit: Duration::from_secs(5),
        }
    }
}

/// What it took to stop an appliance. Later ones are less polite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopMethod {
    /// It had stopped by itself.
    Already,
    /// Its agent stopped it.
    Agent,
    /// The power button.
    PowerButton,
    /// QEMU was ended: a power cut for the appliance.
    Quit,
    /// QEMU was killed.
    Kill,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// What it took.
    pub method: StopMethod,
    /// How QEMU ended.
    pub exit: Exit,
    /// What the agent reported when it stopped; `None` when it did not.
    pub undeclared_writes: Option<Vec<UndeclaredWrite>>,
}

pub(crate) fn escalate(running: &Running, timeouts: StopTimeouts) -> Result<Stopped, MachineError> {
    let stopped = |method, exit| Ok(Stopped { method, exit, undeclared_writes: None });
    if let Some(exit) = running.wait_exit(Duration::ZERO) {
        return stopped(StopMethod::Already, exit);
    }
    // Without an agent the relay presses the power button in its place; `last_status` tells the two apart.
    if running.last_status().is_some() {
        let asked =
            running.control().and_then(|client| client.with_timeout(timeouts.answer).call(Call::PowerOff));
        // Only a refusal or silence goes on at once.
        let wait = if is_stopping(&asked) { timeouts.agent } else { Duration::from_millis(200) };
        if let Some(exit) = running.wait_exit(wait) {
            return stopped(StopMethod::Agent, exit);
        }
    }
    for (order, method, timeout) in [
        (Order::PressPower, StopMethod::PowerButton, timeouts.power_button),
        (Order::Quit, StopMethod::Quit, timeouts.quit),
    ] {
        running.order(order);
        if let Some(exit) = running.wait_exit(timeout) {
            return stopped(method, exit);
        }
    }
    stopped(StopMethod::Kill, kill(running)?)
}

pub(crate) fn kill(running: &Running) -> Result<Exit, MachineError> {
    running.order(Order::Kill);
    // A killed process ends as soon as the kernel lets it; only a broken disk under it makes it stay.
    running
        .wait_exit(Duration::from_secs(30))
        .ok_or_else(|| MachineError::Monitor { why: "QEMU was killed and does not end".to_owned() })
}

/// Stops an appliance that another process runs, or whose run is gone and left QEMU behind.
///
/// Returns when the VM folder is free. The run that owns it tells its own user about undeclared writes.
pub fn stop(folder: &Path, timeouts: StopTimeouts) -> Result<StopMethod, MachineError> {
    match locked_by(folder)? {
        MachineError::Orphaned { .. } => stop_orphan(folder, timeouts),
        other => {
            let control = folder.join(names::CONTROL);
            let asked = ControlClient::connect(&control)?.with_timeout(timeouts.answer).call(Call::PowerOff);
            if !is_stopping(&asked) {
                asked?;
            }
            if wait_free(folder, timeouts.agent + timeouts.power_button) {
                Ok(StopMethod::Agent)
            } else {
                Err(other)
            }
        }
    }
}

/// Whether an appliance that was told to stop does so: it can be gone before its answer is here.
fn is_stopping(asked: &Result<Answer, ControlError>) -> bool {
    matches!(asked, Ok(_) | Err(ControlError::Ended { .. }))
}

fn stop_orphan(folder: &Path, timeouts: StopTimeouts) -> Result<StopMethod, MachineError> {
    let path = folder.join(names::MONITOR);
    let mut monitor =
        Qmp::connect(&path).map_err(|source| MachineError::Io { action: "connect to", path, source })?;
    monitor.execute("system_powerdown", json!({}))?;
    if wait_free(folder, timeouts.power_button) {
        return Ok(StopMethod::PowerButton);
    }
    // QEMU may end before it answers.
    let _ = monitor.execute("quit", json!({}));
    if wait_free(folder, timeouts.quit) { Ok(StopMethod::Quit) } else { Err(locked_by(folder)?) }
}

/// Why the folder is locked; an error when it is not.
fn locked_by(folder: &Path) -> Result<MachineError, MachineError> {
    let not_running = || MachineError::NotRunning { path: folder.to_owned() };
    if !folder.is_dir() {
        return Err(not_running());
    }
    match VmFolder::lock(folder) {
        Ok(_) => Err(not_running()),
        Err(error @ (MachineError::InUse { .. } | MachineError::Orphaned { .. })) => Ok(error),
        Err(error) => Err(error),
    }
}

fn wait_free(folder: &Path, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if matches!(locked_by(folder), Err(MachineError::NotRunning { .. })) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
