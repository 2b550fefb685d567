//! `ampoule-init`: from the kernel's first program to systemd, as `docs/ARCHITECTURE.md`, "Boot", says it.
//!
//! Owns the way to a verified root with its data. Refuses to guess: whatever is not as declared ends in one clear message
//! ([`report::Failure`]) and a machine that is off.

pub mod block;
pub mod cmdline;
mod counted;
pub mod data;
pub mod disks;
pub mod gpt;
pub mod modules;
pub mod report;
pub mod snapshots;
pub mod state;
pub mod trial;
pub mod verity;
mod watchdog;
pub mod world;

mod failures;
mod finish;
mod handover;
pub mod prepare;
pub(crate) mod root;

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Instant;

use model::{Definition, Sha256Digest};
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

use crate::facts::{FACTS_PATH, Facts};
use cmdline::{CommandLine, OnFailure, Progress};
use report::Failure;

/// Where the root is mounted until it becomes `/`.
pub const SYSROOT: &str = "/sysroot";

/// The program. Never returns: it becomes systemd, or the machine goes off.
pub fn main() -> ! {
    let started = Instant::now();
    std::panic::set_hook(Box::new(|panic| stop(&failures::panicked(&panic.to_string()), on_failure(""))));
    let virtual_mounts = [
        ("proc", "/proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, ""),
        ("sysfs", "/sys", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, ""),
        ("devtmpfs", "/dev", MountFlags::NOSUID, "mode=0755"),
    ];
    for (kind, target, flags, options) in virtual_mounts {
        // Some kernels mount devtmpfs themselves (CONFIG_DEVTMPFS_MOUNT); what is really missing shows in the next step.
        let _mounted_already = world::mount_virtual(kind, Path::new(target), flags, options);
    }
    let text = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let outcome = cmdline::parse(&text).map_err(|error| failures::command_line(&error)).and_then(|line| {
        let steps = Steps { started, progress: line.progress };
        boot(&line, &steps)
    });
    match outcome {
        Ok(never) => match never {},
        Err(failure) => stop(&failure, on_failure(&text)),
    }
}

/// A counted boot restarts, so that the boot loader returns to the release before.
fn on_failure(command_line: &str) -> OnFailure {
    if counted::is_counted(Path::new(root::MODULES)) {
        OnFailure::Reboot
    } else {
        cmdline::on_failure(command_line)
    }
}

fn boot(line: &CommandLine, steps: &Steps) -> Result<Infallible, Failure> {
    let sysroot = Path::new(SYSROOT);
    let (root, watchdog) = root::find(line, steps)?;
    root::mount_verified(&root, &line.root_hash, sysroot)?;
    steps.say("root is mounted");
    let definition = root::read_definition(sysroot)?;
    let modules = prepare::RootModules::load(sysroot);
    prepare::mount_virtual_in(sysroot)?;
    prepare::mount_overlays(sysroot)?;
    steps.say("overlays are mounted");
    modules.finish()?;
    steps.say("modules of the root are loaded");
    let data = prepare::ensure_data(sysroot, &root, &definition)?;
    steps.say("data is mounted");
    let facts = Facts {
        root_hash: line.root_hash.to_string(),
        data_device: data.device,
        first_boot: data.prepared == data::Prepared::Formatted,
        system_disk: root.disk.clone(),
        began: 0,
        notices: data.notices,
    };
    furnish(sysroot, &line.root_hash, &definition, facts)?;
    steps.say("state is in place, settings are rendered");
    watchdog.hand_over();
    finish::switch_root(sysroot)
}

/// Brings state, identity and settings into a root that has data and overlays: the same for a start of the machine and for
/// one of user space alone.
pub(crate) fn furnish(
    sysroot: &Path,
    root_hash: &Sha256Digest,
    definition: &Definition,
    mut facts: Facts,
) -> Result<(), Failure> {
    facts.notices.extend(trial::enter(sysroot, root_hash, definition)?);
    prepare::ensure_state(sysroot)?;
    prepare::bind_state(sysroot, definition)?;
    facts
        .save(&sysroot.join(FACTS_PATH.trim_start_matches('/')))
        .map_err(|error| failures::files("/run", &error))?;
    finish::render_settings(sysroot)
}

/// Prints steps for whoever debugs a boot.
#[derive(Debug)]
pub struct Steps {
    started: Instant,
    progress: Progress,
}

impl Steps {
    fn say(&self, text: &str) {
        if self.progress == Progress::Printed {
            report::tell_consoles(&format!(
                "ampoule-init: {:>5} ms {text} ({} so far)\n",
                self.started.elapsed().as_millis(),
                world::peak_memory()
            ));
        }
    }
}

/// Tells why, waits, and switches the machine off or restarts it.
fn stop(failure: &Failure, on_failure: OnFailure) -> ! {
    report::tell_consoles(&failure.render(on_failure));
    std::thread::sleep(report::READING_TIME);
    rustix::fs::sync();
    let command = match on_failure {
        OnFailure::PowerOff => RebootCommand::PowerOff,
        OnFailure::Reboot => RebootCommand::Restart,
    };
    let _error = rustix::system::reboot(command);
    // A machine that can not be switched off must not run on as if nothing had happened.
    loop {
        std::thread::park();
    }
}
