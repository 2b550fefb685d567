//! Copies of a release with one bit changed: what a failing disk or an attacker leaves.

use std::fs::{self, OpenOptions};
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

/// Offset in the root image of the file whose content begins with `content`.
///
/// Files lie there as they are: large ones at block borders, small ones behind their inode, where EROFS aligns to 4 bytes.
#[track_caller]
pub fn offset_of(root: &Path, content: &[u8]) -> u64 {
    const ALIGNMENT: usize = 4;
    let wanted = &content[..BLOCK.min(content.len())];
    let image = fs::read(root).unwrap_or_else(|error| panic!("can not read {}: {error}", root.display()));
    let place = (0..image.len()).step_by(ALIGNMENT).find(|at| image[*at..].starts_with(wanted));
    place.unwrap_or_else(|| panic!("nothing in {} begins like the file", root.display())) as u64
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
