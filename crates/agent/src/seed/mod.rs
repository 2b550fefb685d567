//! The seed disk: a small ISO 9660 or FAT disk with the label `AMPOULE-SEED` and the file `settings.toml`.
//!
//! Reads both formats itself, the few structures one file needs: the kernel's drivers would run on whatever disk somebody
//! attaches, and need modules the image can do without.

pub mod fat;
pub mod iso9660;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::settings::document::DOCUMENT_LIMIT;

/// The label, in any case.
pub const LABEL: &str = "AMPOULE-SEED";
/// The label as `ampoule run --seed` writes it, where only eleven characters have room.
pub const SHORT_LABEL: &str = "AMPOULESEED";
/// The file.
pub const FILE_NAME: &str = "settings.toml";

/// Bytes at an offset: a disk, or a file in tests.
pub trait ReadAt {
    /// Fills `bytes` from `offset` on.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }
}

/// A seed disk that can not be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// No such file on it.
    #[error("it has no file `{FILE_NAME}` in its root")]
    NoFile,
    /// Larger than any settings document.
    #[error("its `{FILE_NAME}` is larger than 1 MiB")]
    TooLong,
    /// Structures that contradict each other.
    #[error("its file system is damaged")]
    Damaged,
    /// Not text.
    #[error("its `{FILE_NAME}` is not UTF-8 text")]
    NotText,
    /// The disk does not answer.
    #[error("it can not be read: {0}")]
    Device(#[from] io::Error),
}

/// Looks on all block devices; the first one with the label counts.
pub fn find() -> Option<Result<String, SeedError>> {
    let mut names: Vec<_> =
        fs::read_dir("/sys/class/block").ok()?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    names
        .into_iter()
        .filter(|name| {
            !["loop", "ram", "dm-", "zram"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix))
        })
        .filter_map(|name| File::open(Path::new("/dev").join(name)).ok())
        .find_map(|device| read(&device))
}

/// Reads the settings document of a disk; `None` when it is no seed disk.
pub fn read(disk: &dyn ReadAt) -> Option<Result<String, SeedError>> {
    let found = iso9660::read(disk).or_else(|| fat::read(disk))?;
    Some(found.and_then(|bytes| String::from_utf8(bytes).map_err(|_| SeedError::NotText)))
}

fn is_seed_label(label: &[u8]) -> bool {
    // FAT labels have 11 characters; `AMPOULE-SEED` has 12 and is cut by every tool that writes one.
    let label = String::from_utf8_lossy(label);
    let label = label.trim_end_matches([' ', '\0']);
    [LABEL, &LABEL[..11], SHORT_LABEL].iter().any(|known| label.eq_ignore_ascii_case(known))
}

fn check_length(length: u64) -> Result<usize, SeedError> {
    if length > DOCUMENT_LIMIT as u64 { Err(SeedError::TooLong) } else { Ok(length as usize) }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
