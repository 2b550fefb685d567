//! The EFI system partition: a FAT32 file system from a list of files, and reading such file systems.
//!
//! Volume id, label and times are given, never drawn or taken from a clock. Every file lies in consecutive clusters, in
//! path order, so that the order files are listed in changes nothing. Format: Microsoft's FAT specification 1.03.

mod name;
mod read;
mod write;

use tree::TreePath;

use crate::bytes::round_up;

pub use read::{list, read};
pub use write::write;

/// Smallest size in bytes. FAT32 needs 65525 clusters; this leaves room for them and for their tables.
pub const MINIMUM_SIZE: u64 = 64 << 20;

/// Largest size in bytes: an ESP is made in memory.
pub const MAXIMUM_SIZE: u64 = 2 << 30;

/// Largest file read: stops a file system that claims a UKI of 4 GiB.
pub const MAXIMUM_FILE: u64 = 512 << 20;

const SECTOR: usize = 512;
/// Reserved sectors before the tables: boot sector, information, and their copies from sector 6 on.
const RESERVED: u64 = 32;
/// Two allocation tables, as firmware expects.
const TABLES: u64 = 2;
const ENTRY_SIZE: usize = 32;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_LONG_NAME: u8 = 0x0F;
/// Numbers from here on end a chain of clusters.
const CHAIN_END: u32 = 0x0FFF_FFF8;
const ROOT_CLUSTER: u32 = 2;

/// What an ESP has besides its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Serial number of the volume.
    pub volume_id: u32,
    /// Size in bytes, between [`MINIMUM_SIZE`] and [`MAXIMUM_SIZE`], a multiple of 4096; see [`size_for`].
    pub size: u64,
}

/// Why an ESP can not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum EspError {
    /// Beyond the limits.
    #[error("an EFI system partition of {size} bytes is too small or too large")]
    Size {
        /// In bytes.
        size: u64,
    },
    /// The files do not fit.
    #[error("the files need more than the {size} bytes of the EFI system partition")]
    Full {
        /// Its size in bytes.
        size: u64,
    },
    /// Two files have one path, as FAT sees it: without regard to case; or one lies below another.
    #[error("`{path}` is there twice, or lies below a file")]
    Duplicate {
        /// The path.
        path: TreePath,
    },
    /// Characters that FAT forbids, or more than 255 of them.
    #[error("`{path}` has a name that FAT can not store")]
    Name {
        /// The path.
        path: TreePath,
    },
    /// No FAT32 file system here.
    #[error("this is not a FAT32 file system: {problem}")]
    NotFat {
        /// What is missing or wrong.
        problem: &'static str,
    },
    /// The file system contradicts its format, or exceeds a limit.
    #[error("the EFI system partition is damaged at `{path}`: {problem}")]
    Damaged {
        /// The file or directory concerned.
        path: TreePath,
        /// What is wrong.
        problem: &'static str,
    },
    /// There is no such file.
    #[error("there is no `{path}` on the EFI system partition")]
    NotFound {
        /// The path.
        path: TreePath,
    },
    /// The source failed.
    #[error("can not read the EFI system partition at byte {offset}")]
    Source {
        /// From its start.
        offset: u64,
        /// What the source said.
        source: std::io::Error,
    },
}

/// Size that holds the files, a patch's kernel, that kernel once more under the name of a confirmed one, and room for their
/// growth.
pub fn size_for(files: &[(TreePath, &[u8])]) -> u64 {
    let content: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    round_up(content * 3 + content / 4 + (8 << 20), 1 << 20).max(MINIMUM_SIZE)
}
