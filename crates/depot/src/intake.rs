//! New files of a depot, before they are part of it.
//!
//! An [`Intake`] writes below `.incoming` and puts nothing in its place before [`Intake::commit`]: (1) every file is synced;
//! (2) objects are renamed to their places and their folders synced; (3) documents that speak of them are replaced in their order, and the
//! maker's roles say that they are good, where there are any; (4) the index is renamed over the old one and its folder synced. A crash before 4 leaves the old index, and at most objects nobody
//! refers to; after 4 the new one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use release::index::{Index, ObjectRef, index_path, object_path};
use sha2::{Digest, Sha256};

use crate::error::{DepotError, io as io_error};
use crate::folder::{DepotFolder, INCOMING, Lock};

const PIECE: usize = 1 << 20;

/// Files on their way into a depot. Dropping it removes what was not committed.
#[derive(Debug)]
#[must_use = "commit it, or what was written is removed"]
pub struct Intake<'a> {
    depot: &'a DepotFolder,
    folder: PathBuf,
    objects: Vec<(PathBuf, ObjectRef)>,
    documents: Vec<(PathBuf, Vec<u8>)>,
    next: u32,
    _lock: Lock,
}

impl<'a> Intake<'a> {
    /// Begins; removes what broken runs left. The lock is held until the end.
    pub fn begin(depot: &'a DepotFolder) -> Result<Self, DepotError> {
        let lock = depot.lock()?;
        let folder = depot.path().join(INCOMING);
        remove_all(&folder)?;
        fs::create_dir(&folder).map_err(io_error("create", &folder))?;
        Ok(Self { depot, folder, objects: Vec::new(), documents: Vec::new(), next: 0, _lock: lock })
    }

    /// A path for a file that is not made part of the depot unless [`Intake::add`] is called. Nothing is there yet.
    pub fn path(&mut self) -> PathBuf {
        self.next += 1;
        self.folder.join(format!("{:04}", self.next))
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<ObjectRef, DepotError> {
        let path = self.path();
        fs::write(&path, bytes).map_err(io_error("write", &path))?;
        self.add(path)
    }

    /// Adds a copy of a file, which must have this digest.
    pub fn copy(&mut self, from: &Path, expected: Sha256Digest) -> Result<ObjectRef, DepotError> {
        let path = self.path();
        let mut source = File::open(from).map_err(io_error("open", from))?;
        let mut target = File::create_new(&path).map_err(io_error("create", &path))?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut size = 0;
        loop {
            let count = source.read(&mut piece).map_err(io_error("read", from))?;
            if count == 0 {
                break;
            }
            hasher.update(&piece[..count]);
            target.write_all(&piece[..count]).map_err(io_error("write", &path))?;
            size += count as u64;
        }
        let found = Sha256Digest(hasher.finalize().into());
        if found != expected {
            return Err(DepotError::Digest { path: from.to_owned(), expected, found });
        }
        target.sync_all().map_err(io_error("sync", &path))?;
        let object = ObjectRef { sha256: found, size };
        self.objects.push((path, object));
        Ok(object)
    }

    /// Adds a file at a path of [`Intake::path`].
    pub fn add(&mut self, path: PathBuf) -> Result<ObjectRef, DepotError> {
        let object = object_of(&path)?;
        sync(&path)?;
        self.objects.push((path, object));
        Ok(object)
    }

    /// Adds a file at a path of [`Intake::path`], or elsewhere on the depot's file system; the caller MUST have compared its bytes with
    /// the digest.
    pub(crate) fn add_checked(&mut self, path: PathBuf, object: ObjectRef) -> Result<(), DepotError> {
        sync(&path)?;
        self.objects.push((path, object));
        Ok(())
    }

    /// Replaces a document at `place` in the depot, once the objects are there and before the index is.
    pub(crate) fn replace(&mut self, place: PathBuf, bytes: Vec<u8>) {
        self.documents.push((place, bytes));
    }

    /// The depot it leads to.
    pub fn depot(&self) -> &'a DepotFolder {
        self.depot
    }

    /// Makes the objects and the index visible, in this order; `between` is done in between.
    pub fn commit(
        self,
        index: &Index,
        between: impl FnOnce() -> Result<(), DepotError>,
    ) -> Result<(), DepotError> {
        let root = self.depot.path();
        for (path, object) in &self.objects {
            let place = root.join(object_path(&object.sha256));
            let folder = place.parent().expect("an object has a folder");
            create_synced(root, folder)?;
            // Over one that is there already: it has the same name, so at best the same bytes, and at worst rotten ones.
            rename(path, &place, "write")?;
            sync(folder)?;
        }
        for (place, bytes) in &self.documents {
            replace_in(root, &self.folder, place, bytes)?;
        }
        between()?;
        replace_in(
            root,
            &self.folder,
            Path::new(&index_path(&index.appliance, &index.channel)),
            &index.to_bytes(),
        )
    }
}

impl Drop for Intake<'_> {
    fn drop(&mut self) {
        #[cfg(test)]
        if crash::is_down() {
            return;
        }
        // Best effort: the next run removes what stays.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Replaces one file of a depot as a whole. The caller MUST hold the depot's lock.
pub(crate) fn replace(depot: &DepotFolder, place: &Path, bytes: &[u8]) -> Result<(), DepotError> {
    let folder = depot.path().join(INCOMING);
    fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
    let replaced = replace_in(depot.path(), &folder, place, bytes);
    let _ = fs::remove_dir_all(&folder);
    replaced
}

fn replace_in(root: &Path, incoming: &Path, place: &Path, bytes: &[u8]) -> Result<(), DepotError> {
    let new = incoming.join("replacement");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(io_error("write", &new))?;
    let place = root.join(place);
    let folder = place.parent().expect("a file of a depot has a folder");
    create_synced(root, folder)?;
    rename(&new, &place, "replace")?;
    sync(folder)
}

/// All that becomes visible becomes so here, so that tests can stop the machine before and after each of it.
fn rename(from: &Path, to: &Path, action: &'static str) -> Result<(), DepotError> {
    #[cfg(test)]
    crash::step().map_err(io_error(action, to))?;
    fs::rename(from, to).map_err(io_error(action, to))
}

/// Makes a folder below `root` so that it is there after a crash: each new one and its parent are synced.
fn create_synced(root: &Path, folder: &Path) -> Result<(), DepotError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| parent.starts_with(root)) {
        create_synced(root, parent)?;
        fs::create_dir(folder).map_err(io_error("create", folder))?;
        return sync(parent);
    }
    Ok(())
}

fn remove_all(folder: &Path) -> Result<(), DepotError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Digest and size of a file.
pub(crate) fn object_of(path: &Path) -> Result<ObjectRef, DepotError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut size = 0;
    loop {
        let count = file.read(&mut piece).map_err(io_error("read", path))?;
        if count == 0 {
            return Ok(ObjectRef { sha256: Sha256Digest(hasher.finalize().into()), size });
        }
        hasher.update(&piece[..count]);
        size += count as u64;
    }
}

fn sync(path: &Path) -> Result<(), DepotError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_error("sync", path))
}

/// A machine that stops after so many renames, in tests.
#[cfg(test)]
pub(crate) mod crash {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// From now on it stops after so many; `None`: it runs.
    pub(crate) fn after(renames: Option<usize>) {
        LEFT.set(renames);
    }

    pub(super) fn step() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(io::Error::other("the machine stopped")),
            left => {
                LEFT.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }

    /// A machine that stopped tidies nothing up.
    pub(super) fn is_down() -> bool {
        LEFT.get() == Some(0)
    }
}
