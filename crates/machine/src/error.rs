//! What can go wrong between a release and a running appliance.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::control::Status;

use crate::control::ControlError;
use crate::supervisor::Exit;

/// Starting, watching or stopping an appliance failed.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The hypervisor is not installed.
    #[error("`{program}` is not installed")]
    NoProgram {
        /// Name or path of the program.
        program: PathBuf,
    },
    /// There is no UEFI firmware to boot with.
    #[error("no UEFI firmware (OVMF) was found in {}", list(.searched))]
    NoFirmware {
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// KVM was asked for and does not work.
    #[error("KVM does not work here: {why}")]
    NoKvm {
        /// What the probe saw.
        why: String,
    },
    /// Another run uses the VM folder.
    #[error("`{path}` is in use by process {owner}")]
    InUse {
        /// The VM folder.
        path: PathBuf,
        /// Process id of the run.
        owner: u32,
    },
    /// The run that started the VM is gone, and its QEMU still runs.
    #[error("`{path}` still runs in QEMU process {qemu}, although the run that started it is gone")]
    Orphaned {
        /// The VM folder.
        path: PathBuf,
        /// Process id of QEMU.
        qemu: u32,
    },
    /// Nothing runs in the VM folder.
    #[error("nothing runs in `{path}`")]
    NotRunning {
        /// The VM folder.
        path: PathBuf,
    },
    /// The VM folder holds data of another appliance.
    #[error("`{path}` holds the data of `{found}`, not of `{expected}`")]
    OtherAppliance {
        /// The VM folder.
        path: PathBuf,
        /// The appliance that is to be started.
        expected: String,
        /// The appliance it belongs to.
        found: String,
    },
    /// The system disk was patched from inside, and running another release would throw that away.
    #[error(
        "the system disk in `{path}` was patched since it was installed from {installed}, and does not have {release}"
    )]
    Patched {
        /// The VM folder.
        path: PathBuf,
        /// Version it was installed from.
        installed: String,
        /// Version of the release that is to run.
        release: String,
    },
    /// A size that can not be used.
    #[error("{what} of {found} bytes is outside of what is possible: {least} to {most}")]
    Size {
        /// What it is the size of.
        what: &'static str,
        /// What was asked for.
        found: u64,
        /// Least.
        least: u64,
        /// Most.
        most: u64,
    },
    /// QEMU ended before the machine ran.
    #[error("QEMU ended at once ({exit}){}", after_colon(.said))]
    QemuFailed {
        /// How.
        exit: String,
        /// The last lines it wrote.
        said: String,
    },
    /// A helper program failed.
    #[error("`{program}` failed{}", after_colon(.said))]
    Helper {
        /// Its name.
        program: &'static str,
        /// The last lines it wrote.
        said: String,
    },
    /// The appliance stopped while it was waited for.
    #[error("the appliance stopped before it was healthy ({exit}); see `{serial}`")]
    Stopped {
        /// How QEMU ended.
        exit: Exit,
        /// The serial log.
        serial: PathBuf,
    },
    /// The appliance did not become healthy in time.
    #[error("the appliance is not healthy after {} seconds; see `{serial}`", .timeout.as_secs())]
    NotHealthy {
        /// How long it was waited for.
        timeout: Duration,
        /// What it said last, when it said anything.
        last: Option<Box<Status>>,
        /// The serial log.
        serial: PathBuf,
    },
    /// A partition table can not be made.
    #[error("can not partition `{path}`")]
    Partitions {
        /// The disk.
        path: PathBuf,
        /// Why.
        #[source]
        source: image::gpt::GptError,
    },
    /// The UKI can not be used for direct boot.
    #[error("`{path}` can not be booted directly: {why}")]
    Uki {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The monitor did not answer as it should.
    #[error("QEMU's monitor: {why}")]
    Monitor {
        /// What happened.
        why: String,
    },
    /// The agent did not answer as it should.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Something is wrong with the release.
    #[error(transparent)]
    Release(#[from] release::ReleaseError),
    /// The operating system refused.
    #[error("can not {action} `{path}`")]
    Io {
        /// A verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Turns an I/O error into ours: `map_err(io("read", &path))`.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MachineError {
    let path = path.to_owned();
    move |source| MachineError::Io { action, path, source }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
