//! KVM only when it really works.
//!
//! A usable `/dev/kvm` says little: nested and half-working KVMs start and then abort, report an internal error, or crawl.
//! So a probe VM runs a short program ([`crate::probe`]) and has to come to its end. The run itself is watched too, by the
//! supervisor, for failures that a probe does not meet.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{MachineError, io as io_error};
use crate::probe;

/// The host's KVM.
pub const DEVICE: &str = "/dev/kvm";
/// How long the probe program may take on KVM: about a hundred times what it needs.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Most bytes of the probe's complaints that are read. Stops a QEMU that floods.
const COMPLAINT_LIMIT: usize = 64 << 10;

/// How the processor is provided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceleration {
    /// By the processor itself.
    Kvm,
    /// By translation; slow, works everywhere.
    Tcg,
}

/// What a person asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccelerationChoice {
    /// KVM when it works, otherwise TCG with one note.
    #[default]
    Automatic,
    /// KVM or an error.
    Kvm,
    /// TCG.
    Tcg,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// KVM works.
    Works,
    /// It does not; why, in a few words.
    Broken(String),
    /// The probe did not come to its end in time: a KVM that crawls, or a host that is very busy at the moment.
    TooSlow,
}

impl Verdict {
    /// Why KVM is not used; `None` when it works.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Works => None,
            Self::Broken(why) => Some(why),
            Self::TooSlow => Some("KVM starts and does not get on"),
        }
    }
}

/// Probes KVM, or returns what was found earlier in the same boot of the host with the same QEMU.
///
/// `qemu` is the program, `device` is [`DEVICE`] outside of tests, `folder` is where the probe's files and the remembered
/// verdict lie.
pub fn detect(qemu: &Path, device: &Path, folder: &Path) -> Result<Verdict, MachineError> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open(device) {
        return Ok(Verdict::Broken(match error.kind() {
            io::ErrorKind::NotFound => format!("there is no {}", device.display()),
            io::ErrorKind::PermissionDenied => format!("this user may not use {}", device.display()),
            _ => format!("{} can not be opened: {error}", device.display()),
        }));
    }
    if let Some(verdict) = recall(qemu, folder) {
        return Ok(verdict);
    }
    let verdict = probe(qemu, folder)?;
    remember(qemu, folder, &verdict);
    Ok(verdict)
}

/// Runs the probe VM on KVM.
pub fn probe(qemu: &Path, folder: &Path) -> Result<Verdict, MachineError> {
    let rom = folder.join("probe.rom");
    let complaints = folder.join("probe.log");
    fs::write(&rom, probe::rom()).map_err(io_error("write", &rom))?;
    let log = fs::File::create(&complaints).map_err(io_error("write", &complaints))?;
    let child = Command::new(qemu)
        .current_dir(folder)
        .args(["-accel", "kvm", "-cpu", "host", "-machine", "q35", "-m", "16"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-bios", "probe.rom", "-device"])
        .arg(format!("isa-debug-exit,iobase={:#x},iosize=4", probe::EXIT_PORT))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let child = match child {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MachineError::NoProgram { program: qemu.to_owned() });
        }
        other => other.map_err(io_error("start", qemu))?,
    };
    let verdict = judge(child, &complaints).map_err(io_error("wait for", qemu));
    let _ = fs::remove_file(rom);
    let _ = fs::remove_file(complaints);
    verdict
}

fn judge(mut child: Child, complaints: &Path) -> io::Result<Verdict> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.code() == Some(probe::EXIT_CODE) {
                Verdict::Works
            } else {
                Verdict::Broken(format!("KVM does not start{}", first_complaint(complaints)))
            });
        }
        let says_internal_error = read_complaints(complaints).contains("internal error");
        if says_internal_error || started.elapsed() > PROBE_TIMEOUT {
            child.kill()?;
            child.wait()?;
            return Ok(match says_internal_error {
                true => Verdict::Broken("KVM reports an internal error".to_owned()),
                false => Verdict::TooSlow,
            });
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn read_complaints(path: &Path) -> String {
    let mut bytes = fs::read(path).unwrap_or_default();
    bytes.truncate(COMPLAINT_LIMIT);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn first_complaint(path: &Path) -> String {
    let text = read_complaints(path);
    match text.lines().find(|line| !line.contains("warning:")) {
        // `qemu-system-x86_64: error: failed to ...`: the last part says it.
        Some(line) => format!(" ({})", line.rsplit("error: ").next().unwrap_or(line).trim()),
        None => String::new(),
    }
}

const MEMORY: &str = "acceleration";

/// Keeps a verdict for the next runs. Slowness is not kept: a host that was busy once would emulate until it restarts.
pub(crate) fn remember(qemu: &Path, folder: &Path, verdict: &Verdict) {
    let word = match verdict {
        Verdict::Works => "works",
        Verdict::Broken(why) => why,
        Verdict::TooSlow => return,
    };
    if let Some(key) = memory_key(qemu) {
        // Only a memory: without it the next run probes again.
        let _ = fs::write(folder.join(MEMORY), format!("{key}\n{word}\n"));
    }
}

fn recall(qemu: &Path, folder: &Path) -> Option<Verdict> {
    let text = fs::read_to_string(folder.join(MEMORY)).ok()?;
    let mut lines = text.lines();
    if lines.next()? != memory_key(qemu)? {
        return None;
    }
    match lines.next()? {
        "works" => Some(Verdict::Works),
        why => Some(Verdict::Broken(why.to_owned())),
    }
}

/// A verdict holds for this boot of the host and this QEMU. `None` when that can not be told.
fn memory_key(qemu: &Path) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("{} {}", boot.trim(), qemu.display()))
}
