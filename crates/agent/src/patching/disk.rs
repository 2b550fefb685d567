//! The system disk as patches see it: two slots, and the kernel images on the EFI system partition.
//!
//! The boot loader decides by file names (systemd's Automatic Boot Assessment): `NAME_VERSION.efi` is good,
//! `NAME_VERSION+LEFT-DONE.efi` has LEFT tries left, and one without any left comes last.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use image::ReadAt;
use model::Sha256Digest;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sha2::{Digest, Sha256};

use crate::init::block::{DeviceFile, SECTOR};
use crate::init::cmdline::partition_uuids;
use crate::init::disks::partition_node;
use crate::init::gpt::{Auto, Partition, Table};
use crate::init::state::make_directories;

/// Where the EFI system partition is mounted while it is needed.
const MOUNT_POINT: &str = "/run/ampoule/esp";
/// Where UKIs lie on it.
const FOLDER: &str = "EFI/Linux";
/// How often the boot loader tries a patched appliance: a power cut during the first try is not its fault.
pub const TRIES: u32 = 2;

/// A slot.
#[derive(Clone, Debug)]
pub struct SlotPlace {
    /// `a` or `b`.
    pub name: char,
    root: Partition,
    verity: Partition,
}

/// The disk that the appliance was started from.
#[derive(Clone, Debug)]
pub struct SystemDisk {
    name: String,
    slots: [SlotPlace; 2],
    esp: Partition,
}

/// An open partition.
pub struct Device {
    file: File,
    size: u64,
}

impl SystemDisk {
    /// Reads the table of the disk `name`, such as `vda`.
    pub fn open(name: &str) -> io::Result<SystemDisk> {
        let device = DeviceFile::open(&Path::new("/dev").join(name))?;
        let partitions = Table::read(&device).map_err(io::Error::other)?.partitions();
        let find = |wanted: &str| {
            let found = partitions.iter().find(|partition| partition.name == wanted).cloned();
            found.ok_or_else(|| io::Error::other(format!("the disk {name} has no partition `{wanted}`")))
        };
        let slot = |letter: char| -> io::Result<SlotPlace> {
            Ok(SlotPlace {
                name: letter,
                root: find(&format!("root-{letter}"))?,
                verity: find(&format!("verity-{letter}"))?,
            })
        };
        Ok(SystemDisk { name: name.to_owned(), slots: [slot('a')?, slot('b')?], esp: find("esp")? })
    }

    /// The slot whose partitions are those of a root hash.
    pub fn slot_of(&self, root_hash: &Sha256Digest) -> Option<&SlotPlace> {
        let (root, verity) = partition_uuids(root_hash);
        self.slots.iter().find(|slot| slot.root.uuid == root && slot.verity.uuid == verity)
    }

    /// The other slot than the one that runs: the only one that is ever written (law 3).
    pub fn inactive(&self, running: &Sha256Digest) -> io::Result<&SlotPlace> {
        let active =
            self.slot_of(running).ok_or_else(|| io::Error::other("the running release is in no slot"))?;
        Ok(if active.name == 'a' { &self.slots[1] } else { &self.slots[0] })
    }

    /// Both slots, A first.
    pub fn slots(&self) -> &[SlotPlace; 2] {
        &self.slots
    }

    fn node(&self, partition: &Partition) -> io::Result<PathBuf> {
        let node = partition_node(&self.name, partition.number);
        node.ok_or_else(|| {
            io::Error::other(format!("the kernel does not show partition {}", partition.number))
        })
    }

    /// Opens the root partition of a slot for reading.
    pub fn open_root(&self, slot: &SlotPlace) -> io::Result<Device> {
        Device::open(&self.node(&slot.root)?, File::options().read(true))
    }

    /// Opens the root and verity partitions of the inactive slot for writing.
    pub fn open_inactive(&self, running: &Sha256Digest) -> io::Result<(Device, Device)> {
        let slot = self.inactive(running)?;
        let mut options = File::options();
        options.read(true).write(true);
        Ok((
            Device::open(&self.node(&slot.root)?, &options)?,
            Device::open(&self.node(&slot.verity)?, &options)?,
        ))
    }

    /// Gives the inactive slot the partition UUIDs of `root_hash`, or, with `None`, such as no kernel looks for. Durable.
    pub fn name_inactive(
        &mut self,
        running: &Sha256Digest,
        root_hash: Option<&Sha256Digest>,
    ) -> io::Result<()> {
        let slot = self.inactive(running)?.clone();
        let mut device = DeviceFile::open_for_writing(&Path::new("/dev").join(&self.name))?;
        let mut before = Table::read(&device).map_err(io::Error::other)?;
        let auto = if root_hash.is_some() { Auto::Found } else { Auto::PassedOver };
        let nothing = Sha256Digest(Sha256::digest(format!("ampoule nothing in slot {}", slot.name)).into());
        let (root, verity) = partition_uuids(root_hash.unwrap_or(&nothing));
        let table = before
            .with_identity(slot.root.number, &root, auto)
            .and_then(|table| table.with_identity(slot.verity.number, &verity, auto))
            .and_then(|table| table.commit(&mut before, &mut device))
            .map_err(io::Error::other)?;
        drop(table);
        *self = SystemDisk::open(&self.name)?;
        Ok(())
    }

