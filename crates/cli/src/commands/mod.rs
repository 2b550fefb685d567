//! One file a command: call the library, hand the result to a renderer.

use std::path::PathBuf;

use machine::MachineError;

use crate::args::PackageArgs;
use crate::error::{Failure, Fault};

pub mod build;
pub mod check;
mod definition;
pub mod init;
pub mod inspect;
pub mod lock;
pub mod run;
pub mod running;
pub mod schema;

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
        MachineError::Release(_) | MachineError::OtherAppliance { .. } | MachineError::Size { .. } => {
            Fault::User
        }
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
        MachineError::NotHealthy { last: Some(status), .. } => {
            failure.detail(crate::render::status::status(status)).hint("`ampoule logs` shows its journal")
        }
        _ => failure,
    }
}

fn qemu_package(program: &std::path::Path) -> &'static str {
    if program.to_string_lossy().contains("img") { "qemu-utils" } else { "qemu-system-x86" }
}
