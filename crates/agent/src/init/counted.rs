//! Whether the boot loader counts this boot: then a failed start restarts, so that the count goes down and the release before
//! starts again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mount::MountFlags;

use super::modules::{Loaded, ModuleIndex};
use super::world::{self, ModuleFolder};

const FIRMWARE: &str = "/sys/firmware/efi";
const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Set by systemd-boot for entries with a counter (Boot Loader Interface).
const VARIABLE: &str = "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The journal on data says so too, also when the variables can not be read any more.
static IS_TRIAL: AtomicBool = AtomicBool::new(false);

/// Remembers that the journal on data calls this boot a trial.
pub fn remember_trial() {
    IS_TRIAL.store(true, Ordering::Relaxed);
}

/// Looks; asked only when a start has failed, so that good ones do not pay for it.
pub fn is_counted(modules: &Path) -> bool {
    if IS_TRIAL.load(Ordering::Relaxed) {
        return true;
    }
    if !Path::new(FIRMWARE).exists() {
        return false;
    }
    let variable = Path::new(VARIABLES).join(VARIABLE);
    if !variable.exists() {
        let text = std::fs::read_to_string(modules.join("modules.dep")).unwrap_or_default();
        let index = ModuleIndex::parse(&text, "");
        let _built_in = Loaded::default().ensure(&index, "efivarfs", &mut ModuleFolder(modules.to_owned()));
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
        let _mounted_already = world::mount_virtual("efivarfs", Path::new(VARIABLES), flags, "");
    }
    variable.exists()
}
