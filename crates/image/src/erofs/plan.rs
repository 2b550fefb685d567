//! Where every byte of an image goes, decided before the first one is written.

use std::collections::BTreeMap;

use tree::{Content, Entry, Node, Tree, TreePath};

use super::directory::{self, Child};
use super::format::{self, InodeRecord};
use super::xattr::{self, XattrProblem};
use super::{BLOCK_SIZE, INLINE_LIMIT, MAXIMUM_PATH};
use crate::Uuid;
use crate::bytes::{put, round_up};
use crate::checksum::crc32c_raw;

/// What an image has besides its tree.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of the file system.
    pub uuid: Uuid,
    /// At most 15 bytes.
    pub volume_name: String,
    /// Modification time of every file, in seconds since 1970.
    pub time: u64,
}

/// A planned image: all offsets are known, contents are not read yet.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Superblock, inodes and directories; contents of inline files are still zero.
    pub(super) metadata: Vec<u8>,
    files: Vec<FileExtent>,
    size: u64,
}

/// Where a file's content lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileExtent {
    /// In the tree; of hard links the target.
    pub path: TreePath,
    /// What is there.
    pub content: Content,
    /// In bytes from the image's start; a multiple of [`BLOCK_SIZE`] unless the content is inline.
    pub offset: u64,
}

/// Why a tree can not become an image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// There is no root directory, or it is something else.
    #[error("the tree has no root directory")]
    NoRoot,
    /// The directory that an entry is in is missing or not a directory.
    #[error("`{path}` is not inside a directory of the tree")]
    NoParent {
        /// The entry.
        path: TreePath,
    },
    /// A hard link does not point at a file.
    #[error("hard link `{path}` points at `{target}`, which is not a file")]
    LinkTarget {
        /// The link.
        path: TreePath,
        /// Where it points.
        target: TreePath,
    },
    /// Linux could not open it.
    #[error("the path `{path}` or one of its names is too long")]
    PathTooLong {
        /// The entry.
        path: TreePath,
    },
    /// Empty or longer than Linux reads.
    #[error("symbolic link `{path}` has an empty or too long text")]
    LinkText {
        /// The link.
        path: TreePath,
    },
    /// More than permission bits.
    #[error("mode {mode:o} of `{path}` has more than permission bits")]
    Mode {
        /// The entry.
        path: TreePath,
        /// Its mode.
        mode: u32,
    },
    /// Device numbers that Linux does not have.
    #[error("device `{path}` has number {major}:{minor}, beyond 4095:1048575")]
    Device {
        /// The device.
        path: TreePath,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Attributes that have no place.
    #[error("extended attributes of `{path}` can not be stored")]
    Xattr {
        /// The entry.
        path: TreePath,
        /// What is wrong with them.
        source: XattrProblem,
    },
    /// Longer than the superblock's field.
    #[error("volume name `{name}` is longer than 15 bytes")]
    VolumeName {
        /// The name.
        name: String,
    },
    /// More than 16 TiB.
    #[error("the image would have {blocks} blocks, more than its format can count")]
    TooLarge {
        /// Blocks of 4 KiB.
        blocks: u64,
    },
}

/// Decides where everything goes. The order depends on paths alone, so that unchanged files keep their order.
pub fn plan(tree: &Tree, options: &Options) -> Result<Layout, PlanError> {
    if options.volume_name.len() > 15 {
        return Err(PlanError::VolumeName { name: options.volume_name.clone() });
    }
    let mut inodes = collect_inodes(tree)?;
    let inodes_end = place_inodes(&mut inodes);
    let (metadata_end, size) = place_blocks(&mut inodes, inodes_end)?;

    let mut metadata = vec![0; metadata_end as usize];
    for inode in &inodes {
        encode_inode(inode, &inodes, options.time, &mut metadata);
    }
    encode_superblock(options, inodes.len() as u64, size / BLOCK_SIZE, &mut metadata);
    let files = inodes
        .iter()
        .filter_map(|inode| match &inode.body {
            Body::File(content) => {
                Some(FileExtent { path: inode.path.clone(), content: *content, offset: inode.body_offset })
            }
            _ => None,
        })
        .collect();
    Ok(Layout { metadata, files, size })
}

impl Layout {
    /// Length of the image in bytes, a multiple of [`BLOCK_SIZE`].
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where each file's content lies, by path.
    pub fn files(&self) -> &[FileExtent] {
        &self.files
    }

    /// Files beside their inode.
    pub(super) fn inline_files(&self) -> impl Iterator<Item = &FileExtent> {
        let end = self.metadata.len() as u64;
        self.files.iter().filter(move |file| file.content.size > 0 && file.offset < end)
    }

