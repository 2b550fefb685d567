//! Files on disks that somebody attaches: a seed disk, a bundle.
//!
//! Reads ISO 9660 and FAT itself, the few structures that a file in the root needs: the kernel's drivers would run on whatever disk
//! somebody attaches, and need modules the image can do without.

mod fat;
mod iso9660;
mod pieces;

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use pieces::{Piece, Pieces};

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

/// Most pieces of a file. Stops a hostile disk from filling the memory.
const PIECES_LIMIT: usize = 1 << 16;

impl<D: ReadAt + ?Sized> ReadAt for &D {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, bytes)
    }
}

/// A disk whose files can not be read.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Structures that contradict each other.
    #[error("its file system is damaged")]
    Damaged,
    /// More than [`PIECES_LIMIT`].
    #[error("its file lies in more than {PIECES_LIMIT} pieces")]
    Scattered,
    /// The disk does not answer.
    #[error("it can not be read: {0}")]
    Device(#[from] io::Error),
}

/// A file system.
pub enum Volume<'a> {
    /// ISO 9660.
    Iso(iso9660::Volume<'a>),
    /// FAT12, FAT16 or FAT32.
    Fat(fat::Volume<'a>),
}

/// A file in the root of a volume.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its names, without versions: the plain one, and a longer one where there is one.
    pub names: Vec<String>,
    /// Bytes.
    pub length: u64,
    start: Start,
}

#[derive(Clone, Debug)]
enum Start {
    Pieces(Vec<Piece>),
    Cluster(u64),
}

impl<'a> Volume<'a> {
    /// The file system on a disk; `None` when it is neither of the two.
    pub fn open(disk: &'a dyn ReadAt) -> Option<Volume<'a>> {
        iso9660::Volume::open(disk).map(Volume::Iso).or_else(|| fat::Volume::open(disk).map(Volume::Fat))
    }

    /// Whether it is called so, in any case.
    pub fn has_label(&self, label: &str) -> bool {
        let labels = match self {
            Volume::Iso(volume) => vec![volume.label.as_slice()],
            Volume::Fat(volume) => volume.labels(),
        };
        let is_it = |known: &&[u8]| {
            let known = String::from_utf8_lossy(known);
            known.trim_end_matches([' ', '\0']).eq_ignore_ascii_case(label)
        };
        labels.iter().any(is_it)
    }

    /// The files in its root.
    pub fn files(&self) -> Result<Vec<Entry>, MediaError> {
        match self {
            Volume::Iso(volume) => volume.files(),
            Volume::Fat(volume) => volume.files(),
        }
    }

    /// Where the bytes of a file are, all of them.
    pub fn pieces(&self, file: &Entry) -> Result<Vec<Piece>, MediaError> {
        match (&file.start, self) {
            (Start::Pieces(pieces), _) => Ok(pieces.clone()),
            (Start::Cluster(first), Volume::Fat(volume)) => volume.chain(*first, file.length),
            (Start::Cluster(_), Volume::Iso(_)) => Err(MediaError::Damaged),
        }
    }
}

/// Where a file lies that is the only thing on the disk.
pub fn whole(disk: &File) -> io::Result<Vec<Piece>> {
    let mut disk = disk;
    Ok(vec![Piece { at: 0, length: disk.seek(SeekFrom::End(0))? }])
}

/// Disks and partitions that could have been attached, in the order of their names: the kernel's names, and their nodes.
pub fn devices() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !["loop", "ram", "dm-", "zram"].iter().any(|prefix| name.starts_with(prefix)));
    names.sort();
    names.into_iter().map(|name| (name.clone(), Path::new("/dev").join(name))).collect()
}

/// What is attached, with sizes: another answer than before means that a disk came, went, or has another medium.
pub fn attached() -> Vec<(String, String)> {
    let size = |name: &str| fs::read_to_string(format!("/sys/class/block/{name}/size")).unwrap_or_default();
    devices().into_iter().map(|(name, _)| (size(&name), name)).collect()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
