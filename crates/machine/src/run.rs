//! Starts an appliance and holds it while it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use model::control::{Answer, Call, Health, Status, UndeclaredWrite};
use release::ReleaseFolder;

use crate::acceleration::{self, Acceleration, AccelerationChoice};
use crate::control::{ControlClient, ControlError};
use crate::error::{MachineError, io};
use crate::folder::{VmFolder, names};
use crate::note::{Note, Progress};
use crate::plan::{Boot, Found, Keep, RunOptions, plan};
use crate::ports::{self, OpenForward};
use crate::relay::Relay;
use crate::stop::{self, StopTimeouts, Stopped};
use crate::supervisor::{Exit, Job, Order, Supervisor, tail};
use crate::{disk, firmware};

/// Greatest UKI that is read for direct boot. Stops a release from elsewhere from filling memory.
const UKI_LIMIT: u64 = 1 << 30;
/// Greatest UKI command line: the kernel's own limit on x86 is 2048.
const COMMAND_LINE_LIMIT: usize = 4096;
const PAUSE: Duration = Duration::from_millis(100);
/// How often the agent is asked when it does not tell by itself.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// A running appliance. Dropping it cuts the power: use [`Running::shutdown`] to stop it.
#[derive(Debug)]
#[must_use = "dropping it cuts the power"]
pub struct Running {
    path: PathBuf,
    forwards: Vec<OpenForward>,
    // The order matters: QEMU ends before the relay, whose port it is.
    supervisor: Supervisor,
    relay: Relay,
}

/// Starts `release` in the VM folder `folder`. Returns when QEMU runs, long before the appliance is up.
///
/// `notes` is called from several threads, also after this function has returned.
pub fn run(
    release: &ReleaseFolder,
    folder: &Path,
    options: RunOptions,
    notes: impl Fn(Note) + Send + Sync + 'static,
) -> Result<Running, MachineError> {
    let notes: Arc<dyn Fn(Note) + Send + Sync> = Arc::new(notes);
    let mut options = options;
    for file in [&mut options.seed, &mut options.brought].into_iter().flatten() {
        // QEMU runs in the VM folder.
        *file = fs::canonicalize(&*file).map_err(io("look at", file))?;
    }
    let manifest = release.manifest().clone();
    let appliance = manifest.identity.id();
    let folder = VmFolder::lock(folder)?;
    folder.ensure_appliance(&appliance)?;
    let system_disk = disk::ensure_system(&folder, release, options.keep, options.reinstall, &*notes)?;
    let data_disk = disk::ensure_data(&folder, &appliance, options.data, options.keep)?;
    if let Some(settings) = &options.settings {
        folder.write_private(names::SETTINGS, settings.as_bytes())?;
    }
    let (firmware_code, command_line) = prepare_boot(&folder, release, options.boot)?;
    let (acceleration, may_fall_back) = choose_acceleration(&folder, &options, &*notes)?;
    let forwards = ports::choose(&options.forwards, &*notes)?;

    let path = folder.path().to_owned();
    let (orders, received) = Supervisor::orders();
    let power = orders.clone();
    let relay = Relay::start(&folder.file(names::CONTROL), &folder.file(names::GUEST), move || {
        let _ = power.send(Order::PressPower);
    })
    .map_err(io("listen at", &folder.file(names::CONTROL)))?;

    let (keep, silence, chosen) = (options.keep, options.silence, forwards.clone());
    let command = move |acceleration| {
        let found = Found {
            acceleration,
            forwards: &chosen,
            firmware_code: firmware_code.as_deref(),
            command_line: &command_line,
            system_disk,
            data_disk,
        };
        plan(&manifest, &options, &found)
    };
    let job = Job {
        folder,
        command: Box::new(command),
        acceleration,
        may_fall_back,
        silence,
        port: relay.port(),
        notes,
        clean_up: Box::new(move |folder| {
            // Best effort: leftovers are removed by the next run too.
            for name in [names::SETTINGS, names::CONTROL, names::GUEST, names::MONITOR] {
                let _ = folder.remove(name);
            }
            if keep == Keep::Nothing {
                let _ = disk::remove_ephemeral(folder);
            }
        }),
    };
    let supervisor = Supervisor::start(job, orders, received)?;
    Ok(Running { path, forwards, supervisor, relay })
}

impl Running {
    /// The VM folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ports of the appliance and where they are on 127.0.0.1.
    pub fn forwards(&self) -> &[OpenForward] {
        &self.forwards
    }

    /// Where a port of the appliance is on 127.0.0.1.
    pub fn host_port(&self, guest: u16) -> Option<u16> {
        self.forwards.iter().find(|forward| forward.guest == guest).map(|forward| forward.host)
    }

