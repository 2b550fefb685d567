//! The depot's folder: finding and reading what is in it, and the lock that keeps two writers apart.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use release::index::{Index, IndexError, NAME_LIMIT, ObjectRef, index_path, is_path_name, object_path};
use serde::{Deserialize, Serialize};

use crate::error::{DepotError, io};

/// Marks a folder as a depot.
pub const MARK: &str = "depot.json";
/// Where indices are.
pub const APPLIANCES: &str = "appliances";
/// Where everything else is.
pub const OBJECTS: &str = "objects";
/// Work under way. Beginning with a dot, so that most servers do not show it; ours shows known paths only.
pub const INCOMING: &str = ".incoming";
/// Held by who writes. An advisory lock, gone with its process: a stale one can not exist.
const LOCK: &str = ".lock";
/// The format this version writes and reads.
pub(crate) const FORMAT: u32 = 1;
/// Longest depot.json. Stops a folder from elsewhere from filling memory.
pub(crate) const MARK_LIMIT: u64 = 64 << 10;

/// A folder that is a depot.
#[derive(Clone, Debug)]
pub struct DepotFolder {
    path: PathBuf,
}

/// The right to write to a depot. Dropping it gives the right up.
#[derive(Debug)]
#[must_use = "the depot is only locked while it is held"]
pub struct Lock {
    _file: File,
}

/// What depot.json says.
#[derive(Serialize, Deserialize)]
struct Mark {
    format: u32,
}

impl DepotFolder {
    /// Opens a depot.
    pub fn open(path: &Path) -> Result<Self, DepotError> {
        let mark = path.join(MARK);
        let text = match read_limited(&mark, MARK_LIMIT) {
            Err(DepotError::Io { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(DepotError::NotADepot { path: path.to_owned() });
            }
            other => other?,
        };
        let Mark { format } =
            serde_json::from_slice(&text).map_err(|source| DepotError::Document { path: mark, source })?;
        if format != FORMAT {
            return Err(DepotError::Format { path: path.to_owned(), found: format, known: FORMAT });
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Opens a depot, or makes one in a new or empty folder.
    pub fn open_or_create(path: &Path) -> Result<Self, DepotError> {
        match Self::open(path) {
            Err(DepotError::NotADepot { .. }) => {}
            other => return other,
        }
        fs::create_dir_all(path).map_err(io("create", path))?;
        // Left by a making that broke off: the mark comes last.
        let is_ours = |name: &std::ffi::OsStr| [LOCK, INCOMING].iter().any(|ours| name == *ours);
        for entry in fs::read_dir(path).map_err(io("list", path))? {
            if !is_ours(&entry.map_err(io("list", path))?.file_name()) {
                return Err(DepotError::Occupied { path: path.to_owned() });
            }
        }
        let depot = Self { path: path.to_owned() };
        let lock = depot.lock()?;
        let mut bytes = serde_json::to_vec(&Mark { format: FORMAT }).expect("a mark has only string keys");
        bytes.push(b'\n');
        crate::intake::replace(&depot, Path::new(MARK), &bytes)?;
        drop(lock);
        Ok(depot)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the right to write. Fails with [`DepotError::Busy`] at once when somebody else has it.
    pub fn lock(&self) -> Result<Lock, DepotError> {
        let path = self.path.join(LOCK);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open", &path))?;
        match ledger::locks::take(&file) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DepotError::Busy { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(io("lock", &path)(source)),
        }
    }

    /// Where an object lies.
    pub fn object(&self, digest: &Sha256Digest) -> PathBuf {
        self.path.join(object_path(digest))
    }

    /// Reads a small object and checks its digest.
    pub fn read_object(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>, DepotError> {
        let path = self.object(&object.sha256);
        let bytes = read_limited(&path, limit)?;
        let found = Sha256Digest(<sha2::Sha256 as sha2::Digest>::digest(&bytes).into());
        if found != object.sha256 {
            return Err(DepotError::Digest { path, expected: object.sha256, found });
        }
        Ok(bytes)
    }

    /// The index of a channel; `None` when there is none yet.
    pub fn index(&self, appliance: &str, channel: &str) -> Result<Option<Index>, DepotError> {
        ensure_name("a channel", channel)?;
        let parts = appliance.split_once('/').unwrap_or((appliance, ""));
        ensure_name("a vendor", parts.0)?;
        ensure_name("an appliance", parts.1)?;
        let path = self.path.join(index_path(appliance, channel));
        let bytes = match read_limited(&path, release::index::INDEX_LIMIT) {
            Err(DepotError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let read = Index::parse(&bytes, appliance, channel);
        read.map(Some).map_err(|source: IndexError| DepotError::Index { path, source })
    }

    /// Every index, by appliance and channel. A file that is none of ours is an error: a depot has no other files there.
    pub fn indices(&self) -> Result<Vec<Index>, DepotError> {
        let mut found = Vec::new();
        for vendor in names_in(&self.path.join(APPLIANCES))? {
            for name in names_in(&self.path.join(APPLIANCES).join(&vendor))? {
                for file in names_in(&self.path.join(APPLIANCES).join(&vendor).join(&name))? {
                    let Some(channel) = file.strip_suffix(".json") else { continue };
                    found.extend(self.index(&format!("{vendor}/{name}"), channel)?);
                }
            }
        }
        Ok(found)
    }
}

/// Names that are safe as one component of a path, on every file system and object store.
pub fn ensure_name(what: &'static str, name: &str) -> Result<(), DepotError> {
    match is_path_name(name) {
        true => Ok(()),
        false => Err(DepotError::Name { what, name: name.chars().take(NAME_LIMIT).collect() }),
    }
}

/// Sorted names in a folder; none when there is no folder.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, DepotError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io("list", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(io("list", folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, DepotError> {
    let file = File::open(path).map_err(io("open", path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(release::ReleaseError::TooLong { path: path.to_owned(), limit }.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depot_is_made_in_an_empty_folder_and_nowhere_else() {
        let bench = tempfile::tempdir().expect("folder");
        let place = bench.path().join("depot");
        assert!(matches!(DepotFolder::open(&place), Err(DepotError::NotADepot { .. })));
        DepotFolder::open_or_create(&place).expect("makes");
        DepotFolder::open_or_create(&place).expect("opens");
        let home = bench.path().join("home");
        fs::create_dir(&home).expect("creates");
        fs::write(home.join("letter"), "dear").expect("writes");
        assert!(matches!(DepotFolder::open_or_create(&home), Err(DepotError::Occupied { .. })));
        fs::write(place.join(MARK), r#"{"format":9}"#).expect("writes");
        assert!(matches!(DepotFolder::open(&place), Err(DepotError::Format { found: 9, .. })));
    }

    #[test]
    fn two_writers_never_share_a_depot() {
        let bench = tempfile::tempdir().expect("folder");
        let depot = DepotFolder::open_or_create(bench.path()).expect("makes");
        let first = depot.lock().expect("locks");
        assert!(matches!(depot.lock(), Err(DepotError::Busy { .. })));
        drop(first);
        let _second = depot.lock().expect("free again");
    }

    #[test]
    fn names_can_not_leave_the_folder() {
        for name in ["", ".", "..", "a/b", "A", "a..b", "-a", "a b", "ä", &"x".repeat(65)] {
            assert!(ensure_name("a channel", name).is_err(), "{name:?}");
        }
        for name in ["stable", "lts-2.x", "a"] {
            ensure_name("a channel", name).expect("good");
        }
    }
}
