//! The superblock of an image that anybody may have made, and why reading one can fail.

use std::io;

use tree::TreePath;

use super::{BLOCK_SIZE, format};
use crate::Uuid;
use crate::bytes::{le16, le32, le64, take};
use crate::checksum::crc32c_raw;

/// Why an image can not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source failed, or the image points beyond its end.
    #[error("can not read the file system at byte {offset}")]
    Source {
        /// From the image's start.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
    /// No EROFS here.
    #[error("this is not an EROFS file system")]
    NotErofs,
    /// The superblock was changed or torn.
    #[error("the superblock's checksum is {found:08x}, not {expected:08x}")]
    Checksum {
        /// Stored.
        expected: u32,
        /// Computed.
        found: u32,
    },
    /// A feature that this reader does not have.
    #[error("the file system uses {feature}, which can not be read here")]
    Unsupported {
        /// In words.
        feature: String,
    },
    /// The image contradicts its format.
    #[error("the file system is damaged at `{path}`: {problem}")]
    Damaged {
        /// The directory or file concerned.
        path: TreePath,
        /// What is wrong.
        problem: &'static str,
    },
    /// Larger than any appliance: see the limit's doc.
    #[error("the file system has more {what} than {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

/// What the superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Of the file system.
    pub uuid: Uuid,
    /// Without trailing NULs; what is not UTF-8 is replaced.
    pub volume_name: String,
    /// Modification time of files with short inodes, seconds since 1970.
    pub time: u64,
    /// Inodes.
    pub inodes: u64,
    /// Length of the image in bytes.
    pub size: u64,
    pub(super) root_nid: u64,
    pub(super) metadata_start: u64,
    pub(super) xattr_start: u64,
}

/// Decodes and checks the superblock; `bytes` is the rest of its block, `available` the source's length.
pub(super) fn parse_superblock(bytes: &mut [u8], available: u64) -> Result<Superblock, ReadError> {
    if le32(bytes, 0) != format::MAGIC {
        return Err(ReadError::NotErofs);
    }
    if bytes[12] != format::BLOCK_BITS {
        return Err(ReadError::Unsupported { feature: format!("blocks of 2^{} bytes", bytes[12]) });
    }
    if le32(bytes, 8) & format::FEATURE_CHECKSUM != 0 {
        let expected = le32(bytes, 4);
        bytes[4..8].fill(0);
        let found = crc32c_raw(bytes);
        if found != expected {
            return Err(ReadError::Checksum { expected, found });
        }
    }
    let incompatible = le32(bytes, 80);
    if incompatible != 0 {
        return Err(ReadError::Unsupported { feature: format!("features {incompatible:#x}") });
    }
    let size = u64::from(le32(bytes, 36)) * BLOCK_SIZE;
    if size > available || size < BLOCK_SIZE {
        return Err(damaged(&TreePath::root(), "blocks beyond the end of the image"));
    }
    let name = &bytes[64..80];
    let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())];
    Ok(Superblock {
        uuid: Uuid(take(bytes, 48)),
        volume_name: String::from_utf8_lossy(name).into_owned(),
        time: le64(bytes, 24),
        inodes: le64(bytes, 16),
        size,
        root_nid: u64::from(le16(bytes, 14)),
        metadata_start: u64::from(le32(bytes, 40)) * BLOCK_SIZE,
        xattr_start: u64::from(le32(bytes, 44)) * BLOCK_SIZE,
    })
}

pub(super) fn damaged(path: &TreePath, problem: &'static str) -> ReadError {
    ReadError::Damaged { path: path.clone(), problem }
}