    /// Files in blocks of their own, in the order of the blocks.
    pub(super) fn block_files(&self) -> impl Iterator<Item = &FileExtent> {
        let end = self.metadata.len() as u64;
        self.files.iter().filter(move |file| file.content.size > 0 && file.offset >= end)
    }
}

struct Inode<'a> {
    path: &'a TreePath,
    record: InodeRecord,
    xattrs: Vec<u8>,
    body: Body<'a>,
    offset: u64,
    body_offset: u64,
}

enum Body<'a> {
    None,
    Text(&'a str),
    Directory(Vec<Child<'a>>),
    File(Content),
}

impl Inode<'_> {
    fn nid(&self) -> u64 {
        self.offset / format::SLOT
    }
}

/// One inode for each entry but hard links, in path order: the root directory is the first.
fn collect_inodes(tree: &Tree) -> Result<Vec<Inode<'_>>, PlanError> {
    let mut inodes: Vec<Inode<'_>> = Vec::with_capacity(tree.entries.len());
    let mut numbers: BTreeMap<&TreePath, usize> = BTreeMap::new();
    match tree.entries.get(&TreePath::root()) {
        Some(Entry { node: Node::Directory, .. }) => {}
        _ => return Err(PlanError::NoRoot),
    }
    for (path, entry) in &tree.entries {
        if path.as_str().len() > MAXIMUM_PATH || path.name().len() > format::MAXIMUM_NAME {
            return Err(PlanError::PathTooLong { path: path.clone() });
        }
        if !matches!(entry.node, Node::HardLink { .. }) {
            numbers.insert(path, inodes.len());
            inodes.push(inode(path, entry)?);
        }
    }
    for (path, entry) in &tree.entries {
        let number = match &entry.node {
            Node::HardLink { target } => {
                let number = numbers.get(target).copied();
                let number = number.filter(|number| matches!(inodes[*number].body, Body::File(_)));
                let number =
                    number.ok_or(PlanError::LinkTarget { path: path.clone(), target: target.clone() })?;
                inodes[number].record.links += 1;
                number
            }
            _ => numbers[path],
        };
        let parent = match path.parent() {
            // The root is its own parent.
            None => number,
            Some(parent) => *numbers.get(&parent).ok_or(PlanError::NoParent { path: path.clone() })?,
        };
        let kind = format::directory_entry_type(inodes[number].record.mode);
        let is_directory = matches!(entry.node, Node::Directory);
        if let Body::Directory(children) = &mut inodes[number].body {
            children.push(Child { name: b".", target: number as u64, kind });
            children.push(Child { name: b"..", target: parent as u64, kind });
        }
        if number == parent {
            continue;
        }
        inodes[parent].record.links += u32::from(is_directory);
        match &mut inodes[parent].body {
            Body::Directory(children) => {
                children.push(Child { name: path.name().as_bytes(), target: number as u64, kind });
            }
            _ => return Err(PlanError::NoParent { path: path.clone() }),
        }
    }
    for inode in &mut inodes {
        if let Body::Directory(children) = &mut inode.body {
            directory::sort(children);
            inode.record.size = directory::encoded_size(children);
        }
    }
    Ok(inodes)
}

fn inode<'a>(path: &'a TreePath, entry: &'a Entry) -> Result<Inode<'a>, PlanError> {
    let metadata = &entry.metadata;
    if metadata.mode > 0o7777 {
        return Err(PlanError::Mode { path: path.clone(), mode: metadata.mode });
    }
    let xattrs =
        xattr::encode(&metadata.xattrs).map_err(|source| PlanError::Xattr { path: path.clone(), source })?;
    let (kind, links, size, location, body) = match &entry.node {
        Node::Directory => (format::MODE_DIRECTORY, 2, 0, 0, Body::Directory(Vec::new())),
        Node::File(content) => (format::MODE_FILE, 1, content.size, 0, Body::File(*content)),
        Node::Symlink { target } => {
            if target.is_empty() || target.len() > MAXIMUM_PATH || target.contains('\0') {
                return Err(PlanError::LinkText { path: path.clone() });
            }
            (format::MODE_SYMLINK, 1, target.len() as u64, 0, Body::Text(target))
        }
        Node::CharacterDevice { major, minor } => {
            if *major > 0xFFF || *minor > 0xF_FFFF {
                return Err(PlanError::Device { path: path.clone(), major: *major, minor: *minor });
            }
            (format::MODE_CHARACTER, 1, 0, format::encode_device(*major, *minor), Body::None)
        }
        Node::Fifo => (format::MODE_FIFO, 1, 0, 0, Body::None),
        Node::HardLink { .. } => unreachable!("BUG: hard links have no inode of their own"),
    };
    let record = InodeRecord {
        mode: kind | metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        links,
        size,
        xattr_count: xattr::count(xattrs.len()).expect("encode refuses more than can be counted"),
        layout: format::LAYOUT_PLAIN,
        location,
    };
    Ok(Inode { path, record, xattrs, body, offset: 0, body_offset: 0 })
}

