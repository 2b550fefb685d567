//! The system disk of the running appliance: its slots, and the ESP while it is needed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use update::life::Record;

use super::files::Files;
use super::flow::{Entry, Source, World};
use crate::init::block::{DeviceFile, SECTOR};
use crate::init::cmdline::partition_uuids;
use crate::init::disks;
use crate::init::gpt::{Auto, Partition, Table};
use crate::init::state::make_directories;

const ESP_PLACE: &str = "/run/ampoule/esp";
const UKI_FOLDER: &str = "EFI/Linux";
/// Largest section that is read of a UKI: a command line is below 4 KiB.
const SECTION_LIMIT: usize = 64 << 10;
/// Sections of a UKI; see `image::uki`.
const SECTION_COUNT_LIMIT: usize = 96;
/// Most files that are looked at: an ESP of an appliance has three.
const ENTRY_LIMIT: usize = 64;

/// The disk by its slots.
#[derive(Clone, Debug)]
pub struct SystemDisk {
    /// Kernel name.
    pub disk: String,
    /// `a` or `b`.
    pub running: &'static str,
    /// The running slot's root.
    pub active: Partition,
    /// Where the boot loader and the UKIs are.
    pub esp: Partition,
    /// The inactive slot's root.
    pub root: Partition,
    /// The inactive slot's hash tree.
    pub verity: Partition,
}

impl SystemDisk {
    /// Finds the disk that has the running root.
    pub fn find(own: &Sha256Digest) -> io::Result<SystemDisk> {
        let uuid = partition_uuids(own).0;
        for disk in disks::scan() {
            let Some(running) = disk.partition_with_uuid(&uuid) else { continue };
            let partitions = disk.table.as_ref().map(Table::partitions).unwrap_or_default();
            let named = |name: &str| {
                let found = partitions.iter().find(|partition| partition.name == name).cloned();
                found.ok_or_else(|| io::Error::other(format!("the system disk has no partition `{name}`")))
            };
            let (letter, other) = if running.name == "root-a" { ("a", "b") } else { ("b", "a") };
            return Ok(SystemDisk {
                disk: disk.name.clone(),
                running: letter,
                active: running,
                esp: named("esp")?,
                root: named(&format!("root-{other}"))?,
                verity: named(&format!("verity-{other}"))?,
            });
        }
        Err(io::Error::other("the disk of the running system is not there"))
    }

    /// Device node of one of its partitions.
    pub fn node(&self, partition: &Partition) -> io::Result<PathBuf> {
        disks::partition_node(&self.disk, partition.number).ok_or_else(|| {
            io::Error::other(format!("the kernel does not know the partition `{}`", partition.name))
        })
    }

    /// Bytes of a partition.
    pub fn bytes(partition: &Partition) -> u64 {
        partition.sectors() * SECTOR as u64
    }

    /// Whether the inactive slot is named after this root hash.
    pub fn holds(&self, root_hash: &Sha256Digest) -> bool {
        let (root, verity) = partition_uuids(root_hash);
        self.root.uuid == root && self.verity.uuid == verity
    }
}

/// The ESP, mounted as long as this lives.
#[derive(Debug)]
pub struct Esp(PathBuf);

impl Esp {
    /// Mounts it. Every step syncs what it wrote; a file system that does so by itself takes 18 seconds for a kernel.
    pub fn mount(node: &Path) -> io::Result<Esp> {
        let place = Path::new(ESP_PLACE);
        make_directories(place)?;
        // Left by an agent that was killed.
        let _not_mounted = unmount(place, UnmountFlags::empty());
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(node, place, "vfat", flags, c"umask=0077,codepage=437,iocharset=ascii").map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("the EFI system partition does not mount: {error}"),
            )
        })?;
        Ok(Esp(place.to_owned()))
    }

    /// Free bytes, and those of files that an [`invalidate`](super::flow::invalidate) would remove.
    pub fn free(&self, own: &Sha256Digest) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.0)?;
        let mut free = space.f_bavail * space.f_frsize;
        for entry in self.entries()?.iter().filter(|entry| entry.root_hash.as_ref() != Some(own)) {
            free += fs::metadata(self.path(&entry.name))?.len();
        }
        Ok(free)
    }

    /// The UKI that boots a root.
    pub fn uki_of(&self, root_hash: &Sha256Digest) -> io::Result<PathBuf> {
        let entry = self.entries()?.into_iter().find(|entry| entry.root_hash.as_ref() == Some(root_hash));
        let entry = entry.ok_or_else(|| {
            io::Error::other("the kernel of the running release is not on the EFI system partition")
        })?;
        Ok(self.path(&entry.name))
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(self.0.join(UKI_FOLDER))?.take(ENTRY_LIMIT) {
            let path = file?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.ends_with(".efi") {
                entries.push(Entry { name: name.to_owned(), root_hash: root_hash_of(&path) });
            }
        }
        Ok(entries)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(UKI_FOLDER).join(name)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.0)?)?)
    }
}

