//! GPT partition tables: planning, reading, growing, renaming, encoding.
//!
//! Sectors of 512 bytes and 128 entries, which is what every hypervisor's disk has. Format: UEFI specification
//! section 5.3. Values are in bytes; sectors exist only inside this module.

mod decode;
mod encode;

use crate::{ReadAt, Uuid};

pub use encode::Encoded;

/// Sector size in bytes.
pub const SECTOR: u64 = 512;

/// Borders of partitions that are made here lie at multiples of this.
pub const ALIGNMENT: u64 = 1 << 20;

/// Entries of a table, and most partitions that are read: stops a header that claims a table of gigabytes.
pub const MAXIMUM_PARTITIONS: usize = 128;

/// Longest partition name in UTF-16 units.
pub const MAXIMUM_NAME: usize = 36;

/// EFI system partition.
pub const TYPE_ESP: Uuid = Uuid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
/// Root file system, x86-64 (Discoverable Partitions Specification).
pub const TYPE_ROOT: Uuid = Uuid::from_u128(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709);
/// Verity data of the root file system, x86-64 (Discoverable Partitions Specification).
pub const TYPE_ROOT_VERITY: Uuid = Uuid::from_u128(0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5);
/// Linux file system data.
pub const TYPE_LINUX: Uuid = Uuid::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4);

/// Attribute bit 60: read-only (Discoverable Partitions Specification).
pub const ATTRIBUTE_READ_ONLY: u64 = 1 << 60;
/// Attribute bit 63: not to be mounted automatically (Discoverable Partitions Specification).
pub const ATTRIBUTE_NO_AUTO: u64 = 1 << 63;

/// A partition table as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Of the disk.
    pub disk_uuid: Uuid,
    /// Length of the disk in bytes as the table knows it; the disk may have grown since.
    pub disk_size: u64,
    /// In order of their numbers.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1: `/dev/vda1`.
    pub number: u32,
    /// At most 36 UTF-16 units.
    pub name: String,
    /// What it is for.
    pub type_uuid: Uuid,
    /// Its own.
    pub uuid: Uuid,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Bits of the specification.
    pub attributes: u64,
}

/// Which of the two tables on a disk was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// At the disk's start.
    Primary,
    /// At the disk's end; the primary is damaged.
    Backup,
}

/// Why a table can not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// Neither table is good.
    #[error("the disk has no valid partition table: {problem}")]
    NoTable {
        /// What is wrong with the primary.
        problem: &'static str,
    },
    /// The disk failed.
    #[error("can not read the partition table at byte {offset}")]
    Source {
        /// From the disk's start.
        offset: u64,
        /// What the source said.
        source: std::io::Error,
    },
    /// The disk is too short for what is on it.
    #[error("a disk of {disk_size} bytes has no room for the partition table's content")]
    DiskTooSmall {
        /// In bytes.
        disk_size: u64,
    },
    /// The partition does not exist.
    #[error("there is no partition `{name}`")]
    NoPartition {
        /// What was looked for.
        name: String,
    },
    /// A name that does not fit.
    #[error("partition name `{name}` is longer than 36 characters")]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// A partition out of bounds, unaligned or over another one.
    #[error("partition {number} ({name}) {problem}")]
    Partition {
        /// From 1.
        number: u32,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Table {
    /// Reads the primary table, or the backup when the primary is damaged.
    pub fn read(disk: &dyn ReadAt) -> Result<(Self, Copy), GptError> {
        decode::read(disk)
    }

    /// The bytes of both copies.
    ///
    /// Write, sync the backup first, then write, sync the primary. A crash before the primary is touched leaves the old table
    /// in force; a torn primary fails its checksum and leaves the backup in force.
    pub fn encode(&self) -> Result<Encoded, GptError> {
        encode::encode(self)
    }

    /// The partition with this name; the first of several.
    pub fn named(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name == name)
    }

    /// The partition with this UUID.
    pub fn with_uuid(&self, uuid: Uuid) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.uuid == uuid)
    }

    /// The same table on a disk of `disk_size` bytes, its last partition extended to the end (to a multiple of
    /// [`ALIGNMENT`]). Nothing shrinks: a smaller disk is an error.
    pub fn grow(&self, disk_size: u64) -> Result<Self, GptError> {
        let disk_size = disk_size / SECTOR * SECTOR;
        let too_small = GptError::DiskTooSmall { disk_size };
        if disk_size < self.disk_size {
            return Err(too_small);
        }
        let mut grown = Self { disk_size, ..self.clone() };
        if let Some(last) = grown.partitions.iter_mut().max_by_key(|partition| partition.start) {
            let end = usable_end(disk_size).ok_or(too_small)? / ALIGNMENT * ALIGNMENT;
            last.length = last.length.max(end.saturating_sub(last.start));
        }
        Ok(grown)
    }

    /// The same table with the partition `from` named `to`.
    pub fn rename(&self, from: &str, to: &str) -> Result<Self, GptError> {
        let mut renamed = self.clone();
        let partition = renamed.partitions.iter_mut().find(|partition| partition.name == from);
        partition.ok_or_else(|| GptError::NoPartition { name: from.to_owned() })?.name = to.to_owned();
        Ok(renamed)
    }
}

/// Sectors of the entries of one table.
const ENTRIES_SECTORS: u64 = (MAXIMUM_PARTITIONS as u64 * 128) / SECTOR;

/// First byte that a partition may use.
const USABLE_START: u64 = (2 + ENTRIES_SECTORS) * SECTOR;

/// Byte behind the last one that a partition may use.
fn usable_end(disk_size: u64) -> Option<u64> {
    (disk_size / SECTOR * SECTOR)
        .checked_sub((1 + ENTRIES_SECTORS) * SECTOR)
        .filter(|end| *end > USABLE_START)
}

#[cfg(test)]
mod tests;