    /// Bytes of a slot's root and verity partitions.
    pub fn room(&self, slot: &SlotPlace) -> (u64, u64) {
        let bytes = |partition: &Partition| partition.sectors() * SECTOR as u64;
        (bytes(&slot.root), bytes(&slot.verity))
    }

    /// Mounts the EFI system partition.
    pub fn mount_esp(&self) -> io::Result<Esp> {
        let point = Path::new(MOUNT_POINT);
        make_directories(point)?;
        // Left by an agent that was stopped.
        let _not_mounted = unmount(point, UnmountFlags::DETACH);
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(self.node(&self.esp)?, point, "vfat", flags, Some(c"umask=0077"))?;
        Ok(Esp { folder: point.join(FOLDER), is_mounted: true })
    }
}

impl Device {
    fn open(node: &Path, options: &fs::OpenOptions) -> io::Result<Device> {
        let file = options.open(node)?;
        let size = crate::sys::ioctl::device_bytes(&file)?;
        Ok(Device { file, size })
    }

    /// Writes at an offset.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Makes everything durable, and forgets it, so that what is read next comes from the disk.
    pub fn sync_and_forget(&self) -> io::Result<()> {
        self.file.sync_all()?;
        // Pages that are clean now; those that stay only make the comparison less strict.
        let _advice = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }
}

impl ReadAt for Device {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// The mounted EFI system partition. Dropping it unmounts, which writes everything.
#[derive(Debug)]
pub struct Esp {
    folder: PathBuf,
    is_mounted: bool,
}

/// The name of a UKI without its counter.
pub fn stem(name: &str, version: &str) -> String {
    format!("{name}_{version}")
}

/// The counter in a file name of this stem: `Some(None)` for one without.
fn counter(file: &str, stem: &str) -> Option<Option<u32>> {
    let rest = file.strip_prefix(stem)?.strip_suffix(".efi")?;
    if rest.is_empty() {
        return Some(None);
    }
    let digits = rest.strip_prefix('+')?;
    let left = digits.split('-').next()?;
    left.parse().ok().map(Some)
}

impl Esp {
    #[cfg(test)]
    fn at(folder: &Path) -> Esp {
        Esp { folder: folder.to_owned(), is_mounted: false }
    }

    fn files(&self) -> io::Result<Vec<String>> {
        let names =
            fs::read_dir(&self.folder)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter(|name| name.to_ascii_lowercase().ends_with(".efi")).collect();
        names.sort();
        Ok(names)
    }

    /// The file of a release.
    pub fn find(&self, stem: &str) -> io::Result<Option<PathBuf>> {
        Ok(self
            .files()?
            .into_iter()
            .find(|file| counter(file, stem).is_some())
            .map(|file| self.folder.join(file)))
    }

    /// Tries that are left to a release: `Some(None)` when it is not counted, `None` when it has no file.
    pub fn tries(&self, stem: &str) -> io::Result<Option<Option<u32>>> {
        Ok(self.files()?.iter().find_map(|file| counter(file, stem)))
    }