    /// What the serial console shows; complete after the end too.
    pub fn serial_log(&self) -> PathBuf {
        self.path.join(names::SERIAL_LOG)
    }

    /// The socket where other processes reach the agent with [`ControlClient::connect`].
    pub fn control_socket(&self) -> PathBuf {
        self.path.join(names::CONTROL)
    }

    /// QEMU's monitor takes one connection, and the run has it; its process id is for looking at.
    pub fn qemu_pid(&self) -> u32 {
        self.supervisor.shared.facts().qemu
    }

    /// How the processor is provided now.
    pub fn acceleration(&self) -> Acceleration {
        self.supervisor.shared.facts().acceleration.unwrap_or(Acceleration::Tcg)
    }

    /// How often the appliance restarted by itself or because somebody asked it to.
    pub fn restarts(&self) -> u32 {
        self.supervisor.shared.facts().restarts
    }

    /// The last status that was heard of, without asking.
    pub fn last_status(&self) -> Option<Status> {
        self.relay.heard().status
    }

    /// A client of the agent.
    pub fn control(&self) -> Result<ControlClient, ControlError> {
        ControlClient::connect(&self.control_socket())
    }

    /// Waits until the appliance says it is healthy. An unhealthy one may still become healthy: it is waited for.
    /// `progress` is called when something changed.
    pub fn wait_healthy(
        &self,
        timeout: Duration,
        mut progress: impl FnMut(Progress),
    ) -> Result<Status, MachineError> {
        let deadline = Instant::now() + timeout;
        let mut told = None;
        let mut last = None;
        let mut asked = Instant::now();
        loop {
            let heard = self.relay.heard();
            if let Some(status) = &heard.status {
                if status.health == Health::Healthy {
                    return Ok(status.clone());
                }
                last = Some(Box::new(status.clone()));
            }
            let now = match heard.status {
                Some(status) => Progress::Agent(Box::new(status)),
                None => Progress::Booting { last_line: self.last_serial_line(), restarts: self.restarts() },
            };
            if told.as_ref() != Some(&now) {
                progress(now.clone());
                told = Some(now);
            }
            if let Some(exit) = self.wait_exit(PAUSE) {
                return Err(MachineError::Stopped { exit, serial: self.serial_log() });
            }
            if Instant::now() > deadline {
                return Err(MachineError::NotHealthy { timeout, last, serial: self.serial_log() });
            }
            if asked.elapsed() > STATUS_INTERVAL {
                // Its answer is heard by the relay. A refusal says no more than silence does.
                let _ =
                    self.control().and_then(|client| client.with_timeout(STATUS_INTERVAL).call(Call::Status));
                asked = Instant::now();
            }
        }
    }

    /// Waits for the end of QEMU: `None` when it still runs after `timeout`.
    pub fn wait_exit(&self, timeout: Duration) -> Option<Exit> {
        self.supervisor.shared.wait_exit(timeout)
    }

    /// Paths written outside of declared state, as the agent knows them now.
    pub fn undeclared_writes(&self) -> Result<Vec<UndeclaredWrite>, ControlError> {
        match self.control()?.call(Call::UndeclaredWrites)? {
            Answer::UndeclaredWrites(writes) => Ok(writes),
            _ => Err(ControlError::Foreign {
                path: self.control_socket(),
                sample: "an answer to another question".to_owned(),
            }),
        }
    }

    /// Stops the appliance: asks its agent, then presses the power button, then ends QEMU, then kills it.
    pub fn shutdown(&self, timeouts: StopTimeouts) -> Result<Stopped, MachineError> {
        let stopped = stop::escalate(self, timeouts)?;
        // The agent's last words can still be on their way when QEMU has ended.
        let deadline = Instant::now() + PAUSE;
        let mut heard = self.relay.heard();
        while heard.undeclared_writes.is_none() && heard.lines > 0 && Instant::now() < deadline {
            thread::sleep(PAUSE / 10);
            heard = self.relay.heard();
        }
        Ok(Stopped { undeclared_writes: heard.undeclared_writes, ..stopped })
    }

    /// Cuts the power: what was not written to the disks is lost, as on a real machine. Returns when QEMU is gone.
    pub fn kill_power(&self) -> Result<Exit, MachineError> {
        stop::kill(self)
    }

    /// Shows `sink` everything on the serial console, from its beginning, until the end. Returns when QEMU has ended.
    pub fn follow_serial(&self, mut sink: impl FnMut(&[u8])) {
        let mut offset = 0;
        loop {
            let has_ended = self.wait_exit(PAUSE).is_some();
            offset = read_from(&self.serial_log(), offset, &mut sink);
            if has_ended {
                return;
            }
        }
    }

