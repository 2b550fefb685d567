//! Reading an image that anybody may have made.
//!
//! Understands what [`super::plan`](super::plan()) writes and uncompressed images of `mkfs.erofs`. Compressed, chunked and
//! multi-device images are refused by name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};

use tree::{Metadata, TreePath};

use super::directory;
use super::format::{self, MODE_TYPE};
use super::superblock::{ReadError, Superblock, damaged, parse_superblock};
use super::{BLOCK_SIZE, MAXIMUM_PATH, xattr};
use crate::ReadAt;
use crate::bytes::{le16, le32, le64};

/// Most entries of an image that are listed: stops an image that lists one inode under endless names from filling
/// memory.
pub const MAXIMUM_ENTRIES: usize = 4_000_000;

/// Longest directory in bytes (about a million names): stops one that claims the whole disk from being read whole.
const MAXIMUM_DIRECTORY: u64 = 64 << 20;

/// Most bytes of extended attributes of one image: stops an image whose inodes all point at one large attribute.
const MAXIMUM_XATTR_BYTES: usize = 64 << 20;

/// An opened image.
pub struct Image<R> {
    source: R,
    superblock: Superblock,
}

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In the tree.
    pub path: TreePath,
    /// Mode, owner, attributes.
    pub metadata: Metadata,
    /// What it is.
    pub kind: NodeKind,
    /// Modification time, seconds since 1970.
    pub time: u64,
    extent: Extent,
}

impl Entry {
    /// Bytes of the image that hold whole blocks of a file's content; empty for everything else, and for files whose
    /// content lies beside their inode.
    pub fn blocks(&self) -> std::ops::Range<u64> {
        match self.kind {
            NodeKind::File { .. } => {
                self.extent.block_offset
                    ..self.extent.block_offset + self.extent.blocks.next_multiple_of(BLOCK_SIZE)
            }
            _ => 0..0,
        }
    }

    /// Bytes of the image that hold the rest of a file's content, beside its inode.
    pub fn inline(&self) -> std::ops::Range<u64> {
        match self.kind {
            NodeKind::File { .. } => {
                self.extent.inline_offset..self.extent.inline_offset + (self.extent.size - self.extent.blocks)
            }
            _ => 0..0,
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Directory.
    Directory,
    /// Regular file; its bytes come from [`Image::open_file`].
    File {
        /// Length in bytes.
        size: u64,
    },
    /// Another name of the file at `target`, which was listed before.
    HardLink {
        /// The first name.
        target: TreePath,
    },
    /// Symbolic link.
    Symlink {
        /// Its text.
        target: String,
    },
    /// Character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Named pipe.
    Fifo,
}

/// Where content lies: `blocks` bytes from a block on, the rest beside the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    size: u64,
    blocks: u64,
    block_offset: u64,
    inline_offset: u64,
}

impl Extent {
    const EMPTY: Self = Self { size: 0, blocks: 0, block_offset: 0, inline_offset: 0 };
}

struct Inode {
    mode: u32,
    metadata: Metadata,
    location: u32,
    time: u64,
    extent: Extent,
}

impl<R: ReadAt> Image<R> {
    /// Reads and checks the superblock.
    pub fn open(source: R) -> Result<Self, ReadError> {
        if source.size() < BLOCK_SIZE {
            return Err(ReadError::NotErofs);
        }
        let mut block = [0; BLOCK_SIZE as usize];
        source.read_exact_at(&mut block, 0).map_err(|source| ReadError::Source { offset: 0, source })?;
        let superblock = parse_superblock(&mut block[format::SUPERBLOCK_OFFSET..], source.size())?;
        Ok(Self { source, superblock })
    }

