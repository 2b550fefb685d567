//! The last steps: settings, then systemd.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::prepare;
use super::report::Failure;
use super::{failures, world};

const AGENT: &str = "/usr/lib/ampoule/agent";

/// Lets the agent write settings, templates, host name and firewall before systemd reads anything.
pub fn render_settings(sysroot: &Path) -> Result<(), Failure> {
    world::run_in_root(Command::new(AGENT).arg("render"), sysroot)
        .map(drop)
        .map_err(|output| failures::render(&output))
}

/// Frees the initrd, makes the root `/` and becomes systemd.
pub fn switch_root(sysroot: &Path) -> Result<Infallible, Failure> {
    prepare::leave_initrd();
    if let Ok(metadata) = fs::metadata("/") {
        remove_below(Path::new("/"), metadata.dev());
    }
    prepare::move_root(sysroot).map_err(|error| failures::files("/", &error))?;
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for program in ["/sbin/init", "/usr/lib/systemd/systemd"] {
        // `exec` returns only when it failed.
        last = Command::new(program).env_clear().env("TERM", "linux").exec();
        let blocks = world::corrupted_blocks();
        if !blocks.is_empty() {
            return Err(failures::corrupted_root(Path::new(program), &last, &blocks));
        }
    }
    Err(failures::no_system(&last))
}

/// Removes the initrd's files, which are memory, and nothing on other file systems.
fn remove_below(folder: &Path, device: u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.dev() != device {
            continue;
        }
        // What stays only costs memory.
        let _removed = if metadata.is_dir() {
            remove_below(&path, device);
            fs::remove_dir(&path)
        } else {
            fs::remove_file(&path)
        };
    }
}
