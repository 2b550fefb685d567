//! The EFI system partition: a FAT32 file system from a list of files.
//!
//! Volume id, label and times are given, never drawn or taken from a clock. Files are written in path order, so that
//! the order they are listed in changes nothing.

mod dots;
mod geometry;

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use fatfs::{Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};
use tree::TreePath;

use crate::ReadAt;
use crate::bytes::round_up;

/// Smallest size in bytes. FAT32 needs 65525 clusters; this leaves room for them and for their tables.
pub const MINIMUM_SIZE: u64 = 64 << 20;

/// Largest size in bytes: an ESP is made in memory.
pub const MAXIMUM_SIZE: u64 = 2 << 30;

/// Largest file read: stops a file system that claims a UKI of 4 GiB.
const MAXIMUM_FILE: u64 = 512 << 20;

/// Most entries of one directory read: stops a chain of clusters that leads back into itself.
const MAXIMUM_DIRECTORY: usize = 4096;

/// Deepest directory read: stops directories that contain themselves.
const MAXIMUM_DEPTH: usize = 8;

/// What an ESP has besides its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Serial number of the volume.
    pub volume_id: u32,
    /// Size in bytes, between [`MINIMUM_SIZE`] and [`MAXIMUM_SIZE`]; see [`size_for`].
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
    /// Two files have one path, as FAT sees it: without regard to case.
    #[error("`{path}` is there twice")]
    Duplicate {
        /// The path.
        path: TreePath,
    },
    /// The file system refused or is damaged.
    #[error("can not access `{path}` on the EFI system partition")]
    Access {
        /// The path.
        path: TreePath,
        /// What the file system said.
        source: io::Error,
    },
    /// More than an ESP of ours ever has.
    #[error("`{path}` on the EFI system partition is too large")]
    Limit {
        /// The path.
        path: TreePath,
    },
}

/// Size that holds the files, the same again for a patch's kernel, and some room to spare.
pub fn size_for(files: &[(TreePath, &[u8])]) -> u64 {
    let content: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    round_up(content * 2 + content / 8 + (8 << 20), 1 << 20).max(MINIMUM_SIZE)
}

/// Makes the file system: `options.size` bytes.
pub fn write(files: &[(TreePath, &[u8])], options: &Options) -> Result<Vec<u8>, EspError> {
    if !(MINIMUM_SIZE..=MAXIMUM_SIZE).contains(&options.size) || !options.size.is_multiple_of(4096) {
        return Err(EspError::Size { size: options.size });
    }
    let sorted = sort(files)?;
    let root = TreePath::root();
    let access = |path: &TreePath| {
        let path = path.clone();
        move |source| EspError::Access { path, source }
    };
    let mut bytes = vec![0; options.size as usize];
    let format = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(cluster_size(options.size))
        .volume_id(options.volume_id)
        .volume_label(*b"ESP        ");
    fatfs::format_volume(Cursor::new(&mut bytes[..]), format).map_err(access(&root))?;
    let file_system =
        FileSystem::new(Cursor::new(&mut bytes[..]), FsOptions::new().time_provider(&FIXED_TIME))
            .map_err(access(&root))?;
    for (path, content) in sorted {
        make_parents(&file_system, &path)?;
        let mut file = file_system.root_dir().create_file(path.as_str()).map_err(access(&path))?;
        file.write_all(content).and_then(|()| file.flush()).map_err(access(&path))?;
    }
    file_system.unmount().map_err(access(&root))?;
    dots::mend(&mut bytes);
    Ok(bytes)
}

/// Paths and sizes of all files, in path order.
pub fn list(esp: &dyn ReadAt) -> Result<Vec<(TreePath, u64)>, EspError> {
    let root = TreePath::root();
    let access = |path: &TreePath| {
        let path = path.clone();
        move |source| EspError::Access { path, source }
    };
    let file_system = open(esp).map_err(access(&root))?;
    let mut files = Vec::new();
    let mut pending = vec![(root, file_system.root_dir(), 0)];
    while let Some((path, directory, depth)) = pending.pop() {
        for (count, entry) in directory.iter().enumerate() {
            let entry = entry.map_err(access(&path))?;
            if count > MAXIMUM_DIRECTORY || depth > MAXIMUM_DEPTH || files.len() > MAXIMUM_DIRECTORY {
                return Err(EspError::Limit { path });
            }
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let child = path.join(&name).map_err(|error| access(&path)(io::Error::other(error)))?;
            if entry.is_dir() {
                pending.push((child, entry.to_dir(), depth + 1));
            } else {
                files.push((child, entry.len()));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one file whole.
pub fn read(esp: &dyn ReadAt, path: &TreePath) -> Result<Vec<u8>, EspError> {
    let access = |source| EspError::Access { path: path.clone(), source };
    let file_system = open(esp).map_err(access)?;
    let file = file_system.root_dir().open_file(path.as_str()).map_err(access)?;
    let mut bytes = Vec::new();
    file.take(MAXIMUM_FILE + 1).read_to_end(&mut bytes).map_err(access)?;
    if bytes.len() as u64 > MAXIMUM_FILE { Err(EspError::Limit { path: path.clone() }) } else { Ok(bytes) }
}

fn sort<'a>(files: &[(TreePath, &'a [u8])]) -> Result<Vec<(TreePath, &'a [u8])>, EspError> {
    let mut sorted = BTreeMap::new();
    for (path, content) in files {
        let folded = path.as_str().to_lowercase();
        if sorted.insert(folded, (path.clone(), *content)).is_some() {
            return Err(EspError::Duplicate { path: path.clone() });
        }
    }
    Ok(sorted.into_values().collect())
}

fn make_parents<T: fatfs::ReadWriteSeek>(
    file_system: &FileSystem<T>,
    path: &TreePath,
) -> Result<(), EspError> {
    let mut parents = Vec::new();
    let mut parent = path.parent();
    while let Some(directory) = parent.filter(|directory| *directory != TreePath::root()) {
        parent = directory.parent();
        parents.push(directory);
    }
    for directory in parents.iter().rev() {
        let root = file_system.root_dir();
        // Opens it when it is there already.
        root.create_dir(directory.as_str())
            .map_err(|source| EspError::Access { path: directory.clone(), source })?;
    }
    Ok(())
}

/// The largest power of two that leaves enough clusters for FAT32 (65525, with some to spare for the tables).
fn cluster_size(size: u64) -> u32 {
    [4096, 2048, 1024].into_iter().find(|cluster| size / u64::from(*cluster) >= 70_000).unwrap_or(512)
}

fn open(esp: &dyn ReadAt) -> io::Result<FileSystem<Reader<'_>>> {
    geometry::check(esp)?;
    FileSystem::new(Reader { esp, position: 0 }, FsOptions::new().time_provider(&FIXED_TIME))
}

/// The first instant that FAT can say.
struct FixedTime;

static FIXED_TIME: FixedTime = FixedTime;

impl TimeProvider for FixedTime {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

impl std::fmt::Debug for FixedTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FixedTime")
    }
}

/// A [`ReadAt`] as the seekable stream that the FAT library wants. It takes writes (of the "cleanly unmounted" mark) and
/// forgets them.
struct Reader<'a> {
    esp: &'a dyn ReadAt,
    position: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.esp.size().saturating_sub(self.position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if length > 0 {
            self.esp.read_exact_at(&mut buffer[..length], self.position)?;
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl Write for Reader<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.position += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.esp.size().checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