    /// What the superblock says.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Every path, directories before what is in them, names in order. Calls `each` as they are found.
    pub fn walk(&self, mut each: impl FnMut(Entry)) -> Result<(), ReadError> {
        let mut first_names: HashMap<u64, TreePath> = HashMap::new();
        let mut directories = HashSet::from([self.superblock.root_nid]);
        let (mut entries, mut xattr_bytes) = (0, 0);
        // A stack instead of recursion: depth is bounded by the longest path, and not by our own stack.
        let mut pending = vec![(TreePath::root(), self.superblock.root_nid)];
        while let Some((path, nid)) = pending.pop() {
            entries += 1;
            if entries > MAXIMUM_ENTRIES {
                return Err(ReadError::Limit { what: "entries", limit: MAXIMUM_ENTRIES });
            }
            let inode = self.read_inode(&path, nid)?;
            xattr_bytes += inode.metadata.xattrs.values().map(Vec::len).sum::<usize>();
            if xattr_bytes > MAXIMUM_XATTR_BYTES {
                return Err(ReadError::Limit {
                    what: "bytes of extended attributes",
                    limit: MAXIMUM_XATTR_BYTES,
                });
            }
            let kind = match inode.mode & MODE_TYPE {
                format::MODE_DIRECTORY => {
                    let first_child = pending.len();
                    for (name, child) in self.read_directory(&path, &inode.extent)? {
                        let child_path = path.join(&name).map_err(|_| damaged(&path, "impossible name"))?;
                        if child_path.as_str().len() > MAXIMUM_PATH {
                            return Err(damaged(&path, "path longer than Linux can open"));
                        }
                        pending.push((child_path, child));
                    }
                    pending[first_child..].reverse();
                    NodeKind::Directory
                }
                format::MODE_FILE => match first_names.get(&nid) {
                    Some(target) => NodeKind::HardLink { target: target.clone() },
                    None => {
                        first_names.insert(nid, path.clone());
                        NodeKind::File { size: inode.extent.size }
                    }
                },
                format::MODE_SYMLINK => NodeKind::Symlink { target: self.read_text(&path, &inode.extent)? },
                format::MODE_CHARACTER => {
                    let (major, minor) = format::decode_device(inode.location);
                    NodeKind::CharacterDevice { major, minor }
                }
                format::MODE_FIFO => NodeKind::Fifo,
                _ => return Err(damaged(&path, "file type that appliances do not have")),
            };
            if kind == NodeKind::Directory && nid != self.superblock.root_nid && !directories.insert(nid) {
                return Err(damaged(&path, "directory with two names"));
            }
            if kind == NodeKind::Directory && nid == self.superblock.root_nid && path != TreePath::root() {
                return Err(damaged(&path, "root directory inside itself"));
            }
            each(Entry { path, metadata: inode.metadata, kind, time: inode.time, extent: inode.extent });
        }
        Ok(())
    }

    /// Reads a file or hard link from its start. Anything else reads as empty.
    pub fn open_file(&self, entry: &Entry) -> FileReader<'_, R> {
        let is_file = matches!(entry.kind, NodeKind::File { .. } | NodeKind::HardLink { .. });
        let extent = if is_file { entry.extent } else { Extent::EMPTY };
        FileReader { source: &self.source, extent, position: 0 }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        if buffer.is_empty() {
            return Ok(());
        }
        self.source.read_exact_at(buffer, offset).map_err(|source| ReadError::Source { offset, source })
    }

    fn read_inode(&self, path: &TreePath, nid: u64) -> Result<Inode, ReadError> {
        let offset = nid
            .checked_mul(format::SLOT)
            .and_then(|offset| offset.checked_add(self.superblock.metadata_start))
            .filter(|offset| *offset <= self.superblock.size - format::COMPACT_SIZE)
            .ok_or_else(|| damaged(path, "inode beyond the end"))?;
        let mut record = [0; format::EXTENDED_SIZE as usize];
        self.read_at(&mut record[..format::COMPACT_SIZE as usize], offset)?;
        let format_bits = le16(&record, 0);
        let is_extended = format_bits & 1 == 1;
        let head = if is_extended { format::EXTENDED_SIZE } else { format::COMPACT_SIZE };
        self.read_at(&mut record[..head as usize], offset)?;

        let xattr_size = xattr::encoded_size(le16(&record, 2)) as u64;
        let (size, uid, gid, time) = if is_extended {
            (le64(&record, 8), le32(&record, 24), le32(&record, 28), le64(&record, 32))
        } else {
            let owner = (u32::from(le16(&record, 24)), u32::from(le16(&record, 26)));
            (u64::from(le32(&record, 8)), owner.0, owner.1, self.superblock.time)
        };
        let (mode, location) = (u32::from(le16(&record, 4)), le32(&record, 16));
        let body_offset = offset + head + xattr_size;
        let extent = self.extent(path, (format_bits >> 1) & 7, mode, size, location, body_offset)?;
        let xattrs = self.read_xattrs(path, offset + head, xattr_size)?;
        Ok(Inode {
            mode,
            metadata: Metadata { mode: mode & 0o7777, uid, gid, xattrs },
            location,
            time,
            extent,
        })
    }