    pub(crate) fn order(&self, order: Order) {
        self.supervisor.order(order);
    }

    /// The last line on the serial console, for people.
    fn last_serial_line(&self) -> String {
        let text = tail(&self.serial_log(), 4096).unwrap_or_default();
        let line = text.lines().rev().map(printable).find(|line| !line.trim().is_empty());
        line.unwrap_or_default().trim().to_owned()
    }
}

/// Without escape sequences: what a guest writes must not drive the host's terminal.
fn printable(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            // ESC [ parameters letter; or ESC and one character.
            if characters.next() == Some('[') {
                characters.by_ref().find(|character| ('@'..='~').contains(character));
            }
        } else if !character.is_control() {
            text.push(character);
        }
    }
    text
}

fn read_from(path: &Path, offset: u64, sink: &mut impl FnMut(&[u8])) -> u64 {
    use std::os::unix::fs::FileExt;
    let Ok(file) = fs::File::open(path) else { return offset };
    // A log that became shorter is a new one: KVM was replaced.
    let mut offset = if file.metadata().is_ok_and(|found| found.len() < offset) { 0 } else { offset };
    let mut piece = [0; 16 << 10];
    while let Ok(count) = file.read_at(&mut piece, offset) {
        if count == 0 {
            break;
        }
        sink(&piece[..count]);
        offset += count as u64;
    }
    offset
}

/// Firmware or kernel, as the way of booting needs it: (firmware code, command line).
fn prepare_boot(
    folder: &VmFolder,
    release: &ReleaseFolder,
    boot: Boot,
) -> Result<(Option<PathBuf>, String), MachineError> {
    match boot {
        Boot::Uefi => {
            let found = firmware::find()?;
            let variables = folder.file(names::FIRMWARE_VARIABLES);
            let size = |path: &Path| fs::metadata(path).map(|found| found.len()).ok();
            // Another build of the firmware can have other variables; they hold nothing an appliance needs.
            if size(&variables) != size(&found.variables) {
                fs::copy(&found.variables, &variables).map_err(io("write", &variables))?;
            }
            Ok((Some(found.code), String::new()))
        }
        Boot::Direct => Ok((None, extract_kernel(folder, &release.uki()?)?)),
    }
}

fn extract_kernel(folder: &VmFolder, path: &Path) -> Result<String, MachineError> {
    let failed = |why: String| MachineError::Uki { path: path.to_owned(), why };
    let size = fs::metadata(path).map_err(io("look at", path))?.len();
    if size > UKI_LIMIT {
        return Err(failed(format!("it has {size} bytes")));
    }
    let file = fs::read(path).map_err(io("read", path))?;
    let sections = image::uki::sections(&file).map_err(|error| failed(error.to_string()))?;
    let section = |name: &str| {
        let found = sections.iter().find(|section| section.name == name);
        found.map(|section| section.data).ok_or_else(|| failed(format!("it has no section `{name}`")))
    };
    for (name, target) in [(".linux", names::KERNEL), (".initrd", names::INITRD)] {
        let target = folder.file(target);
        fs::write(&target, section(name)?).map_err(io("write", &target))?;
    }
    let command_line = String::from_utf8_lossy(section(".cmdline")?);
    let command_line = command_line.trim_end_matches('\0').trim();
    if command_line.len() > COMMAND_LINE_LIMIT {
        return Err(failed("its command line is too long".to_owned()));
    }
    Ok(command_line.to_owned())
}

/// How the processor is provided, and whether that may be changed later.
fn choose_acceleration(
    folder: &VmFolder,
    options: &RunOptions,
    notes: &dyn Fn(Note),
) -> Result<(Acceleration, bool), MachineError> {
    if options.acceleration == AccelerationChoice::Tcg {
        return Ok((Acceleration::Tcg, false));
    }
    let verdict = acceleration::detect(&options.qemu, &options.kvm_device, folder.path())?;
    match (verdict.why(), options.acceleration) {
        (None, choice) => Ok((Acceleration::Kvm, choice == AccelerationChoice::Automatic)),
        (Some(why), AccelerationChoice::Kvm) => Err(MachineError::NoKvm { why: why.to_owned() }),
        (Some(why), _) => {
            notes(Note::Emulated { why: why.to_owned() });
            Ok((Acceleration::Tcg, false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_writes_can_not_drive_the_terminal() {
        assert_eq!(printable("\x1b[1;32mok\x1b[0m\x07 \x1bcdone\r"), "ok done");
        assert_eq!(printable("\x1b["), "");
    }
}
