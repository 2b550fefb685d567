//! The maker's check command with rendered files in place for it alone.
//!
//! The agent starts itself as `check-staged`. That process takes a mount namespace of its own, puts copy-on-write layers
//! over `/etc`, `/var` and `/run` as far as files go there, writes the files and becomes the check command. Running services
//! never see an unchecked file, and whatever the command writes is gone with it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change};
use serde::{Deserialize, Serialize};

use crate::init::state::make_directories;
use crate::init::world::mount_virtual;
use crate::process;
use crate::render::{self, RenderedFile};
use crate::sys;

/// How long a check may take.
const CHECK_TIME: Duration = Duration::from_secs(60);
/// Where the layers are; only seen in the namespace.
const WORK: &str = "/tmp";

#[derive(Serialize, Deserialize)]
struct Order {
    files: Vec<RenderedFile>,
    command: Vec<String>,
}

/// Runs the check. Returns what it printed when it refused.
pub fn check(files: &[RenderedFile], command: &[String]) -> Result<(), String> {
    let run = || -> io::Result<process::Finished> {
        let order = Order { files: files.to_vec(), command: command.to_vec() };
        let order = serde_json::to_vec(&order).map_err(io::Error::other)?;
        let mut child = Command::new("/proc/self/exe");
        child.arg("check-staged").stdin(Stdio::piped());
        process::run(child, Some(order), CHECK_TIME)
    };
    match run() {
        Ok(finished) if finished.is_success() => Ok(()),
        Ok(finished) => Err(finished.explain()),
        Err(error) => Err(format!("the check could not be started: {error}")),
    }
}

/// The other side: reads the order from standard input and becomes the command. Returns only on failure.
pub fn main() -> io::Error {
    become_check().err().unwrap_or_else(|| io::Error::other("the check command did not start"))
}

fn become_check() -> io::Result<()> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let order: Order = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    let Some((program, arguments)) = order.command.split_first() else {
        return Err(io::Error::other("the check command is empty"));
    };
    sys::namespace::own_mounts()?;
    // Nothing mounted here may reach the system.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_virtual("tmpfs", Path::new(WORK), MountFlags::NOSUID | MountFlags::NODEV, "mode=1777")?;
    let tops = ["/etc", "/var", "/run"];
    for top in
        tops.into_iter().filter(|top| order.files.iter().any(|file| Path::new(&file.path).starts_with(top)))
    {
        layer_over(Path::new(top))?;
    }
    render::place(Path::new("/"), &order.files)?;
    Err(Command::new(program).args(arguments).stdin(Stdio::null()).exec())
}

/// A copy-on-write layer over `top`, with everything that is mounted below it mounted again.
fn layer_over(top: &Path) -> io::Result<()> {
    let folder = Path::new(WORK).join(".ampoule").join(top.strip_prefix("/").unwrap_or(top));
    let (upper, work) = (folder.join("upper"), folder.join("work"));
    make_directories(&upper)?;
    make_directories(&work)?;
    let mut kept = Vec::new();
    for (index, mounted) in mounts_below(top)?.into_iter().enumerate() {
        let place = folder.join(format!("kept-{index}"));
        // A mount on a file needs a file to stand on.
        if fs::metadata(&mounted)?.is_dir() {
            make_directories(&place)?
        } else {
            drop(fs::File::create(&place)?)
        }
        mount_bind(&mounted, &place)?;
        kept.push((place, mounted));
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", top.display(), upper.display(), work.display());
    mount_virtual("overlay", top, MountFlags::empty(), &options)?;
    kept.iter().try_for_each(|(place, mounted)| Ok(mount_bind(place, mounted)?))
}

fn mounts_below(top: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(parse_mounts(&fs::read_to_string("/proc/self/mountinfo")?, top))
}

/// Mount points below `top`, outer ones first; the fifth field of proc_pid_mountinfo(5).
fn parse_mounts(text: &str, top: &Path) -> Vec<PathBuf> {
    let field = |line: &str| line.split(' ').nth(4).map(unescape);
    let mut mounts: Vec<PathBuf> = text.lines().filter_map(field).map(PathBuf::from).collect();
    mounts.retain(|path| path != top && path.starts_with(top));
    mounts.sort();
    mounts.dedup();
    mounts
}

/// The kernel writes space, tab, line end and backslash as three octal digits.
fn unescape(field: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(field.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

/// Tells the person at the other end of standard error.
pub fn tell(error: &io::Error) {
    let _nobody_listens = writeln!(io::stderr(), "{error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_folder_are_found_outer_first() {
        let text = "26 1 0:23 / /run rw - tmpfs tmpfs rw\n\
                    30 1 0:40 /state/x /var/lib/x\\040y rw - btrfs /dev/vdb1 rw\n\
                    31 1 0:40 /j /var/log/journal rw - btrfs /dev/vdb1 rw\n\
                    32 1 0:41 / /var rw - overlay overlay rw\n\
                    33 1 0:41 / /variable rw - overlay overlay rw\n\
                    34 1 0:41 / /var/lib rw - overlay overlay rw\n";
        let found = parse_mounts(text, Path::new("/var"));
        let expected = ["/var/lib", "/var/lib/x y", "/var/log/journal"].map(PathBuf::from);
        assert_eq!(found, expected);
    }
}
