//! Where configured bases are kept: `CACHE/base/DIGEST/`.
//!
//! The last [`KEPT_BASES`] used ones stay. A base in use by another process may be removed under it; that process
//! keeps reading the files it has open.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use model::Sha256Digest;

use super::error::At;
use super::{Base, BaseError, Freshness, file};
use crate::pack::{INDEX, PACK, PackSource};

/// Bases kept: enough for two appliances and a change of packages in each.
pub const KEPT_BASES: usize = 4;

/// A draft that nobody touched for this long belongs to a build that crashed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

const DRAFT_PREFIX: &str = "draft-";

/// One place in the cache.
pub(super) struct Entry {
    bases: PathBuf,
    digest: Sha256Digest,
}

/// A directory that becomes a base when it is complete; removed when dropped before.
pub(super) struct Draft {
    path: PathBuf,
    bases: PathBuf,
    target: PathBuf,
}

impl Entry {
    pub(super) fn new(cache: &Path, digest: Sha256Digest) -> Self {
        Self { bases: cache.join("base"), digest }
    }

    fn path(&self) -> PathBuf {
        self.bases.join(self.digest.to_string())
    }

    /// Opens the base if it is there. A damaged one is removed and counts as not there.
    pub(super) fn open(&self, freshness: Freshness) -> Result<Option<Base>, BaseError> {
        let path = self.path();
        if !path.is_dir() {
            return Ok(None);
        }
        match self.read(&path, freshness) {
            Ok(base) => {
                // The time of last use decides what is kept; failing to note it costs at most a rebuild.
                let _ = File::open(&path).and_then(|directory| directory.set_modified(SystemTime::now()));
                Ok(Some(base))
            }
            Err(_) if freshness == Freshness::Cached => {
                std::fs::remove_dir_all(&path).at("remove", &path)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &Path, freshness: Freshness) -> Result<Base, BaseError> {
        let text = |name: &str| {
            let path = path.join(name);
            std::fs::read_to_string(&path).at("read", path)
        };
        let damaged = |name: &str, reason: String| BaseError::Damaged { path: path.join(name), reason };
        let tree = tree::listing::parse(text(file::CONTENTS)?.as_bytes())
            .map_err(|error| damaged(file::CONTENTS, error.to_string()))?;
        let trim_report = serde_json::from_str(&text(file::REPORT)?)
            .map_err(|error| damaged(file::REPORT, error.to_string()))?;
        let documents = serde_json::from_str(&text(file::DOCUMENTS)?)
            .map_err(|error| damaged(file::DOCUMENTS, error.to_string()))?;
        Ok(Base {
            digest: self.digest,
            tree,
            contents: PackSource::open(path)?,
            trim_report,
            dpkg_status: text(file::STATUS)?,
            documents,
            freshness,
        })
    }

    /// Removes the base.
    pub(super) fn remove(&self) -> Result<(), BaseError> {
        match std::fs::remove_dir_all(self.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).at("remove", self.path())
            }
            _ => Ok(()),
        }
    }

    /// Makes room and a directory to write into.
    pub(super) fn begin(&self) -> Result<Draft, BaseError> {
        std::fs::create_dir_all(&self.bases).at("create", &self.bases)?;
        self.evict()?;
        let mut number = 0;
        loop {
            let path = self.bases.join(format!("{DRAFT_PREFIX}{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Draft { path, bases: self.bases.clone(), target: self.path() }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error).at("create", path),
            }
        }
    }

    /// Removes the least recently used bases and abandoned drafts.
    fn evict(&self) -> Result<(), BaseError> {
        let now = SystemTime::now();
        let mut bases = Vec::new();
        for entry in std::fs::read_dir(&self.bases).at("read", &self.bases)? {
            let entry = entry.at("read", &self.bases)?;
            let Ok(used) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
            let is_draft = entry.file_name().to_string_lossy().starts_with(DRAFT_PREFIX);
            match is_draft {
                true if now.duration_since(used).is_ok_and(|age| age > ABANDONED) => {
                    let _ = std::fs::remove_dir_all(entry.path());
                }
                true => {}
                false => bases.push((used, entry.path())),
            }
        }
        bases.sort();
        let surplus = (bases.len() + 1).saturating_sub(KEPT_BASES);
        for (_, path) in bases.into_iter().take(surplus) {
            std::fs::remove_dir_all(&path).at("remove", &path)?;
        }
        Ok(())
    }
}

impl Draft {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs everything, then gives the directory its final name.
    pub(super) fn commit(self) -> Result<(), BaseError> {
        for name in [PACK, INDEX, file::CONTENTS, file::REPORT, file::STATUS, file::DOCUMENTS] {
            let path = self.path.join(name);
            File::open(&path).and_then(|file| file.sync_all()).at("sync", path)?;
        }
        let sync = |path: &Path| File::open(path).and_then(|directory| directory.sync_all()).at("sync", path);
        sync(&self.path)?;
        match std::fs::rename(&self.path, &self.target) {
            Ok(()) => {}
            // Another build of the same base was faster; its base is as good.
            Err(_) if self.target.is_dir() => return Ok(()),
            Err(error) => return Err(error).at("rename", &self.path),
        }
        sync(&self.bases)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
