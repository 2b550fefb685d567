//! The VM folder: what a virtual machine needs between runs, and the lock that keeps two runs apart.
//!
//! The lock is an advisory lock on the file `lock`, taken with `flock`. QEMU inherits it as its standard input: when the
//! run that started it is killed, the lock stays for as long as QEMU still writes to the disks, and is gone with it.
//! So a stale lock can not exist; the process ids in the file only say whom to ask.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{MachineError, io};

/// File names in the VM folder.
pub mod names {
    /// Lock, with the process ids of the run and of QEMU.
    pub const LOCK: &str = "lock";
    /// Which appliance the data is of: `vendor/name`.
    pub const APPLIANCE: &str = "appliance";
    /// Overlay over [`SYSTEM_BASE`].
    pub const SYSTEM: &str = "system.qcow2";
    /// The disk of the release that was installed: a hard link or a copy.
    pub const SYSTEM_BASE: &str = "system.base";
    /// Which release [`SYSTEM`] was installed from; patches from inside do not change it.
    pub const SYSTEM_RELEASE: &str = "system.release";
    /// Data disk.
    pub const DATA: &str = "data.raw";
    /// As [`SYSTEM`], for runs that keep nothing.
    pub const SYSTEM_EPHEMERAL: &str = "ephemeral-system.qcow2";
    /// As [`DATA`], for runs that keep nothing.
    pub const DATA_EPHEMERAL: &str = "ephemeral-data.raw";
    /// UEFI variables.
    pub const FIRMWARE_VARIABLES: &str = "firmware-variables.fd";
    /// Kernel for direct boot.
    pub const KERNEL: &str = "kernel";
    /// Initrd for direct boot.
    pub const INITRD: &str = "initrd";
    /// Settings handed over through fw_cfg.
    pub const SETTINGS: &str = "settings.toml";
    /// What the serial console showed in the last run.
    pub const SERIAL_LOG: &str = "serial.log";
    /// What it showed in the run before.
    pub const SERIAL_LOG_BEFORE: &str = "serial.before.log";
    /// What QEMU itself said.
    pub const QEMU_LOG: &str = "qemu.log";
    /// QEMU's monitor.
    pub const MONITOR: &str = "monitor.sock";
    /// QEMU's end of the control port; used by the run only.
    pub const GUEST: &str = "guest.sock";
    /// The control protocol for everybody on the host.
    pub const CONTROL: &str = "control.sock";
}

/// Longest lock file that is read. It holds two numbers.
const LOCK_FILE_LIMIT: u64 = 64;

/// A process that is just being started by another thread holds every lock of this process for a moment.
const LOCK_ATTEMPTS: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A locked VM folder.
#[derive(Debug)]
pub struct VmFolder {
    path: PathBuf,
    lock: File,
}