    fn extent(
        &self,
        path: &TreePath,
        layout: u16,
        mode: u32,
        size: u64,
        location: u32,
        inline_offset: u64,
    ) -> Result<Extent, ReadError> {
        let has_content =
            matches!(mode & MODE_TYPE, format::MODE_FILE | format::MODE_DIRECTORY | format::MODE_SYMLINK);
        if !has_content {
            return Ok(Extent::EMPTY);
        }
        let blocks = match layout {
            format::LAYOUT_PLAIN => size,
            // The last block is inline even when it is full.
            format::LAYOUT_INLINE => size.saturating_sub(1) / BLOCK_SIZE * BLOCK_SIZE,
            _ => {
                return Err(ReadError::Unsupported {
                    feature: format!("a compressed or chunked file ({path})"),
                });
            }
        };
        let block_offset = if blocks == 0 { 0 } else { u64::from(location) * BLOCK_SIZE };
        let fits = |start: u64, length: u64| {
            start.checked_add(length).is_some_and(|end| length == 0 || end <= self.superblock.size)
        };
        if !fits(block_offset, blocks) || !fits(inline_offset, size - blocks) {
            return Err(damaged(path, "content beyond the end"));
        }
        Ok(Extent { size, blocks, block_offset, inline_offset })
    }

    fn read_xattrs(
        &self,
        path: &TreePath,
        offset: u64,
        size: u64,
    ) -> Result<BTreeMap<String, Vec<u8>>, ReadError> {
        let mut xattrs = BTreeMap::new();
        if size == 0 {
            return Ok(xattrs);
        }
        let bad = || damaged(path, "extended attributes out of form");
        // At most 256 KiB by the width of the inode's field.
        let mut body = vec![0; size as usize];
        self.read_at(&mut body, offset)?;
        let (shared, mut inline) = xattr::split_header(&body).ok_or_else(bad)?;
        while !inline.is_empty() {
            let (name, value, used) = xattr::decode_entry(inline).ok_or_else(bad)?;
            xattrs.insert(name, value);
            inline = inline.get(used..).ok_or_else(bad)?;
        }
        for id in shared {
            let entry_offset = self.superblock.xattr_start + u64::from(id) * 4;
            let mut header = [0; 4];
            self.read_at(&mut header, entry_offset)?;
            let mut entry = vec![0; xattr::entry_size(header)];
            self.read_at(&mut entry, entry_offset)?;
            let (name, value, _) = xattr::decode_entry(&entry).ok_or_else(bad)?;
            xattrs.insert(name, value);
        }
        Ok(xattrs)
    }

    /// Names and nids without `.` and `..`.
    fn read_directory(&self, path: &TreePath, extent: &Extent) -> Result<Vec<(String, u64)>, ReadError> {
        if extent.size > MAXIMUM_DIRECTORY {
            return Err(damaged(path, "directory of more than 64 MiB"));
        }
        let bytes = self.read_extent(extent)?;
        let mut children = Vec::new();
        for block in bytes.chunks(BLOCK_SIZE as usize) {
            for child in directory::decode(block).map_err(|problem| damaged(path, problem))? {
                if child.name != b"." && child.name != b".." {
                    let name = String::from_utf8(child.name.to_vec())
                        .map_err(|_| damaged(path, "name that is not UTF-8"))?;
                    children.push((name, child.target));
                }
            }
        }
        if children.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(damaged(path, "directory entries out of order"));
        }
        Ok(children)
    }

    fn read_text(&self, path: &TreePath, extent: &Extent) -> Result<String, ReadError> {
        if extent.size == 0 || extent.size > MAXIMUM_PATH as u64 {
            return Err(damaged(path, "symbolic link with an empty or too long text"));
        }
        String::from_utf8(self.read_extent(extent)?).map_err(|_| damaged(path, "link text that is not UTF-8"))
    }

    /// Callers check the size against a limit first.
    fn read_extent(&self, extent: &Extent) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; extent.size as usize];
        let (blocks, inline) = bytes.split_at_mut(extent.blocks as usize);
        self.read_at(blocks, extent.block_offset)?;
        self.read_at(inline, extent.inline_offset)?;
        Ok(bytes)
    }
}

/// A file of an image as a reader.
pub struct FileReader<'a, R> {
    source: &'a R,
    extent: Extent,
    position: u64,
}

impl<R: ReadAt> Read for FileReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Extent { size, blocks, block_offset, inline_offset } = self.extent;
        let (offset, end) = if self.position < blocks {
            (block_offset + self.position, blocks)
        } else {
            (inline_offset + (self.position - blocks), size)
        };
        let length = usize::try_from(end - self.position).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        self.source.read_exact_at(&mut buffer[..length], offset)?;
        self.position += length as u64;
        Ok(length)
    }
}