/// Gives every inode its place and decides which contents stay beside theirs. Returns where inodes end.
fn place_inodes(inodes: &mut [Inode<'_>]) -> u64 {
    let mut end = BLOCK_SIZE;
    for inode in inodes {
        let head = inode.record.encoded_size() + inode.xattrs.len() as u64;
        let limit = match inode.body {
            Body::None => 0,
            // Linux reads short links fastest from beside the inode.
            Body::Text(_) => BLOCK_SIZE,
            Body::File(_) | Body::Directory(_) => INLINE_LIMIT,
        };
        // Inline content must not cross a block border.
        let is_inline = inode.record.size > 0
            && inode.record.size <= limit
            && head % BLOCK_SIZE + inode.record.size <= BLOCK_SIZE;
        let length = if is_inline { head + inode.record.size } else { head };
        inode.offset = round_up(end, format::SLOT);
        let left_in_block = BLOCK_SIZE - inode.offset % BLOCK_SIZE;
        if length > left_in_block {
            inode.offset = round_up(end, BLOCK_SIZE);
        }
        if is_inline {
            inode.record.layout = format::LAYOUT_INLINE;
            inode.body_offset = inode.offset + head;
        }
        end = inode.offset + length;
    }
    round_up(end, BLOCK_SIZE)
}

/// Gives blocks to what is not inline: texts and directories first, then files. Returns where the former and all end.
fn place_blocks(inodes: &mut [Inode<'_>], inodes_end: u64) -> Result<(u64, u64), PlanError> {
    let is_file = |inode: &Inode<'_>| matches!(inode.body, Body::File(_));
    let mut end = inodes_end;
    let mut metadata_end = inodes_end;
    for files in [false, true] {
        for inode in inodes.iter_mut().filter(|inode| is_file(inode) == files) {
            let needs_blocks = inode.record.size > 0 && inode.record.layout == format::LAYOUT_PLAIN;
            if !needs_blocks {
                continue;
            }
            let too_large = PlanError::TooLarge { blocks: end / BLOCK_SIZE };
            inode.body_offset = end;
            inode.record.location = u32::try_from(end / BLOCK_SIZE).map_err(|_| too_large)?;
            let blocks = end / BLOCK_SIZE + inode.record.size.div_ceil(BLOCK_SIZE);
            if blocks > u64::from(u32::MAX) {
                return Err(PlanError::TooLarge { blocks });
            }
            end = blocks * BLOCK_SIZE;
        }
        if !files {
            metadata_end = end;
        }
    }
    Ok((metadata_end, end))
}

fn encode_inode(inode: &Inode<'_>, inodes: &[Inode<'_>], time: u64, metadata: &mut [u8]) {
    let offset = inode.offset as usize;
    inode.record.encode(time, &mut metadata[offset..]);
    put(metadata, offset + inode.record.encoded_size() as usize, &inode.xattrs);
    let body = inode.body_offset as usize;
    match &inode.body {
        Body::None | Body::File(_) => {}
        Body::Text(text) => put(metadata, body, text.as_bytes()),
        Body::Directory(children) => {
            let out = &mut metadata[body..body + inode.record.size as usize];
            directory::encode(children, |target| inodes[target as usize].nid(), out);
        }
    }
}

fn encode_superblock(options: &Options, inodes: u64, blocks: u64, metadata: &mut [u8]) {
    let root_nid = (BLOCK_SIZE / format::SLOT) as u16;
    let superblock = &mut metadata[format::SUPERBLOCK_OFFSET..BLOCK_SIZE as usize];
    put(superblock, 0, &format::MAGIC.to_le_bytes());
    put(superblock, 8, &format::FEATURES_COMPATIBLE.to_le_bytes());
    superblock[12] = format::BLOCK_BITS;
    put(superblock, 14, &root_nid.to_le_bytes());
    put(superblock, 16, &inodes.to_le_bytes());
    put(superblock, 24, &options.time.to_le_bytes());
    put(superblock, 36, &(blocks as u32).to_le_bytes());
    // Metadata and shared attributes are counted from block 0 (offsets 40 and 44 stay zero).
    put(superblock, 48, &options.uuid.0);
    put(superblock, 64, options.volume_name.as_bytes());
    // The sum covers the rest of the block, with its own field zero.
    let sum = crc32c_raw(superblock);
    put(superblock, 4, &sum.to_le_bytes());
}
