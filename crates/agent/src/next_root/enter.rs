//! The last step before user space goes on in the next root: it is put together as `init` would.

use std::io;
use std::path::Path;

use model::Sha256Digest;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_bind_recursive, mount_change};

use super::{PLACE, mount_next, take_back, told};
use crate::facts::{FACTS_PATH, Facts, kernel_uptime};
use crate::init::trial::RUNTIME_UNITS;
use crate::init::world::mount_virtual;
use crate::init::{furnish, prepare, root};

/// The subcommand. Every service is stopped: what is read of the state is whole, and stays.
pub fn enter(root_hash: &str) -> io::Result<()> {
    let root_hash: Sha256Digest = root_hash.parse().map_err(io::Error::other)?;
    let place = Path::new(PLACE);
    mount_next(&root_hash, place)?;
    share(place)?;
    let definition = root::read_definition(place).map_err(|failure| told(&failure))?;
    prepare::mount_overlays(place).map_err(|failure| told(&failure))?;
    mount_bind("/data", place.join("data"))?;
    let before = Facts::load(Path::new(FACTS_PATH));
    let facts = Facts {
        root_hash: root_hash.to_string(),
        first_boot: false,
        began: kernel_uptime().as_secs(),
        notices: Vec::new(),
        ..before
    };
    furnish(place, &root_hash, &definition, facts).map_err(|failure| told(&failure))?;
    take_back(Path::new(RUNTIME_UNITS));
    Ok(())
}

/// Gives the root what outlives a restart of user space, and new volatile places. systemd leaves alone what is mounted
/// already. Nothing that is mounted in there may show in the system that is about to end.
fn share(place: &Path) -> io::Result<()> {
    mount_change(place, MountPropagationFlags::PRIVATE)?;
    for name in ["proc", "sys", "dev"] {
        mount_bind_recursive(Path::new("/").join(name), place.join(name))?;
    }
    let run = place.join("run");
    // What was mounted below stays behind: the layers over the old root are there.
    mount_bind("/run", &run)?;
    mount_change(&run, MountPropagationFlags::PRIVATE)?;
    let usual = MountFlags::NOSUID | MountFlags::NODEV;
    mount_virtual("tmpfs", &place.join("tmp"), usual, "mode=1777")?;
    mount_virtual("tmpfs", &run.join("lock"), usual | MountFlags::NOEXEC, "mode=1777,size=5m")
}
