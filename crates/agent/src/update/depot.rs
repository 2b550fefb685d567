//! The depot's client: small documents whole, objects with resuming. The depot is a server, or a bundle on a disk that is attached to
//! the machine; either is a stranger. Everything has a limit in bytes and in time; what comes is only believed when its digest is right.

mod attached;
mod web;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::Sha256Digest;
use release::ReleaseId;
use release::bundle::BundleError;
use release::index::{
    INDEX_LIMIT, Index, IndexError, ObjectRef, WORDS_LIMIT, index_path, object_path, words_path,
};
use release::statement::{STATEMENT_LIMIT, Statement, StatementError};
use sha2::{Digest, Sha256};

use attached::Attached;
use web::Web;

/// An object from which nothing comes for so long is none.
const SILENCE_WAIT: Duration = Duration::from_secs(30);
/// Times an object is tried; each time goes on where the last one ended. One that brought [`PROGRESS`] is not counted.
const ATTEMPTS: u32 = 5;
const PROGRESS: u64 = 1 << 20;
/// Fewer bytes than this in [`SILENCE_WAIT`] is no download.
const LEAST_BYTES: u64 = 16 << 10;
/// Longest document of a release that the appliance reads: its settings.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The depot did not give what was asked for. Nothing on the appliance changed.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// The setting's certificate can not be used.
    #[error("the certificate authority of the depot can not be read")]
    Certificate,
    /// No answer, or a broken one.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// What was asked for.
        url: String,
        /// In the client's words.
        why: String,
    },
    /// It does not exist.
    #[error("the depot has no {url}")]
    Absent {
        /// What was asked for.
        url: String,
    },
    /// No disk with it.
    #[error("no disk with a bundle of {appliance}, channel {channel}, is attached to this machine{found}")]
    NoDisk {
        /// `vendor/name`.
        appliance: String,
        /// The series of releases.
        channel: String,
        /// What else is there, for people.
        found: String,
    },
    /// More than one.
    #[error("two disks with a bundle of this appliance are attached, {one} and {other}: take one away")]
    TwoDisks {
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// A bundle that is damaged.
    #[error(transparent)]
    Bundle(#[from] Box<BundleError>),
    /// Longer than it may be.
    #[error("{url} has more than {limit} bytes")]
    TooLong {
        /// What was asked for.
        url: String,
        /// Its limit.
        limit: u64,
    },
    /// Another content.
    #[error("{url} has not the content it should have: its SHA-256 is {found}")]
    Digest {
        /// What was asked for.
        url: String,
        /// What came.
        found: Sha256Digest,
    },
    /// The index.
    #[error("{url} can not be used")]
    Index {
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: IndexError,
    },
    /// A statement.
    #[error("{url} can not be used")]
    Statement {
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: StatementError,
    },
    /// The data disk.
    #[error("the download can not be written to the data disk")]
    Disk(#[from] io::Error),
}

/// One depot.
pub struct Depot {
    source: Source,
}

enum Source {
    Web(Web),
    Attached(Attached),
}

impl Depot {
    /// A depot at a URL; with `authority`, one or more certificates as PEM, no other certificate authority counts.
    pub fn at(url: &str, authority: Option<&str>) -> Result<Depot, DepotError> {
        Ok(Depot { source: Source::Web(Web::new(url, authority)?) })
    }

    /// The one bundle of this appliance and channel among `disks`, by their names and nodes.
    pub fn attached(
        disks: &[(String, PathBuf)],
        appliance: &str,
        channel: &str,
    ) -> Result<Depot, DepotError> {
        Ok(Depot { source: Source::Attached(Attached::find(disks, appliance, channel)?) })
    }

    /// The index of an appliance's channel, with its bytes.
    pub fn index(&self, appliance: &str, channel: &str) -> Result<(Index, Vec<u8>), DepotError> {
        let path = index_path(appliance, channel);
        let bytes = self.small(&path, INDEX_LIMIT)?;
        let index = Index::parse(&bytes, appliance, channel)
            .map_err(|source| DepotError::Index { url: self.url_of(&path), source })?;
        Ok((index, bytes))
    }

    /// A statement.
    pub fn statement(&self, object: &ObjectRef) -> Result<Statement, DepotError> {
        let bytes = self.document(object, STATEMENT_LIMIT)?;
        let url = || self.url_of(&object_path(&object.sha256));
        Statement::parse(&bytes).map_err(|source| DepotError::Statement { url: url(), source })
    }

    /// Notes of officers on a release, none of them checked.
    pub fn words(&self, appliance: &str, release: ReleaseId) -> Result<Vec<String>, DepotError> {
        let path = words_path(appliance, release);
        let bytes = self.small(&path, WORDS_LIMIT)?;
        let broken =
            |error: serde_json::Error| DepotError::Silent { url: self.url_of(&path), why: error.to_string() };
        serde_json::from_slice(&bytes).map_err(broken)
    }

    /// A small object, whole.
    pub fn document(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>, DepotError> {
        let path = object_path(&object.sha256);
        let url = self.url_of(&path);
        if object.size > limit {
            return Err(DepotError::TooLong { url, limit });
        }
        let bytes = self.small(&path, object.size)?;
        let found = Sha256Digest(Sha256::digest(&bytes).into());
        if found != object.sha256 {
            return Err(DepotError::Digest { url, found });
        }
        Ok(bytes)
    }

    /// The first `length` bytes of an object; nobody compares them with anything.
    pub fn beginning(&self, object: &ObjectRef, length: usize) -> Result<Vec<u8>, DepotError> {
        let path = object_path(&object.sha256);
        let mut bytes = Vec::new();
        let read = self.open(&path)?.take(length as u64).read_to_end(&mut bytes);
        read.map_err(|error| DepotError::Silent { url: self.url_of(&path), why: error.to_string() })?;
        Ok(bytes)
    }

    /// Downloads an object to `path`, through `PATH.partial`, which a later call resumes. `progress` hears how many bytes are
    /// there.
    pub fn download(
        &self,
        object: &ObjectRef,
        path: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), DepotError> {
        let url = self.url_of(&object_path(&object.sha256));
        let mut partial = Partial::open(path)?;
        if partial.length > object.size {
            partial.clear()?;
        }
        let mut was_wrong = false;
        loop {
            self.complete(object, &url, &mut partial, progress)?;
            let found = partial.digest();
            if found == object.sha256 {
                return Ok(partial.finish(path)?);
            }
            // What was resumed may be the culprit: once from the start, and no third time.
            partial.clear()?;
            if std::mem::replace(&mut was_wrong, true) {
                return Err(DepotError::Digest { url, found });
            }
        }
    }

    fn complete(
        &self,
        object: &ObjectRef,
        url: &str,
        partial: &mut Partial,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), DepotError> {
        let (mut failures, mut wait) = (0, Duration::from_millis(500));
        while partial.length < object.size {
            let before = partial.length;
            match self.attempt(object, url, partial, progress) {
                Ok(()) => {}
                Err(error @ DepotError::Silent { .. }) => {
                    failures += u32::from(partial.length.saturating_sub(before) < PROGRESS);
                    if failures >= ATTEMPTS {
                        return Err(error);
                    }
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(Duration::from_secs(8));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn attempt(
        &self,
        object: &ObjectRef,
        url: &str,
        partial: &mut Partial,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), DepotError> {
        let silent = |why: String| DepotError::Silent { url: url.to_owned(), why };
        let (mut body, begins) = match &self.source {
            Source::Web(web) => web.object(url, partial.length)?,
            Source::Attached(bundle) => bundle
                .open(&object_path(&object.sha256), partial.length)
                .map(|body| (body, partial.length))?,
        };
        if begins != partial.length {
            partial.clear()?;
            if begins != 0 {
                return Err(silent("it sent another part than was asked for".into()));
            }
        }
        let mut buffer = vec![0; 64 << 10];
        let (mut period, mut in_period) = (Instant::now(), 0);
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) if partial.length == object.size => return Ok(()),
                Ok(0) => return Err(silent("the connection ended too early".into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(silent(error.to_string())),
            };
            // Before it is written: a server that never ends must not fill the disk.
            if partial.length + count as u64 > object.size {
                partial.clear()?;
                return Err(DepotError::TooLong { url: url.to_owned(), limit: object.size });
            }
            partial.append(&buffer[..count])?;
            progress(partial.length);
            in_period += count as u64;
            if period.elapsed() > SILENCE_WAIT {
                if in_period < LEAST_BYTES {
                    return Err(silent("it is too slow".into()));
                }
                (period, in_period) = (Instant::now(), 0);
            }
        }
    }

    /// A small file, to be read by whoever has a limit for it.
    pub fn open(&self, path: &str) -> Result<Box<dyn Read>, DepotError> {
        match &self.source {
            Source::Web(web) => web.open(&web.url_of(path)),
            Source::Attached(bundle) => bundle.open(path, 0),
        }
    }

    /// Where a file of the depot is, for people.
    pub fn url_of(&self, path: &str) -> String {
        match &self.source {
            Source::Web(web) => web.url_of(path),
            Source::Attached(bundle) => bundle.url_of(path),
        }
    }

    fn small(&self, path: &str, limit: u64) -> Result<Vec<u8>, DepotError> {
        let mut bytes = Vec::new();
        let url = || self.url_of(path);
        let read = self.open(path)?.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| DepotError::Silent { url: url(), why: error.to_string() })?;
        if bytes.len() as u64 > limit {
            return Err(DepotError::TooLong { url: url(), limit });
        }
        Ok(bytes)
    }
}

/// The file that is being filled, and the digest of what is in it.
struct Partial {
    path: std::path::PathBuf,
    file: File,
    length: u64,
    hasher: Sha256,
}

impl Partial {
    fn open(path: &Path) -> io::Result<Partial> {
        let path = path.with_extension("partial");
        let mut file = File::options().read(true).append(true).create(true).open(&path)?;
        let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 64 << 10]);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(Partial { path, file, length, hasher });
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.length, self.hasher) = (0, Sha256::new());
        Ok(())
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest(self.hasher.clone().finalize().into())
    }

    fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()
    }
}

#[cfg(test)]
mod tests;
