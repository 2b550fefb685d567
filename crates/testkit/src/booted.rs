//! An appliance that runs for a test. Whatever fails shows the end of the serial log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use machine::{
    Boot, Flush, Forward, HostPort, MachineError, Note, RunOptions, Running, StopTimeouts, Stopped,
};
use model::control::{Answer, Call, Status};
use release::ReleaseFolder;

use crate::http::{self, Response};

/// Long enough for an emulated processor on a loaded machine.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(300);
/// How much of the serial log a failure shows.
const TAIL_LINES: usize = 60;

/// A running appliance. Dropping it cuts the power.
#[derive(Debug)]
pub struct BootedAppliance {
    running: Running,
    serial_log: PathBuf,
    notes: Arc<Mutex<Vec<Note>>>,
}

impl BootedAppliance {
    /// What the release asks for, with host ports that are free, so that tests can run side by side. Booted directly, which is
    /// faster; [`BootedAppliance::patchable`] boots as on any hypervisor.
    pub fn options(release: &ReleaseFolder) -> RunOptions {
        RunOptions { boot: Boot::Direct, ..Self::patchable(release) }
    }

    /// As [`BootedAppliance::options`], through firmware and boot loader: only so can a patch be booted.
    pub fn patchable(release: &ReleaseFolder) -> RunOptions {
        let mut options = RunOptions { flush: Flush::Host, ..RunOptions::of(release.manifest()) };
        for Forward { host, .. } in &mut options.forwards {
            *host = HostPort::Any;
        }
        options
    }

    /// Starts without waiting. `folder` is the VM folder: the same one again has the same data.
    #[track_caller]
    pub fn start(release: &ReleaseFolder, folder: &Path, options: RunOptions) -> Self {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&notes);
        let running =
            machine::run(release, folder, options, move |note| told.lock().expect("notes").push(note));
        match running {
            Ok(running) => Self { serial_log: running.serial_log(), running, notes },
            Err(error) => panic!("the appliance does not start: {}", chain(&error)),
        }
    }

    /// Starts and waits until it is healthy.
    #[track_caller]
    pub fn boot(release: &ReleaseFolder, folder: &Path, options: RunOptions) -> Self {
        let booted = Self::start(release, folder, options);
        booted.wait_healthy();
        booted
    }

    /// Waits until it is healthy.
    #[track_caller]
    pub fn wait_healthy(&self) -> Status {
        let result = self.running.wait_healthy(HEALTH_TIMEOUT, |_| ());
        match result {
            Ok(status) => status,
            Err(error) => {
                let last = match &error {
                    MachineError::NotHealthy { last: Some(status), .. } => {
                        format!("\nlast status: {status:#?}")
                    }
                    _ => String::new(),
                };
                self.fail(&format!("{}{last}", chain(&error)))
            }
        }
    }

    /// Waits until the serial console has shown `text`, for boots that are meant to fail.
    #[track_caller]
    pub fn wait_for_serial(&self, text: &str, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        loop {
            // Read before asking for the end, so that the last words are not missed.
            let has_ended = self.running().wait_exit(Duration::from_millis(100)).is_some();
            if self.serial().contains(text) {
                return;
            }
            if has_ended || Instant::now() > deadline {
                self.fail(&format!("the serial console never showed `{text}`"));
            }
        }
    }

    /// Asks the agent; a refusal fails the test. Use [`Running::control`] for calls that are meant to be refused.
    #[track_caller]
    pub fn call(&self, call: Call) -> Answer {
        let result = self.running().control().and_then(|mut client| client.call(call));
        result.unwrap_or_else(|error| self.fail(&chain(&error)))
    }

    /// GETs `path` from a port of the appliance; `scheme` is `http` or `https`. Redirections are not followed.
    #[track_caller]
    pub fn get(&self, scheme: &str, guest_port: u16, path: &str) -> Response {
        let url = self.url(scheme, guest_port, path);
        http::get(&url).unwrap_or_else(|error| self.fail(&format!("{url}: {error}")))
    }

    /// The URL of a port of the appliance on this host.
    #[track_caller]
    pub fn url(&self, scheme: &str, guest_port: u16, path: &str) -> String {
        match self.running().host_port(guest_port) {
            Some(port) => format!("{scheme}://127.0.0.1:{port}{path}"),
            None => self.fail(&format!("port {guest_port} is not forwarded")),
        }
    }

    /// What was noted so far.
    pub fn notes(&self) -> Vec<Note> {
        self.notes.lock().expect("notes").clone()
    }

    /// The serial log so far.
    pub fn serial(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.serial_log).unwrap_or_default()).into_owned()
    }

    /// Stops it in the polite way.
    #[track_caller]
    pub fn shutdown(self) -> Stopped {
        let result = self.running.shutdown(StopTimeouts::default());
        result.unwrap_or_else(|error| self.fail(&chain(&error)))
    }

    /// Cuts the power.
    #[track_caller]
    pub fn kill_power(self) {
        if let Err(error) = self.running.kill_power() {
            self.fail(&chain(&error));
        }
    }

    /// All that the machine crate offers.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Panics with `why` and the end of the serial log.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        panic!("{why}\n--- end of the serial log ---\n{}", tail(&self.serial(), TAIL_LINES))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines_and_no_more_than_there_are() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a\n", 9), "a");
        assert_eq!(tail("", 9), "");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let source = std::io::Error::other("no such luck");
        let error = MachineError::Io { action: "read", path: "/x".into(), source };
        assert_eq!(chain(&error), "can not read `/x`: no such luck");
    }
}
