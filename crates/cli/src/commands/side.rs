//! What `bulletin`, `diff` and `explain` are given: release folders and disk images.

use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use bulletin::papers::Papers;
use bulletin::{Side, SideError};
use debian::Lock;
use image::ReadAt;
use image::qcow2::Qcow2;
use release::inspect::{Parts, parts_of_disk};
use release::{ReleaseFolder, Statement, names};

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
}

impl Opened {
    /// Opens a release folder or a disk image.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let kind = if path.is_dir() {
            let folder = ReleaseFolder::open(path).map_err(|error| {
                Failure::from_error(Fault::User, &error)
                    .hint("a release folder is what `ampoule build` writes; a disk image is a file")
            })?;
            Kind::Folder(Box::new(folder))
        } else {
            let file = DiskFile::open(path).map_err(|error| unreadable(path, error))?;
            match Qcow2::is_qcow2(&file) {
                true => Kind::Disk(Box::new(Qcow2::open(file).map_err(|error| foreign(path, &error))?)),
                false => Kind::Disk(Box::new(file)),
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
            side.papers = Papers::read(BufReader::new(file)).map_err(|error| unreadable(&path, error))?;
        }
        if let Some(definition) = &side.definition {
            let statement = Statement::of(folder.manifest(), definition);
            side.release = statement.ok().map(|statement| statement.id().0);
        }
        Ok(side)
    }
}
