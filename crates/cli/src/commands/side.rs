//! What `bulletin`, `diff` and `explain` are given: release folders and disk images.

use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use builder::foreign::Mounted;
use bulletin::{Side, SideError};
use debian::Lock;
use image::qcow2::Qcow2;
use image::{ReadAt, gpt};
use release::documents::PackageDocuments;
use release::inspect::{Parts, parts_of_disk};
use release::{ReleaseFolder, Statement, names};
use tempfile::TempDir;

use super::inspect::{DiskFile, foreign, unreadable};
use crate::error::{Failure, Fault};

/// Largest lock and the like.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// Something to compare, opened.
pub struct Opened {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Folder(Box<ReleaseFolder>),
    Disk(Box<dyn ReadAt>),
    Foreign(Box<Foreign>),
}

/// A disk that Ampoule did not make. Dropped in this order: unmounted first, then the folder goes.
struct Foreign {
    mounted: Mounted,
    _folder: TempDir,
    size: u64,
}

/// Whether disks of strangers may be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// Only what Ampoule's own readers understand.
    Refuse,
    /// The kernel's drivers read what ours do not.
    Mount,
}

impl Opened {
    /// Opens a release folder or a disk image.
    pub fn open(path: &Path, strangers: Strangers) -> Result<Self, Failure> {
        let kind = if path.is_dir() {
            let folder = ReleaseFolder::open(path).map_err(|error| {
                Failure::from_error(Fault::User, &error)
                    .hint("a release folder is what `ampoule build` writes; a disk image is a file")
            })?;
            Kind::Folder(Box::new(folder))
        } else {
            let file = DiskFile::open(path).map_err(|error| unreadable(path, error))?;
            let is_raw = !Qcow2::is_qcow2(&file);
            let disk: Box<dyn ReadAt> = match is_raw {
                false => Box::new(Qcow2::open(file).map_err(|error| foreign(path, &error))?),
                true => Box::new(file),
            };
            match (parts_of_disk(&disk).err(), strangers) {
                (None, _) => Kind::Disk(disk),
                (Some(_), Strangers::Mount) => Kind::Foreign(Box::new(mount(path, &disk, is_raw)?)),
                (Some(error), Strangers::Refuse) => {
                    return Err(foreign(path, &error).hint(
                        "`--mount`, as root, lets the kernel read a disk that Ampoule did not make, read-only",
                    ));
                }
            }
        };
        Ok(Self { path: path.to_owned(), kind })
    }

    /// Reads it whole.
    pub fn side(&self) -> Result<Side<'_>, Failure> {
        match &self.kind {
            Kind::Folder(folder) => self.of_folder(folder),
            Kind::Disk(disk) => {
                let parts = parts_of_disk(disk).map_err(|error| foreign(&self.path, &error))?;
                self.of_parts(parts)
            }
            Kind::Foreign(foreign) => {
                let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get();
                let read = builder::foreign::read_tree(foreign.mounted.point(), threads);
                let (tree, contents) =
                    read.map_err(|error| Failure::from_error(Fault::Environment, &error))?;
                let mut side = Side::of_tree(&self.path.display().to_string(), tree, Box::new(contents));
                side.root_size = foreign.size;
                side.read_dpkg();
                Ok(side)
            }
        }
    }

    fn of_parts<'a>(&self, parts: Parts<'a>) -> Result<Side<'a>, Failure> {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let label = self.path.display().to_string();
        Side::of_image(&label, parts, threads).map_err(|error: SideError| foreign(&self.path, &error))
    }

    fn of_folder(&self, folder: &ReleaseFolder) -> Result<Side<'_>, Failure> {
        let environment = |error| Failure::from_error(Fault::Environment, &error);
        let open = |name: &str| -> Result<Box<dyn ReadAt>, Failure> {
            let path = folder.artifact(name).map_err(environment)?;
            Ok(Box::new(DiskFile::open(&path).map_err(|error| unreadable(&path, error))?))
        };
        let uki = folder.uki().map_err(environment)?;
        let parts = Parts {
            root: open(names::ROOT)?,
            verity: open(names::VERITY)?,
            uki: std::fs::read(&uki).map_err(|error| unreadable(&uki, error))?,
        };
        let mut side = self.of_parts(parts)?;
        if let Ok(text) = folder.read_document(names::LOCK, DOCUMENT_LIMIT) {
            let lock = Lock::parse(&String::from_utf8_lossy(&text));
            side.lock = Some(lock.map_err(|error| Failure::from_error(Fault::User, &error))?);
        }
        if let Ok(path) = folder.artifact(names::PACKAGE_DOCUMENTS) {
            let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
            side.papers = PackageDocuments::read(BufReader::new(file))
                .map_err(|error| Failure::from_error(Fault::User, &error))?;
        }
        if let Some(definition) = &side.definition {
            let statement = Statement::of(folder.manifest(), definition);
            side.release = statement.ok().map(|statement| statement.id().0);
        }
        Ok(side)
    }
}

/// Mounts the root of a foreign disk: the partition that says it is one, else the largest; the whole file, where there is no
/// partition table.
fn mount(path: &Path, disk: &dyn ReadAt, is_raw: bool) -> Result<Foreign, Failure> {
    let environment =
        |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::Environment, error);
    let folder = tempfile::tempdir().map_err(|error| environment(&error))?;
    let (start, length) = match gpt::Table::read(disk) {
        Err(_) => (0, disk.size()),
        Ok((table, _)) => {
            let root = table.partitions.iter().find(|partition| partition.type_uuid == gpt::TYPE_ROOT);
            let largest = table.partitions.iter().max_by_key(|partition| partition.length);
            let found = root.or(largest).ok_or_else(|| {
                Failure::new(Fault::User, format!("`{}` has an empty partition table", path.display()))
            })?;
            (found.start, found.length)
        }
    };
    let point = folder.path().join("root");
    std::fs::create_dir(&point).map_err(|error| environment(&error))?;
    let mounted = if is_raw {
        Mounted::mount(path, start, length, &point)
    } else {
        let plain = folder.path().join("partition");
        copy(disk, start, length, &plain).map_err(|error| unreadable(path, error))?;
        Mounted::mount(&plain, 0, length, &point)
    };
    let mounted = mounted.map_err(|error| {
        environment(&error)
            .hint("mounting needs root, a loop device, and a file system that this kernel knows")
    })?;
    Ok(Foreign { mounted, _folder: folder, size: length })
}

/// Copies a part of a disk, leaving holes where it is empty.
fn copy(disk: &dyn ReadAt, start: u64, length: u64, to: &Path) -> std::io::Result<()> {
    let file = File::create_new(to)?;
    file.set_len(length)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < length {
        let count = (length - at).min(buffer.len() as u64) as usize;
        disk.read_exact_at(&mut buffer[..count], start + at)?;
        if buffer[..count].iter().any(|byte| *byte != 0) {
            std::os::unix::fs::FileExt::write_all_at(&file, &buffer[..count], at)?;
        }
        at += count as u64;
    }
    Ok(())
}
