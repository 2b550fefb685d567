//! Numbers and records of the EROFS disk format (`erofs_fs.h`), little-endian throughout.

use crate::bytes::put;

pub(super) const SUPERBLOCK_OFFSET: usize = 1024;
pub(super) const MAGIC: u32 = 0xE0F5_E1E2;
pub(super) const BLOCK_BITS: u8 = 12;
/// Inodes begin at multiples of this; an inode's number (nid) is its offset divided by it.
pub(super) const SLOT: u64 = 32;
pub(super) const COMPACT_SIZE: u64 = 32;
pub(super) const EXTENDED_SIZE: u64 = 64;
pub(super) const MAXIMUM_NAME: usize = 255;
pub(super) const DIRENT_SIZE: usize = 12;

/// `EROFS_FEATURE_COMPAT_SB_CHKSUM | EROFS_FEATURE_COMPAT_MTIME`.
pub(super) const FEATURES_COMPATIBLE: u32 = 0x1 | 0x2;
pub(super) const FEATURE_CHECKSUM: u32 = 0x1;

pub(super) const LAYOUT_PLAIN: u16 = 0;
pub(super) const LAYOUT_INLINE: u16 = 2;

pub(super) const MODE_TYPE: u32 = 0o170_000;
pub(super) const MODE_FIFO: u32 = 0o010_000;
pub(super) const MODE_CHARACTER: u32 = 0o020_000;
pub(super) const MODE_DIRECTORY: u32 = 0o040_000;
pub(super) const MODE_FILE: u32 = 0o100_000;
pub(super) const MODE_SYMLINK: u32 = 0o120_000;

/// File type as a directory entry repeats it.
pub(super) fn directory_entry_type(mode: u32) -> u8 {
    match mode & MODE_TYPE {
        MODE_FILE => 1,
        MODE_DIRECTORY => 2,
        MODE_CHARACTER => 3,
        MODE_FIFO => 5,
        MODE_SYMLINK => 7,
        _ => 0,
    }
}

/// What an inode record holds. Its times come from elsewhere: all files of an image have the superblock's.
pub(super) struct InodeRecord {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub size: u64,
    pub xattr_count: u16,
    pub layout: u16,
    /// First block or device number, by type.
    pub location: u32,
}

impl InodeRecord {
    /// Whether the short form can say it.
    pub fn is_compact(&self) -> bool {
        let fits_16 = |value: u32| value <= u32::from(u16::MAX);
        fits_16(self.uid) && fits_16(self.gid) && fits_16(self.links) && self.size <= u64::from(u32::MAX)
    }

    pub fn encoded_size(&self) -> u64 {
        if self.is_compact() { COMPACT_SIZE } else { EXTENDED_SIZE }
    }

    /// The field `i_ino` stays zero: Linux takes inode numbers from the place of the inode, and counting them here
    /// would make every inode after an added file differ between two releases.
    pub fn encode(&self, time: u64, record: &mut [u8]) {
        let compact = self.is_compact();
        put(record, 0, &((self.layout << 1) | u16::from(!compact)).to_le_bytes());
        put(record, 2, &self.xattr_count.to_le_bytes());
        put(record, 4, &(self.mode as u16).to_le_bytes());
        if compact {
            put(record, 6, &(self.links as u16).to_le_bytes());
            put(record, 8, &(self.size as u32).to_le_bytes());
            // Offset 12 is a distance to the superblock's time in new kernels and unused in old ones: zero.
            put(record, 16, &self.location.to_le_bytes());
            put(record, 24, &(self.uid as u16).to_le_bytes());
            put(record, 26, &(self.gid as u16).to_le_bytes());
        } else {
            put(record, 8, &self.size.to_le_bytes());
            put(record, 16, &self.location.to_le_bytes());
            put(record, 24, &self.uid.to_le_bytes());
            put(record, 28, &self.gid.to_le_bytes());
            put(record, 32, &time.to_le_bytes());
            put(record, 44, &self.links.to_le_bytes());
        }
    }
}

/// Linux's `new_encode_dev`.
pub(super) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xFF) | (major << 8) | ((minor & !0xFF) << 12)
}

/// Linux's `new_decode_dev`: major and minor.
pub(super) fn decode_device(device: u32) -> (u32, u32) {
    ((device & 0xF_FF00) >> 8, (device & 0xFF) | ((device >> 12) & 0xF_FF00))
}