    /// Bytes that are free.
    pub fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.folder)?;
        Ok(found.f_bavail * found.f_frsize)
    }

    /// Bytes of all UKIs but that of `running`.
    pub fn others(&self, running: &str) -> io::Result<u64> {
        let others = self.files()?.into_iter().filter(|file| counter(file, running).is_none());
        Ok(others.map(|file| fs::metadata(self.folder.join(file)).map_or(0, |found| found.len())).sum())
    }

    /// Removes every UKI but that of `running`, and what an earlier attempt left. Durable.
    pub fn keep_only(&self, running: &str) -> io::Result<()> {
        if self.find(running)?.is_none() {
            return Err(io::Error::other(
                "the kernel image of the running release is not on the EFI system partition",
            ));
        }
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name();
            if counter(&name.to_string_lossy(), running).is_none() {
                fs::remove_file(entry.path())?;
            }
        }
        self.sync()
    }

    /// Places a UKI that is tried first. (1) written under a name no boot loader takes, synced and read back; (2) renamed,
    /// synced. A crash before 2 leaves nothing that boots.
    pub fn arm(&self, stem: &str, uki: &Path, sha256: &Sha256Digest) -> io::Result<()> {
        if let Some(there) = self.find(stem)? {
            fs::remove_file(there)?;
        }
        let working = self.folder.join(format!("{stem}.new"));
        let mut target = File::options().read(true).write(true).create(true).truncate(true).open(&working)?;
        io::copy(&mut File::open(uki)?, &mut target)?;
        target.sync_all()?;
        let _advice = rustix::fs::fadvise(&target, 0, None, rustix::fs::Advice::DontNeed);
        target.seek(SeekFrom::Start(0))?;
        if digest(&mut target)? != *sha256 {
            fs::remove_file(&working)?;
            return Err(io::Error::other("the kernel image reads back other bytes than were written"));
        }
        drop(target);
        fs::rename(&working, self.folder.join(format!("{stem}+{TRIES}.efi")))?;
        self.sync()
    }

    /// Takes the counter off: the release is good.
    pub fn confirm(&self, stem: &str) -> io::Result<()> {
        self.rename(stem, &format!("{stem}.efi"))
    }

    /// Takes all tries away: the boot loader prefers every other release.
    pub fn set_aside(&self, stem: &str) -> io::Result<()> {
        self.rename(stem, &format!("{stem}+0.efi"))
    }

    fn rename(&self, stem: &str, to: &str) -> io::Result<()> {
        let from = self
            .find(stem)?
            .ok_or_else(|| io::Error::other(format!("there is no `{stem}` on the EFI system partition")))?;
        let to = self.folder.join(to);
        if from != to {
            fs::rename(from, to)?;
        }
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        let folder = File::open(&self.folder)?;
        folder.sync_all()?;
        Ok(rustix::fs::syncfs(&folder)?)
    }
}

impl Drop for Esp {
    fn drop(&mut self) {
        if self.is_mounted {
            let _later = unmount(MOUNT_POINT, UnmountFlags::DETACH);
        }
    }
}

/// SHA-256 of what is left of a reader.
pub fn digest(reader: &mut impl Read) -> io::Result<Sha256Digest> {
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(Sha256Digest(hasher.finalize().into())),
            count => hasher.update(&piece[..count]),
        }
    }
}

/// A file as old image.
pub struct FileAt {
    file: File,
    size: u64,
}

impl FileAt {
    /// Opens it.
    pub fn open(path: &Path) -> io::Result<FileAt> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(FileAt { file, size })
    }
}

impl ReadAt for FileAt {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// Writes a file whole, durable.
pub fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(esp: &Esp) -> Vec<String> {
        esp.files().expect("a folder")
    }

    #[test]
    fn a_counter_is_read_from_a_file_name_of_its_own_release_only() {
        assert_eq!(counter("lamp_1.0.1.efi", "lamp_1.0.1"), Some(None));
        assert_eq!(counter("lamp_1.0.1+2.efi", "lamp_1.0.1"), Some(Some(2)));
        assert_eq!(counter("lamp_1.0.1+0-2.efi", "lamp_1.0.1"), Some(Some(0)));
        assert_eq!(counter("lamp_1.0.10.efi", "lamp_1.0.1"), None);
        assert_eq!(counter("lamp_1.0.1-rc.1.efi", "lamp_1.0.1"), None);
    }

    #[test]
    fn a_kernel_image_is_armed_confirmed_and_set_aside_by_its_name_and_the_running_one_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let esp = Esp::at(folder.path());
        fs::write(folder.path().join("lamp_1.0.0.efi"), "old").expect("written");
        fs::write(folder.path().join("lamp_0.9.0+0-2.efi"), "older").expect("written");
        let uki = folder.path().join("uki");
        fs::write(&uki, "new").expect("written");
        esp.keep_only("lamp_1.0.0").expect("kept");
        assert_eq!(names(&esp), ["lamp_1.0.0.efi"]);
        fs::write(&uki, "new").expect("written");
        let good = Sha256Digest(Sha256::digest("new").into());
        assert!(esp.arm("lamp_1.0.1", &uki, &Sha256Digest([0; 32])).is_err());
        assert_eq!(names(&esp), ["lamp_1.0.0.efi"], "a wrong one is not armed");
        esp.arm("lamp_1.0.1", &uki, &good).expect("armed");
        assert_eq!(names(&esp), ["lamp_1.0.0.efi", "lamp_1.0.1+2.efi"]);
        assert_eq!(esp.tries("lamp_1.0.1").expect("read"), Some(Some(2)));
        esp.confirm("lamp_1.0.1").expect("confirmed");
        esp.confirm("lamp_1.0.1").expect("twice is once");
        esp.set_aside("lamp_1.0.1").expect("set aside");
        assert_eq!(names(&esp), ["lamp_1.0.0.efi", "lamp_1.0.1+0.efi"]);
        assert!(esp.keep_only("lamp_2.0.0").is_err(), "nothing is removed when the running one is unknown");
        assert_eq!(names(&esp).len(), 2);
    }
}
