//! Probes in an appliance's state: what a patch must not lose.
//!
//! The agent has no shell, and gets none for tests. Two ways lead to state from outside: the maker's own program, which uses
//! the appliance as a customer does, and files that are written to the data disk while the appliance is off, which needs the
//! right to mount.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image::ReadAt;
use image::gpt::Table;

use crate::folder::names;
use crate::run::Running;

/// Name of a probe file.
const NAME: &str = ".ampoule-probe";
/// Bytes of a probe: more than a file system keeps beside its names.
const SIZE: usize = 64 << 10;

/// What probe files have to look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileProbes {
    files: BTreeMap<String, (u64, u32, u32, u32)>,
}

impl FileProbes {
    /// Writes a probe into each state directory of the data disk of a VM folder whose appliance is off.
    pub fn write(vm: &Path, state: &[String]) -> Result<Self, String> {
        let mounted = Mounted::new(vm, true)?;
        let mut probes = Self::default();
        for directory in state {
            let folder = mounted.state(directory);
            if !folder.is_dir() {
                return Err(format!("the data disk has no `{}`", folder.display()));
            }
            let owner = fs::metadata(&folder).map_err(|error| error.to_string())?;
            let path = folder.join(NAME);
            let seed = directory.len() as u64 ^ u64::from(std::process::id());
            let write = || {
                fs::write(&path, content(seed))?;
                std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid()))?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o640))
            };
            write().map_err(|error| format!("can not write a probe to `{directory}`: {error}"))?;
            probes.files.insert(directory.clone(), (seed, owner.uid(), owner.gid(), 0o640));
        }
        Ok(probes)
    }

    /// Whether every probe is there as it was written.
    pub fn check(&self, vm: &Path) -> Result<(), String> {
        if self.files.is_empty() {
            return Ok(());
        }
        let mounted = Mounted::new(vm, false)?;
        for (directory, (seed, uid, gid, mode)) in &self.files {
            let path = mounted.state(directory).join(NAME);
            let found =
                fs::read(&path).map_err(|error| format!("the probe in `{directory}` is lost: {error}"))?;
            if found != content(*seed) {
                return Err(format!("the probe in `{directory}` has other bytes than were written"));
            }
            let facts = fs::metadata(&path).map_err(|error| error.to_string())?;
            if (facts.uid(), facts.gid(), facts.mode() & 0o7777) != (*uid, *gid, *mode) {
                return Err(format!("the probe in `{directory}` has another owner or mode than was given"));
            }
        }
        Ok(())
    }
}

/// The same bytes for the same seed, and no two blocks alike.
fn content(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        // Xorshift: only has to differ everywhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..SIZE / 8).flat_map(|_| next()).collect()
}

/// A mounted data disk. Dropping it unmounts.
struct Mounted {
    at: PathBuf,
}

impl Mounted {
    fn new(vm: &Path, is_writable: bool) -> Result<Self, String> {
        let disk = vm.join(names::DATA);
        let file =
            fs::File::open(&disk).map_err(|error| format!("can not open `{}`: {error}", disk.display()))?;
        let (table, _) = Table::read(&Disk(file)).map_err(|error| error.to_string())?;
        let partition = table.named(image::disk::DATA_NAME);
        let partition = partition.ok_or("its data disk was never formatted")?;
        let at = vm.join("mounted");
        fs::create_dir_all(&at).map_err(|error| error.to_string())?;
        let mode = if is_writable { "rw" } else { "ro" };
        let options = format!(
            "loop,{mode},nodev,nosuid,noexec,offset={},sizelimit={}",
            partition.start, partition.length
        );
        program("mount", &["-o", &options, "--", &disk.to_string_lossy(), &at.to_string_lossy()])?;
        Ok(Self { at })
    }

    /// Where a state directory lies on data.
    fn state(&self, directory: &str) -> PathBuf {
        self.at.join("state").join(directory.trim_start_matches('/'))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if program("umount", &["--", &self.at.to_string_lossy()]).is_ok() {
            let _ = fs::remove_dir(&self.at);
        }
    }
}

struct Disk(fs::File);

impl ReadAt for Disk {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }

    fn size(&self) -> u64 {
        self.0.metadata().map_or(0, |found| found.len())
    }
}

/// Whether this machine lets us mount at all; why not.
pub(super) fn may_mount() -> Result<(), String> {
    // What decides is the right, which in a container even root may lack: the first mount tells. Ordinary users have it never.
    match fs::metadata("/proc/self").map(|found| found.uid()) {
        Ok(0) => Ok(()),
        _ => Err("mounting the data disk needs root; use `--probe` to look after state without".to_owned()),
    }
}

/// Calls the maker's program. Its words are the reason when it says no.
pub(super) fn call(probe: &Path, verb: &str, running: &Running, version: &str) -> Result<(), String> {
    let mut command = Command::new(probe);
    command.arg(verb).env("AMPOULE_VM", running.path()).env("AMPOULE_VERSION", version);
    for forward in running.forwards() {
        let address = format!("127.0.0.1:{}", forward.host);
        command.env(format!("AMPOULE_PORT_{}", forward.guest), address);
    }
    ended(probe.display().to_string(), command)
}

fn program(name: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(name);
    command.args(arguments);
    ended(name.to_owned(), command)
}

fn ended(name: String, mut command: Command) -> Result<(), String> {
    const MOST: usize = 2000;
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("`{name}` does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said: String = String::from_utf8_lossy(&said).trim().chars().take(MOST).collect();
    Err(format!("`{name}` says no ({}): {said}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_the_same_each_time_and_not_the_same_everywhere() {
        assert_eq!(content(7), content(7));
        assert_ne!(content(7), content(9));
        let probe = content(7);
        assert_ne!(probe[..4096], probe[4096..8192]);
    }
}
