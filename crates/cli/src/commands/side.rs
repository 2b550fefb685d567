//! What `bulletin`, `diff` and `explain` are given: release folders, releases in a depot, and disk images.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use builder::foreign::Mounted;
use bulletin::{Side, SideError};
use debian::Lock;
use depot::DepotFolder;
use depot::unpack::unpack;
use image::qcow2::Qcow2;
use image::{ReadAt, gpt};
use release::documents::PackageDocuments;
use release::inspect::{Parts, parts_of_disk};
use release::{IndexedRelease, ReleaseFolder, Statement, names};
use tempfile::TempDir;

use super::inspect::{DiskFile, foreign, unreadable};
use super::patch::unpack_failure;
use super::release::depot_failure;
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Largest lock and the like.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// Something to compare, opened.
pub struct Opened {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Folder(Box<ReleaseFolder>),
    InDepot(Box<Unpacked>),
    Disk(Box<dyn ReadAt>),
    Foreign(Box<Foreign>),
}

/// A disk that Ampoule did not make. Dropped in this order: unmounted first, then the folder goes.
struct Foreign {
    mounted: Mounted,
    _folder: TempDir,
    size: u64,
}

/// A release that was taken out of a depot. The folder goes with it.
struct Unpacked {
    folder: TempDir,
    statement: Statement,
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
    /// Opens a release folder, `DEPOT@VERSION`, or a disk image.
    pub fn open(path: &Path, strangers: Strangers, printer: &Printer) -> Result<Self, Failure> {
        let kind = if let Some(named) = Named::parse(path) {
            Kind::InDepot(Box::new(named.unpack(printer)?))
        } else if path.is_dir() {
            let folder = ReleaseFolder::open(path).map_err(|error| {
                let failure = Failure::from_error(Fault::User, &error);
                match path.join("depot.json").is_file() {
                    true => {
                        failure.hint(format!("a release in a depot is named `{}@VERSION`", path.display()))
                    }
                    false => failure
                        .hint("a release folder is what `ampoule build` writes; a disk image is a file"),
                }
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
            Kind::Folder(folder) => {
                let uki = folder.uki().map_err(|error| Failure::from_error(Fault::Environment, &error))?;
                let mut side = self.of_files(folder.path(), &uki)?;
                if let Some(definition) = &side.definition {
                    let statement = Statement::of(folder.manifest(), definition);
                    side.release = statement.ok().map(|statement| statement.id().0);
                }
                Ok(side)
            }
            Kind::InDepot(it) => {
                let folder = it.folder.path();
                let mut side = self.of_files(folder, &folder.join(it.statement.uki.name.as_str()))?;
                side.release = Some(it.statement.id().0);
                Ok(side)
            }
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

    /// Of the files of a release.
    fn of_files(&self, folder: &Path, uki: &Path) -> Result<Side<'_>, Failure> {
        let open = |name: &str| -> Result<Box<dyn ReadAt>, Failure> {
            let path = folder.join(name);
            Ok(Box::new(DiskFile::open(&path).map_err(|error| unreadable(&path, error))?))
        };
        let parts = Parts {
            root: open(names::ROOT)?,
            verity: open(names::VERITY)?,
            uki: std::fs::read(uki).map_err(|error| unreadable(uki, error))?,
        };
        let mut side = self.of_parts(parts)?;
        let lock = folder.join(names::LOCK);
        if lock.exists() {
            let text = read(&lock, DOCUMENT_LIMIT)?;
            let lock = Lock::parse(&String::from_utf8_lossy(&text));
            side.lock = Some(lock.map_err(|error| Failure::from_error(Fault::User, &error))?);
        }
        let papers = folder.join(names::PACKAGE_DOCUMENTS);
        if papers.exists() {
            let file = File::open(&papers).map_err(|error| unreadable(&papers, error))?;
            side.papers = PackageDocuments::read(BufReader::new(file))
                .map_err(|error| Failure::from_error(Fault::User, &error))?;
        }
        Ok(side)
    }
}

/// `DEPOT@VERSION`, or `DEPOT@VENDOR/NAME@VERSION` where a depot has several appliances.
struct Named {
    depot: PathBuf,
    appliance: Option<String>,
    version: String,
}

impl Named {
    fn parse(path: &Path) -> Option<Self> {
        let text = path.to_str().filter(|_| !path.exists())?;
        let (rest, version) = text.rsplit_once('@')?;
        let is_depot = |path: &str| Path::new(path).join("depot.json").is_file();
        let (depot, appliance) = match rest.rsplit_once('@') {
            _ if is_depot(rest) => (rest, None),
            Some((depot, appliance)) if is_depot(depot) => (depot, Some(appliance.to_owned())),
            _ => return None,
        };
        Some(Self { depot: depot.into(), appliance, version: version.to_owned() })
    }

    fn unpack(&self, printer: &Printer) -> Result<Unpacked, Failure> {
        let depot = DepotFolder::open(&self.depot).map_err(depot_failure)?;
        let release = self.find(&depot)?;
        let folder = tempfile::tempdir().map_err(|error| Failure::from_error(Fault::Environment, &error))?;
        let mut progress = |done: u64, total: u64| {
            printer.passing(&format!("unpacking {}, {} %", self.version, done * 100 / total.max(1)))
        };
        let statement = unpack(&depot, &release, folder.path(), &mut progress).map_err(unpack_failure)?;
        printer.clear();
        Ok(Unpacked { folder, statement })
    }

    /// The one release that is meant. One that is in several channels is one.
    fn find(&self, depot: &DepotFolder) -> Result<IndexedRelease, Failure> {
        let indices = depot.indices().map_err(depot_failure)?;
        let (mut found, mut known) = (BTreeMap::new(), BTreeSet::new());
        for index in &indices {
            for release in &index.releases {
                known.insert(format!("{}@{}", index.appliance, release.version));
                let is_asked = self.appliance.as_ref().is_none_or(|asked| *asked == index.appliance);
                if is_asked && release.version == self.version {
                    found.insert((&index.appliance, release.id()), release);
                }
            }
        }
        let place = self.depot.display();
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some((_, release)), None) => Ok(release.clone()),
            (None, _) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let message = format!("the depot `{place}` has no release {}", self.version);
                Err(Failure::new(Fault::User, message).hint(format!("it has {}", known.join(", "))))
            }
            (Some(((one, _), _)), Some(((other, _), _))) => {
                let message = format!("{} is a version of {one} and of {other}", self.version);
                Err(Failure::new(Fault::User, message)
                    .hint(format!("name the appliance, too: `{place}@{one}@{}`", self.version)))
            }
        }
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let length = std::fs::metadata(path).map_err(|error| unreadable(path, error))?.len();
    if length > limit {
        let message = format!("`{}` has {length} bytes, and at most {limit} are read", path.display());
        return Err(Failure::new(Fault::User, message));
    }
    std::fs::read(path).map_err(|error| unreadable(path, error))
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
