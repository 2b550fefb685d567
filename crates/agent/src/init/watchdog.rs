//! A watchdog for hangs: armed before anything that can hang, and handed over to systemd, which goes on with it.
//!
//! A hardware watchdog counts when the machine has one whose driver loads by its device; otherwise the kernel's own timer
//! does, which a kernel that stands still stops as well. Closing the device without the magic character leaves it armed:
//! between `init` and systemd nothing can hang unseen.

use std::fs::{self, File};
use std::path::Path;

use super::modules::{Loaded, ModuleIndex};
use super::world::ModuleFolder;
use crate::sys;

const DEVICE: &str = "/dev/watchdog";
/// Longer than the slowest start: first boots format, and emulated processors are slow.
const SECONDS: i32 = 300;

/// An armed watchdog.
#[derive(Debug)]
pub struct Watchdog(Option<File>);

impl Watchdog {
    /// Arms what there is. A machine without any starts all the same.
    pub fn arm(index: &ModuleIndex, loaded: &mut Loaded, folder: &mut ModuleFolder) -> Watchdog {
        if !Path::new(DEVICE).exists() {
            let _refused = loaded.ensure(index, "softdog", folder);
        }
        let device = File::options().write(true).open(DEVICE).ok();
        if let Some(device) = &device {
            // One that has a fixed time keeps it.
            let _fixed = sys::ioctl::set_watchdog_timeout(device, SECONDS);
        }
        Watchdog(device)
    }

    /// Leaves it armed for systemd to open.
    pub fn hand_over(self) {
        const LEVEL: &str = "/proc/sys/kernel/printk";
        let Some(device) = self.0 else { return };
        // The kernel calls it critical that nobody stopped it. That is what is meant.
        let before = fs::read_to_string(LEVEL).unwrap_or_default();
        let _as_it_was = fs::write(LEVEL, "1");
        drop(device);
        let level = before.split_ascii_whitespace().next().unwrap_or("4");
        let _as_it_was = fs::write(LEVEL, level);
    }
}
