//! The files of a log or a witness in a folder. Any static file server can serve a log's folder as it is.
//!
//! The folder `.ledger` holds what only the writer needs: its lock, a file on its way, and the newest checkpoint that was signed.
//! None of it is secret.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::locks;
use crate::read::{AccessError, ReadLog};
use crate::store::Store;

/// What only the writer needs.
const PRIVATE: &str = ".ledger";
/// Held by who writes. An advisory lock, gone with its process: a stale one can not exist.
const LOCK: &str = ".ledger/lock";
/// A file that is not whole yet. One is enough for one writer, and the next one overwrites what a crash left.
const INCOMING: &str = ".ledger/incoming";

/// A folder that is read only.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// A folder whose only writer this is, until it is dropped.
#[derive(Debug)]
#[must_use = "the folder is only locked while it is held"]
pub struct Writer {
    folder: Folder,
    /// Folders with names that may not be on disk yet.
    changed: BTreeSet<PathBuf>,
    /// Folders whose own names this writer synced, or is going to. One that is there may have been made by a process that was killed
    /// before it synced.
    ensured: BTreeSet<PathBuf>,
    _lock: File,
}

/// A folder can not be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Somebody else writes.
    #[error("another process writes to `{path}`")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// It can not be made or locked.
    #[error("`{path}` can not be opened for writing")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Folder {
    /// A folder to read from.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place of a file. Paths are made by this crate and by witnesses from hashes: none leads out.
    fn place(&self, path: &str) -> PathBuf {
        let is_inside = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        assert!(is_inside, "BUG: `{path}` leads out of the folder");
        self.path.join(path)
    }
}

impl ReadLog for Folder {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, AccessError> {
        let failed = |source| failed(path, "read", source);
        let file = match File::open(self.place(path)) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > limit {
            return Err(AccessError::TooLong { path: path.into(), limit });
        }
        Ok(Some(bytes))
    }
}

impl Writer {
    /// Makes the folder if there is none, and locks it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let folder = Folder::new(path);
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| FolderError::Io { path, source }
        };
        let private = folder.path.join(PRIVATE);
        fs::create_dir_all(&private).map_err(io(&private))?;
        let place = folder.path.join(LOCK);
        let lock = File::options().create(true).append(true).open(&place).map_err(io(&place))?;
        match locks::take(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::Busy { path: folder.path }),
            Err(TryLockError::Error(source)) => return Err(io(&place)(source)),
        }
        // The folder and its own name, which may be new.
        let ensured = BTreeSet::from([folder.path.clone()]);
        let mut changed = BTreeSet::from([folder.path.clone(), private]);
        if let Some(parent) = folder.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            changed.insert(parent.into());
        }
        Ok(Self { folder, changed, ensured, _lock: lock })
    }

    /// The folder, to read from.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Makes a folder below the root; remembers each name that may be new.
    fn ensure_folder(&mut self, folder: &Path) -> io::Result<()> {
        if self.ensured.contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().expect("a folder below the root").to_path_buf();
        self.ensure_folder(&parent)?;
        if !folder.is_dir() {
            fs::create_dir(folder)?;
        }
        self.changed.insert(parent);
        self.ensured.insert(folder.into());
        Ok(())
    }
}

impl ReadLog for Writer {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, AccessError> {
        self.folder.read(path, limit)
    }
}

impl Store for Writer {
    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), AccessError> {
        let (place, incoming) = (self.folder.place(path), self.folder.path.join(INCOMING));
        let parent = place.parent().expect("a file below the root").to_path_buf();
        let mut write = || {
            self.ensure_folder(&parent)?;
            let mut file = File::create(&incoming)?;
            file.write_all(bytes)?;
            // Before the rename: a name must never lead to bytes that are not on disk.
            file.sync_data()?;
            fs::rename(&incoming, &place)
        };
        write().map_err(|source| failed(path, "written", source))?;
        self.changed.insert(parent);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AccessError> {
        while let Some(folder) = self.changed.first() {
            match File::open(folder).and_then(|folder| folder.sync_all()) {
                Err(error) if !is_absent(&error) => {
                    return Err(failed(&folder.display().to_string(), "synced", error));
                }
                _ => self.changed.pop_first(),
            };
        }
        Ok(())
    }

    fn remove_folder(&mut self, path: &str) -> Result<(), AccessError> {
        let place = self.folder.place(path);
        match fs::remove_dir_all(&place) {
            Err(error) if is_absent(&error) => return Ok(()),
            removed => removed.map_err(|source| failed(path, "removed", source))?,
        }
        for known in [&mut self.changed, &mut self.ensured] {
            known.retain(|folder| !folder.starts_with(&place));
        }
        self.changed.insert(place.parent().expect("a folder below the root").into());
        Ok(())
    }
}

/// Not there, or a part of its path is a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn failed(path: &str, action: &'static str, source: io::Error) -> AccessError {
    AccessError::Failed { path: path.into(), action, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Writer::open(folder.path().join("log")).expect("opens");
        assert!(matches!(Writer::open(folder.path().join("log")), Err(FolderError::Busy { .. })));
        drop(first);
        Writer::open(folder.path().join("log")).map(drop).expect("opens again");
    }

    #[test]
    fn files_are_replaced_as_a_whole_and_read_with_a_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = Writer::open(folder.path()).expect("opens");
        for bytes in [&b"first"[..], b"second one"] {
            writer.put("a/b/c", bytes).expect("writes");
            writer.sync().expect("syncs");
            assert_eq!(writer.read("a/b/c", 10).expect("reads").as_deref(), Some(bytes));
        }
        assert!(matches!(writer.read("a/b/c", 9), Err(AccessError::TooLong { limit: 9, .. })));
        assert!(writer.read("a/b/c/d", 9).expect("is absent").is_none());
        assert!(writer.read("x", 9).expect("is absent").is_none());
        writer.remove_folder("a/b").expect("removes");
        writer.remove_folder("a/b").expect("is gone already");
        writer.sync().expect("syncs");
        assert!(writer.read("a/b/c", 10).expect("is gone").is_none());
    }
}
