//! EROFS, uncompressed, 4 KiB blocks: planning, writing, reading.
//!
//! Layout of an image, in blocks: superblock (alone in block 0) · inodes in path order, each with its extended
//! attributes and, where small, its content · directories that do not fit beside their inode · contents of files in
//! path order, each from a block border on.
//!
//! A file is either wholly beside its inode or wholly in blocks of its own. EROFS could put every tail beside the
//! inode; that would save half a block a file, but it would tear each file in two and shift all later metadata
//! whenever a tail changes length, and patches copy whole blocks. Small files are kept inline: most of `/etc` and of
//! the units is then read with the metadata at boot.
//!
//! Format: `fs/erofs/erofs_fs.h` of Linux. Only features that Linux 5.10 knows are used.

mod directory;
mod format;
mod plan;
mod read;
mod superblock;
mod write;
mod xattr;

pub use plan::{FileExtent, Layout, Options, PlanError, plan};
pub use read::{Entry, FileReader, Image, MAXIMUM_ENTRIES, NodeKind};
pub use superblock::{ReadError, Superblock};
pub use write::WriteError;

/// Block size in bytes: contents in blocks begin at multiples of it.
pub const BLOCK_SIZE: u64 = 4096;

/// Longest path in bytes. Linux can not open longer ones (`PATH_MAX` less the NUL).
pub const MAXIMUM_PATH: usize = 4095;

/// Longest content kept beside its inode, in bytes.
pub const INLINE_LIMIT: u64 = 2048;
