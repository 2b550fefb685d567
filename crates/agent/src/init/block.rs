//! Block devices as the partition table needs them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::sys;

/// Bytes in a sector. Images are laid out in 512-byte sectors; disks with larger ones are not found.
pub const SECTOR: usize = 512;

/// A disk.
///
/// Implementers MUST write whole sectors in order, and MUST NOT return from [`sync`](BlockDevice::sync) before
/// everything written is durable. Writes that were not synced may be lost, wholly or in part, when power fails.
pub trait BlockDevice {
    /// Size in sectors.
    fn sectors(&self) -> u64;
    /// Fills `bytes` from `sector` on.
    fn read(&self, sector: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Writes `bytes`, a multiple of [`SECTOR`], from `sector` on.
    fn write(&mut self, sector: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes all writes durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A disk of this machine.
#[derive(Debug)]
pub struct DeviceFile {
    file: File,
    sectors: u64,
}

impl DeviceFile {
    /// Opens a device node for reading.
    pub fn open(path: &Path) -> io::Result<DeviceFile> {
        DeviceFile::with_file(File::open(path)?)
    }

    /// Opens a device node for reading and writing.
    pub fn open_for_writing(path: &Path) -> io::Result<DeviceFile> {
        DeviceFile::with_file(File::options().read(true).write(true).open(path)?)
    }

    fn with_file(file: File) -> io::Result<DeviceFile> {
        let sectors = sys::ioctl::device_bytes(&file)? / SECTOR as u64;
        Ok(DeviceFile { file, sectors })
    }

    /// The open file, for the kernel calls about partitions.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl BlockDevice for DeviceFile {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read(&self, sector: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, sector * SECTOR as u64)
    }

    fn write(&mut self, sector: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, sector * SECTOR as u64)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}
