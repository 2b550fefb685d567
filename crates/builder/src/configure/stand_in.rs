//! Programs that must not do their work during a build, replaced while scripts run and put back afterwards.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::base::BaseError;
use crate::base::error::At;

/// Path, text, and whether it is there even when no package brings the program.
const STAND_INS: [(&str, &str, Presence); 3] = [
    // The appliance boots Ampoule's initrd; building another takes seconds.
    ("usr/sbin/update-initramfs", "#!/bin/sh\nexit 0\n", Presence::WhenInstalled),
    // No service starts while a system is built. 101 means "forbidden by policy".
    ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", Presence::Always),
    // Asks running processes to start again; there are none.
    ("usr/sbin/needrestart", "#!/bin/sh\nexit 0\n", Presence::WhenInstalled),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    WhenInstalled,
    Always,
}

/// The stand-ins of one root.
pub(super) struct StandIns {
    root: PathBuf,
    aside: PathBuf,
    /// Which are in place, and whether an original waits aside.
    active: [Option<Original>; STAND_INS.len()],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Original {
    Absent,
    Aside,
}

impl StandIns {
    /// Originals wait in the directory `aside`, on the same file system.
    pub(super) fn new(root: &Path, aside: &Path) -> Self {
        Self { root: root.to_owned(), aside: aside.to_owned(), active: [None; STAND_INS.len()] }
    }

    /// Puts every stand-in in place whose time has come. Cheap when there is nothing to do.
    pub(super) fn install(&mut self) -> Result<(), BaseError> {
        for (index, (name, text, presence)) in STAND_INS.iter().enumerate() {
            let path = self.root.join(name);
            let exists = path.symlink_metadata().is_ok();
            if self.active[index].is_some() || !(exists || *presence == Presence::Always) {
                continue;
            }
            if exists {
                std::fs::rename(&path, self.aside_path(index)).at("move aside", &path)?;
            }
            let mut file = std::fs::OpenOptions::new();
            let mut file = file.write(true).create_new(true).mode(0o755).open(&path).at("create", &path)?;
            file.write_all(text.as_bytes()).at("write", &path)?;
            self.active[index] = Some(if exists { Original::Aside } else { Original::Absent });
        }
        Ok(())
    }

    /// Puts the originals back. A package that replaced a stand-in with its own file keeps that.
    pub(super) fn restore(&mut self) -> Result<(), BaseError> {
        for (index, (name, text, _)) in STAND_INS.iter().enumerate() {
            let Some(original) = self.active[index].take() else { continue };
            let path = self.root.join(name);
            if std::fs::read(&path).is_ok_and(|bytes| bytes != text.as_bytes()) {
                continue;
            }
            match original {
                Original::Aside => std::fs::rename(self.aside_path(index), &path).at("put back", &path)?,
                Original::Absent => std::fs::remove_file(&path).at("remove", &path)?,
            }
        }
        Ok(())
    }

    fn aside_path(&self, index: usize) -> PathBuf {
        self.aside.join(format!("original-{index}"))
    }
}
