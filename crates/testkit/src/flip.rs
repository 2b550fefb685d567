//! Copies of a release with one bit changed: what a failing disk or an attacker leaves.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use release::ReleaseFolder;

use crate::tools;

/// EROFS, as every file system here, is read in pieces of this size, and verified in the same.
const BLOCK: usize = 4096;

/// A copy of a release folder, cheap because holes stay holes.
#[track_caller]
pub fn copy_release(release: &ReleaseFolder, to: &Path) -> ReleaseFolder {
    let from = release.path().as_os_str();
    let arguments = ["-r", "--sparse=always", "--reflink=auto", "--"].map(AsRef::as_ref);
    tools::run("cp", arguments.into_iter().chain([from, to.as_os_str()]));
    ReleaseFolder::open(to).unwrap_or_else(|error| panic!("the copy is no release: {error}"))
}

/// Changes one bit of a file.
#[track_caller]
pub fn flip_bit(file: &Path, offset: u64) {
    let change = || {
        let file = OpenOptions::new().read(true).write(true).open(file)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset)?;
        file.write_all_at(&[byte[0] ^ 0x10], offset)
    };
    change().unwrap_or_else(|error| panic!("can not change {}: {error}", file.display()));
}

/// Offset in the root image of the first block of the file whose content begins with `content`.
///
/// Files lie there as they are, at block borders, so that looking for the first block finds it.
#[track_caller]
pub fn block_of(root: &Path, content: &[u8]) -> u64 {
    let wanted = &content[..BLOCK.min(content.len())];
    let mut file =
        fs::File::open(root).unwrap_or_else(|error| panic!("can not open {}: {error}", root.display()));
    let (mut block, mut number) = (vec![0; BLOCK], 0);
    while file.read_exact(&mut block).is_ok() {
        if block.starts_with(wanted) {
            return number * BLOCK as u64;
        }
        number += 1;
    }
    panic!("no block of {} begins like the file", root.display())
}

/// Offset of the root partition on the raw disk.
#[track_caller]
pub fn root_start(release: &ReleaseFolder) -> u64 {
    let partitions = &release.manifest().partitions;
    partitions.iter().find(|partition| partition.name == "root-a").expect("a root partition").start
}

/// Path of an artifact that is there.
#[track_caller]
pub fn artifact(release: &ReleaseFolder, name: &str) -> PathBuf {
    release.artifact(name).unwrap_or_else(|error| panic!("{error}"))
}
