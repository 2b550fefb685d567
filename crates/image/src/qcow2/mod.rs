//! qcow2 version 3: packing a disk into compressed clusters, and reading such files.
//!
//! Clusters of 64 KiB, each a zstd frame of its own. Clusters of zeros take no room. Format: `docs/interop/qcow2.txt` of
//! QEMU; all numbers are big-endian.

mod read;
mod write;

use model::Sha256Digest;

pub use read::{Qcow2, Qcow2Error};
pub use write::{Options, WriteError, write};

/// Cluster size of files that are written here.
pub const CLUSTER_SIZE: usize = 1 << CLUSTER_BITS;

const CLUSTER_BITS: u32 = 16;
const MAGIC: [u8; 4] = *b"QFI\xfb";
const HEADER_SIZE: usize = 112;
/// Compressed clusters are measured in these.
const SECTOR: u64 = 512;

/// Bit 63 of table entries: exactly one reference.
const FLAG_COPIED: u64 = 1 << 63;
/// Bit 62 of second-level entries.
const FLAG_COMPRESSED: u64 = 1 << 62;
/// Bit 0 of second-level entries: reads as zeros.
const FLAG_ZERO: u64 = 1;
/// Where a table entry's address is.
const OFFSET_MASK: u64 = 0x00FF_FFFF_FFFF_FE00;
/// Incompatible feature bit 3: the header names a compression type.
const FEATURE_COMPRESSION_TYPE: u64 = 1 << 3;
const COMPRESSION_ZSTD: u8 = 1;

/// Remembers compressed clusters from one build to the next.
///
/// Implementers MUST return exactly what was put under a key, or nothing; losing entries is allowed. Files are the same
/// with and without a cache.
pub trait ClusterCache: Sync {
    /// What was put under this key.
    fn get(&self, key: &Sha256Digest) -> Option<Vec<u8>>;

    /// Remembers; errors are the implementer's to swallow, because a cache is never needed.
    fn put(&self, key: &Sha256Digest, compressed: &[u8]);
}