impl VmFolder {
    /// Makes the folder when there is none and locks it.
    ///
    /// Fails with [`MachineError::InUse`] when another run has it, [`MachineError::Orphaned`] when only its QEMU is left.
    pub fn lock(path: &Path) -> Result<Self, MachineError> {
        // Settings and data are in it: nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("create", path))?;
        let path = fs::canonicalize(path).map_err(io("look at", path))?;
        let lock_path = path.join(names::LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&lock_path).map_err(io("open", &lock_path))?;
        let mut attempts = 0;
        let outcome = loop {
            attempts += 1;
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) if attempts < LOCK_ATTEMPTS => thread::sleep(LOCK_PAUSE),
                other => break other,
            }
        };
        match outcome {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&path, &mut lock)),
            Err(TryLockError::Error(source)) => {
                return Err(MachineError::Io { action: "lock", path: lock_path, source });
            }
        }
        let mut folder = Self { path, lock };
        folder.write_owner(None)?;
        Ok(folder)
    }

    /// The folder, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A handle that holds the lock for whom it is given to.
    pub(crate) fn share_lock(&self) -> Result<File, MachineError> {
        self.lock.try_clone().map_err(io("share", &self.file(names::LOCK)))
    }

    /// Notes QEMU's process id for those who find the folder locked.
    pub(crate) fn write_owner(&mut self, qemu: Option<u32>) -> Result<(), MachineError> {
        let text = format!("{}\n{}\n", std::process::id(), qemu.map_or(String::new(), |pid| pid.to_string()));
        self.lock
            .set_len(0)
            .and_then(|()| self.lock.rewind())
            .and_then(|()| self.lock.write_all(text.as_bytes()))
            .map_err(io("write", &self.file(names::LOCK)))
    }

    /// Binds the folder to an appliance: data of one is never given to another.
    pub(crate) fn ensure_appliance(&self, id: &str) -> Result<(), MachineError> {
        let path = self.file(names::APPLIANCE);
        match fs::read_to_string(&path) {
            Ok(found) if found.trim() == id => Ok(()),
            Ok(found) => Err(MachineError::OtherAppliance {
                path: self.path.clone(),
                expected: id.to_owned(),
                found: found.trim().chars().take(200).collect(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::write(&path, format!("{id}\n")).map_err(io("write", &path))
            }
            Err(source) => Err(MachineError::Io { action: "read", path, source }),
        }
    }

    /// Writes a file that only this user may read.
    pub(crate) fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), MachineError> {
        let path = self.file(name);
        // A new file: the mode of an old one may be wider.
        self.remove(name)?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(io("write", &path))
    }

    /// Removes a file if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), MachineError> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

fn in_use(path: &Path, lock: &mut File) -> MachineError {
    let mut text = String::new();
    // Whoever holds the lock may be writing at this moment: what can not be read is told as process 0.
    let _ = lock.take(LOCK_FILE_LIMIT).read_to_string(&mut text);
    let mut pids = text.lines().map(|line| line.parse::<u32>().ok());
    let owner = pids.next().flatten().unwrap_or(0);
    match pids.next().flatten() {
        Some(qemu) if !is_alive(owner) => MachineError::Orphaned { path: path.to_owned(), qemu },
        _ => MachineError::InUse { path: path.to_owned(), owner },
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn two_runs_never_share_a_folder() {
        let bench = tempfile::tempdir().expect("folder");
        let path = bench.path().join("vm");
        let first = VmFolder::lock(&path).expect("locks");
        let error = VmFolder::lock(&path).expect_err("locked");
        assert!(matches!(error, MachineError::InUse { owner, .. } if owner == std::process::id()), "{error}");
        drop(first);
        VmFolder::lock(&path).expect("free again");
    }

    #[test]
    fn a_qemu_whose_run_is_gone_still_holds_the_folder_and_a_dead_one_does_not() {
        let bench = tempfile::tempdir().expect("folder");
        let path = bench.path().join("vm");
        let folder = VmFolder::lock(&path).expect("locks");
        let mut orphan = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(folder.share_lock().expect("shares")))
            .spawn()
            .expect("starts");
        // As a run that was killed leaves it: no such process, and no handle in this one.
        fs::write(folder.file(names::LOCK), format!("{}\n{}\n", u32::MAX, orphan.id())).expect("writes");
        drop(folder);
        let error = VmFolder::lock(&path).expect_err("locked");
        assert!(matches!(error, MachineError::Orphaned { qemu, .. } if qemu == orphan.id()), "{error}");
        orphan.kill().expect("kills");
        orphan.wait().expect("waits");
        VmFolder::lock(&path).expect("a stale process id does not lock");
    }

    #[test]
    fn data_of_one_appliance_is_never_given_to_another() {
        let bench = tempfile::tempdir().expect("folder");
        let folder = VmFolder::lock(bench.path()).expect("locks");
        folder.ensure_appliance("example/lamp").expect("first");
        folder.ensure_appliance("example/lamp").expect("again");
        let error = folder.ensure_appliance("example/mail").expect_err("refused");
        assert!(matches!(error, MachineError::OtherAppliance { found, .. } if found == "example/lamp"));
    }
}
