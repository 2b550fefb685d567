//! The next root, prepared by the system that runs: user space restarts into a patch, without firmware, boot loader and
//! kernel.
//!
//! systemd's soft reboot (systemd-soft-reboot.service(8), since 254) stops every service and goes on in `/run/nextroot`. It is
//! taken only where a start of the machine would come to the same: kernel, initrd, command line and everything that
//! was given to the kernel are those that run ([`likeness`]). So the way that a power cut would force on the machine is one
//! that has been gone already, and the trial proves what is new.
//!
//! Whatever fails on the way ends in a restart of the machine: the boot loader knows of the patch before user space stops.
//!
//! The next root stays mounted from the decision on, so that what is read ahead of it ([`warm`]) is still in memory when services start.

mod enter;
mod likeness;
mod warm;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

pub use enter::enter;

use crate::init::report::Failure;
use crate::init::root;
use crate::init::state::make_directories;

/// Where systemd looks for it.
pub const PLACE: &str = "/run/nextroot";
const SOFT_REBOOT: &str = "usr/lib/systemd/system/systemd-soft-reboot.service";
/// Below the folder of units: the program that prepares the root, and what makes the restart depend on it.
const UNIT: &str = "ampoule-next-root.service";
const REQUIRED: &str = "systemd-soft-reboot.service.requires/ampoule-next-root.service";

/// Whether this system can restart user space alone at all.
pub fn is_supported() -> bool {
    Path::new("/").join(SOFT_REBOOT).exists()
}

/// What keeps user space from restarting alone into the staged root `to`; `None` when nothing does, and then that root stays
/// mounted at [`PLACE`]. `running` and `staged` are the UKIs of both.
pub fn obstacle(to: &Sha256Digest, running: &Path, staged: &Path) -> io::Result<Option<&'static str>> {
    if !is_supported() {
        return Ok(Some("this systemd restarts the machine only"));
    }
    if let Some(part) = likeness::different_start(running, staged)? {
        return Ok(Some(part));
    }
    let (sealed, next) = (Sealed::running()?, Path::new(PLACE));
    mount_next(to, next)?;
    let found = if !next.join(SOFT_REBOOT).exists() {
        Some("its systemd restarts the machine only")
    } else if !likeness::is_same_for_kernel(&sealed.0, next)? {
        Some("it gives the kernel other modules or parameters")
    } else {
        None
    };
    Ok(found)
}

/// Reads of the next root what the running one has in memory, at most `budget` bytes. Without it the same happens later.
pub fn read_ahead(budget: u64) {
    let _later = Sealed::running().and_then(|sealed| warm::warm(&sealed.0, Path::new(PLACE), budget));
}

/// Makes the next soft reboot one into `to`. `units` is the folder of units that live as long as the kernel runs.
pub fn order(units: &Path, to: &Sha256Digest) -> io::Result<()> {
    // Services are stopped by then, the journal too: what it says goes to the kernel's messages. The time is that of a slow
    // disk; nothing waits for people.
    let unit = format!(
        "[Unit]\nDescription=Prepares the root of the patch\nDefaultDependencies=no\n\
         After=shutdown.target umount.target final.target\nBefore=systemd-soft-reboot.service\nFailureAction=reboot-force\n\n\
         [Service]\nType=oneshot\nTimeoutStartSec=180\nStandardOutput=kmsg\nStandardError=kmsg\n\
         ExecStart=/usr/lib/ampoule/agent next-root {to}\n"
    );
    make_directories(units)?;
    fs::write(units.join(UNIT), unit)?;
    let link = units.join(REQUIRED);
    make_directories(link.parent().unwrap_or(units))?;
    match symlink(Path::new("..").join(UNIT), link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes the order back: `/run` outlives a restart of user space.
pub fn take_back(units: &Path) {
    for name in [REQUIRED, UNIT] {
        let _absent = fs::remove_file(units.join(name));
    }
}

/// Lets go of a next root that is not wanted any more: a restart of the machine would be one of user space otherwise.
pub fn let_go(root_hash: &Sha256Digest) {
    let _not_mounted = unmount(PLACE, UnmountFlags::DETACH);
    let _not_mapped = root::forget(root_hash);
}

/// The running root without anything over it, as long as this lives.
struct Sealed(PathBuf);

impl Sealed {
    /// Its `/etc` without what is rendered.
    fn running() -> io::Result<Sealed> {
        let place = PathBuf::from("/run/ampoule/sealed");
        make_directories(&place)?;
        mount_bind("/", &place)?;
        Ok(Sealed(place))
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // What stays is taken away before it is mounted the next time.
        let _busy = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Mounts a root of the system disk, verified; one that is there already stays.
fn mount_next(root_hash: &Sha256Digest, place: &Path) -> io::Result<()> {
    if root::is_mounted(root_hash, place) {
        return Ok(());
    }
    let partitions = root::find_now(root_hash).map_err(|failure| told(&failure))?;
    let _none_of_an_earlier_try = unmount(place, UnmountFlags::DETACH);
    let _none_of_an_earlier_try = root::forget(root_hash);
    root::mount_verified(&partitions, root_hash, place).map_err(|failure| told(&failure))
}

fn told(failure: &Failure) -> io::Error {
    io::Error::other(format!("{}: {}: {}", failure.what, failure.on, failure.why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_can_be_given_twice_and_taken_back() {
        let units = tempfile::tempdir().expect("a temporary folder can be made");
        for byte in [1, 2] {
            order(units.path(), &Sha256Digest([byte; 32])).expect("written");
        }
        let unit = fs::read_to_string(units.path().join(REQUIRED)).expect("the link leads to the unit");
        assert!(unit.contains(&format!("next-root {}", Sha256Digest([2; 32]))), "{unit}");
        take_back(units.path());
        assert!(!units.path().join(UNIT).exists() && !units.path().join(REQUIRED).exists());
    }
}
