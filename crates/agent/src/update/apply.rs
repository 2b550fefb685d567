//! From the downloaded object to the inactive slot: the one place that knows how a patch is applied.
//!
//! What is there already of an earlier attempt is not written again. Nothing that the patch says of itself is believed:
//! [`super::stage`] compares what the disk gives back with the statement.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use image::ReadAt;
use model::Sha256Digest;
use patch::{ApplyOptions, Old, Resume, Target};
use release::Statement;

use super::stage::StageError;
use crate::sys;

/// Bytes of a patch read at once.
const BUFFER: usize = 256 << 10;

/// The running image, which patches are made against.
pub struct Running<'a> {
    /// Its root partition.
    pub root: &'a Path,
    /// Its UKI on the ESP.
    pub uki: &'a Path,
    /// Its root hash.
    pub root_hash: Sha256Digest,
}

/// Writes root and UKI, durable. `memory` is the most that it may take, in bytes.
pub fn apply(
    object: &Path,
    running: &Running<'_>,
    statement: &Statement,
    (root, uki): (&Path, &Path),
    memory: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), StageError> {
    let (old_root, old_uki) = (Bytes::of_device(running.root)?, Bytes::of_file(running.uki)?);
    let old = Old { root: &old_root, uki: &old_uki, root_hash: running.root_hash };
    let mut target = Slot {
        root: File::options().read(true).write(true).open(root)?,
        uki: File::create(uki)?,
        root_size: statement.image.root_size,
        uki_size: statement.uki.size,
    };
    let mut patch = BufReader::with_capacity(BUFFER, File::open(object)?);
    let options = ApplyOptions { memory, resume: Resume::Check };
    patch::apply(&mut patch, Some(&old), &mut target, &options, &mut |done, _| progress(done))
        .map_err(StageError::Patch)?;
    target.root.sync_all()?;
    Ok(target.uki.sync_all()?)
}

/// Whether an error means that the data disk is full.
pub fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull || error.raw_os_error() == Some(libc::EDQUOT)
}

/// Something that is read at offsets.
struct Bytes {
    file: File,
    size: u64,
}

impl Bytes {
    fn of_device(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = sys::ioctl::device_bytes(&file)?;
        Ok(Self { file, size })
    }

    fn of_file(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl ReadAt for Bytes {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// The inactive slot. Bounded by what the statement says, so that a patch can not fill a disk.
struct Slot {
    root: File,
    uki: File,
    root_size: u64,
    uki_size: u64,
}

fn bounded(offset: u64, bytes: &[u8], limit: u64) -> io::Result<()> {
    match offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= limit) {
        true => Ok(()),
        false => Err(io::Error::other("the patch makes more than the release states")),
    }
}

impl Target for Slot {
    fn write_root(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        bounded(offset, bytes, self.root_size)?;
        self.root.write_all_at(bytes, offset)
    }

    fn read_root(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.root.read_exact_at(buffer, offset)
    }

    fn write_uki(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        bounded(offset, bytes, self.uki_size)?;
        self.uki.write_all(bytes)
    }
}
