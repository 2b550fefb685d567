//! Reading ahead: what the running system has in memory of its files, the next one will ask for as well.
//!
//! Every block of a sealed root is read from the disk and hashed the first time. That is done here while services still answer,
//! instead of while they start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::sys::cached::cached_pages;

/// A part of a file, of which all is read or nothing.
const PIECE: u64 = 128 << 10;
/// Never asked for by a user space that starts on a kernel that runs.
const KERNELS_OWN: [&str; 2] = ["usr/lib/modules", "usr/lib/firmware"];
/// Deepest folder that is looked into.
const DEPTH_LIMIT: usize = 40;

/// Reads of `next` what is in memory of `running`, at most `budget` bytes; how many it were. Both are roots without anything
/// mounted over them.
pub fn warm(running: &Path, next: &Path, budget: u64) -> io::Result<u64> {
    let mut reader = Reader { left: budget, buffer: vec![0; PIECE as usize] };
    reader.folder(running, next, &|path| KERNELS_OWN.iter().any(|own| path == running.join(own)), 0)?;
    Ok(budget - reader.left)
}

struct Reader {
    left: u64,
    buffer: Vec<u8>,
}

impl Reader {
    fn folder(
        &mut self,
        running: &Path,
        next: &Path,
        is_left_out: &dyn Fn(&Path) -> bool,
        depth: usize,
    ) -> io::Result<()> {
        for entry in fs::read_dir(running)? {
            let entry = entry?;
            let (kind, path, other) = (entry.file_type()?, entry.path(), next.join(entry.file_name()));
            if self.left < PIECE {
                return Ok(());
            }
            if kind.is_dir() && depth < DEPTH_LIMIT && !is_left_out(&path) {
                // Also a folder that is gone has files that may have moved: they are not looked for.
                if other.is_dir() {
                    self.folder(&path, &other, is_left_out, depth + 1)?;
                }
            } else if kind.is_file() {
                self.file(&path, &other)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, running: &Path, next: &Path) -> io::Result<()> {
        let running = File::open(running)?;
        let Ok(next) = fs::symlink_metadata(next).and_then(|_| File::open(next)) else { return Ok(()) };
        let (length, other) = (running.metadata()?.size(), next.metadata()?.size());
        let mut at = 0;
        while at < length.min(other) && self.left >= PIECE {
            if cached_pages(&running, at, PIECE)? > 0 {
                let count = next.read_at(&mut self.buffer, at)?;
                self.left -= count as u64;
            }
            at += PIECE;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_running_root_has_in_memory_is_read_of_the_next_one() {
        let (running, next) = (tempfile::tempdir().expect("made"), tempfile::tempdir().expect("made"));
        for root in [&running, &next] {
            for folder in ["usr/bin", "usr/lib/modules"] {
                fs::create_dir_all(root.path().join(folder)).expect("made");
                fs::write(root.path().join(folder).join("file"), vec![1; 4096]).expect("written");
            }
        }
        fs::write(running.path().join("usr/bin/gone"), "older").expect("written");
        match warm(running.path(), next.path(), 1 << 20) {
            // What was just written is in memory, but for file systems that do not keep it.
            Ok(count) => assert!(count == 4096 || count == 0, "{count}"),
            Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
        }
        assert_eq!(warm(running.path(), next.path(), PIECE - 1).expect("nothing is read"), 0);
    }
}
