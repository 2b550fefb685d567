//! One file a command: call the library, hand the result to a renderer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use machine::MachineError;

use crate::args::PackageArgs;
use crate::error::{Failure, Fault};

pub mod ages;
pub mod approve;
pub mod build;
pub mod bulletin;
pub mod bundle;
pub mod check;
mod definition;
pub mod depot;
pub mod explain;
mod followed;
pub mod init;
pub mod inspect;
pub mod keys;
pub mod ledger;
pub mod lock;
mod mirror;
pub mod patch;
pub mod patching;
mod prepared;
pub mod rebuild;
pub mod rebuilt;
pub mod release;
pub mod run;
pub mod running;
pub mod sbom;
pub mod schema;
mod side;
mod signing;
pub mod test;
pub mod verify;

/// The cache that is named, or the user's own.
fn cache_folder(args: &PackageArgs) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.cache {
        return Ok(folder.clone());
    }
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    base.map(|base| base.join("ampoule")).ok_or_else(|| {
        Failure::new(Fault::Environment, "there is no place for the cache: HOME is not set")
            .hint("name a folder with `--cache` or AMPOULE_CACHE")
    })
}

fn mirror_flags(args: &PackageArgs) -> builder::mirror::MirrorFlags {
    builder::mirror::MirrorFlags { archive: args.mirror.clone(), security: args.security_mirror.clone() }
}

/// What goes wrong around a virtual machine.
fn machine_failure(error: MachineError) -> Failure {
    let fault = match &error {
        MachineError::NotHealthy { .. } | MachineError::Stopped { .. } | MachineError::Control(_) => {
            Fault::Appliance
        }
        MachineError::Release(_)
        | MachineError::OtherAppliance { .. }
        | MachineError::Patched { .. }
        | MachineError::Size { .. } => Fault::User,
        _ => Fault::Environment,
    };
    let failure = Failure::from_error(fault, &error);
    match &error {
        MachineError::NoProgram { program } => {
            failure.hint(format!("install it: apt-get install {}", qemu_package(program)))
        }
        MachineError::NoFirmware { .. } => {
            failure.hint("install it: apt-get install ovmf, or boot with `--direct`")
        }
        MachineError::InUse { .. } => failure.hint("`ampoule stop` stops it; `--vm FOLDER` runs beside it"),
        MachineError::Orphaned { .. } => failure.hint("`ampoule stop` stops it"),
        MachineError::OtherAppliance { .. } => {
            failure.unchanged("its data is untouched").hint("name another folder with `--vm`")
        }
        MachineError::Patched { installed, .. } => failure
            .unchanged("the system disk is as it was")
            .hint("publish the release with `ampoule release` and patch the running appliance with `ampoule apply`")
            .hint(format!("the release folder of {installed} boots the disk as it is"))
            .hint("`--reinstall` installs the system disk anew; data stays"),
        MachineError::NotHealthy { last: Some(status), .. } => {
            failure.detail(crate::render::status::status(status)).hint("`ampoule logs` shows its journal")
        }
        _ => failure,
    }
}

fn qemu_package(program: &std::path::Path) -> &'static str {
    if program.to_string_lossy().contains("img") { "qemu-utils" } else { "qemu-system-x86" }
}

/// The flag that SIGINT and SIGTERM raise.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    }
    Ok(stop)
}