impl Drop for Esp {
    fn drop(&mut self) {
        // Everything on it is synced already; what stays mounted is unmounted the next time.
        let _busy = unmount(&self.0, UnmountFlags::empty());
    }
}

/// The root hash in a UKI's command line; `None` when this is no UKI (any more, or yet).
pub fn root_hash_of(path: &Path) -> Option<Sha256Digest> {
    let line = uki_section(&File::open(path).ok()?, ".cmdline", SECTION_LIMIT)?;
    let line = String::from_utf8_lossy(&line).into_owned();
    crate::init::cmdline::parse(line.trim_end_matches('\0')).ok().map(|line| line.root_hash)
}

/// One section of a UKI, without reading the rest.
pub fn uki_section(file: &File, name: &str, limit: usize) -> Option<Vec<u8>> {
    let (at, length) = find_section(file, name)?;
    let mut bytes = vec![0; usize::try_from(length).ok().filter(|length| *length <= limit)?];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

/// Where a UKI has a section: first byte, and bytes. PE/COFF: offsets of the COFF header, the section table and its entries.
pub fn find_section(file: &File, name: &str) -> Option<(u64, u64)> {
    let number = |at: u64, length: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes[..length], at).ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    if number(0, 2)? != 0x5A4D {
        return None;
    }
    let coff = number(0x3C, 4)? + 4;
    let count = number(coff + 2, 2)?.min(SECTION_COUNT_LIMIT as u64);
    let table = coff + 20 + number(coff + 16, 2)?;
    for header in (0..count).map(|index| table + index * 40) {
        let mut found = [0; 8];
        file.read_exact_at(&mut found, header).ok()?;
        if found.split(|&byte| byte == 0).next() == Some(name.as_bytes()) {
            return Some((number(header + 20, 4)?, number(header + 8, 4)?));
        }
    }
    None
}

/// The real world of [`super::flow`].
pub struct RealWorld<'a> {
    /// The disk.
    pub disk: &'a SystemDisk,
    /// The mounted ESP.
    pub esp: &'a Esp,
    /// Data.
    pub files: &'a Files,
}

impl RealWorld<'_> {
    fn source(&self, source: &Source) -> PathBuf {
        match source {
            Source::Staged => self.files.uki(),
            Source::Entry(name) => self.esp.path(name),
        }
    }
}

/// UUIDs of a slot from which nothing boots: no root hash has halves that are nearly all zeros.
const NOTHING: [&str; 2] = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"];

impl World for RealWorld<'_> {
    fn entries(&mut self) -> io::Result<Vec<Entry>> {
        self.esp.entries()
    }

    fn place(&mut self, name: &str, source: &Source) -> io::Result<()> {
        let mut from = File::open(self.source(source))?;
        let path = self.esp.path(name);
        let mut to = File::options().write(true).create(true).truncate(true).open(&path)?;
        let mut first = [0; SECTOR];
        from.read_exact(&mut first)?;
        io::Write::write_all(&mut to, &[0; SECTOR])?;
        let copied = io::copy(&mut from, &mut to).and_then(|_| to.sync_all());
        if let Err(error) = copied {
            let _as_good_as_gone = fs::remove_file(&path);
            return Err(error);
        }
        self.esp.sync()
    }

    fn reveal(&mut self, name: &str, source: &Source) -> io::Result<()> {
        let mut first = [0; SECTOR];
        File::open(self.source(source))?.read_exact(&mut first)?;
        let to = File::options().write(true).open(self.esp.path(name))?;
        to.write_all_at(&first, 0)?;
        to.sync_all()?;
        self.esp.sync()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.esp.path(name))?;
        self.esp.sync()
    }

    fn mark_slot(&mut self, root_hash: Option<&Sha256Digest>) -> io::Result<()> {
        let (root, verity) = match root_hash {
            Some(root_hash) => partition_uuids(root_hash),
            None => (NOTHING[0].to_owned(), NOTHING[1].to_owned()),
        };
        let auto = if root_hash.is_some() { Auto::Found } else { Auto::PassedOver };
        let mut device = DeviceFile::open_for_writing(&Path::new("/dev").join(&self.disk.disk))?;
        let change = |device: &mut DeviceFile| {
            let mut before = Table::read(device)?;
            let table = before.with_identity(self.disk.root.number, &root, auto)?.with_identity(
                self.disk.verity.number,
                &verity,
                auto,
            )?;
            table.commit(&mut before, device)
        };
        change(&mut device).map(drop).map_err(io::Error::other)
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.files.record(record)
    }
}
