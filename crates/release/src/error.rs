//! What can be wrong with a release folder. Every error names the path.

use std::io;
use std::path::PathBuf;

use model::Sha256Digest;

use crate::names::ArtifactName;

/// Reading or writing a release folder failed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no `release.json`: the folder is something else, or does not exist.
    #[error("`{path}` is not a release folder: it has no release.json")]
    NotARelease {
        /// The folder.
        path: PathBuf,
    },
    /// The manifest is longer than [`crate::manifest::MANIFEST_LIMIT`].
    #[error("`{path}` is longer than {limit} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The manifest was written by a newer or foreign tool.
    #[error("`{path}` has format {found}; this version reads format {known}")]
    Format {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What we read.
        known: u32,
    },
    /// The manifest is not JSON or lacks fields.
    #[error("`{path}` can not be read")]
    Syntax {
        /// The manifest.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest contradicts itself.
    #[error("`{path}` is inconsistent: {why}")]
    Inconsistent {
        /// The manifest.
        path: PathBuf,
        /// In one sentence.
        why: String,
    },
    /// The manifest lists a file that is not there.
    #[error("`{path}` is missing")]
    Missing {
        /// The artifact.
        path: PathBuf,
    },
    /// A file has another size than the manifest says: truncated or replaced.
    #[error("`{path}` has {found} bytes; release.json says {expected}")]
    Size {
        /// The artifact.
        path: PathBuf,
        /// What the manifest says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// A file has another digest than the manifest says.
    #[error("`{path}` has SHA-256 {found}; release.json says {expected}")]
    Digest {
        /// The artifact.
        path: PathBuf,
        /// What the manifest says.
        expected: Sha256Digest,
        /// What is there.
        found: Sha256Digest,
    },
    /// The release has no artifact of that name.
    #[error("the release in `{path}` has no {name}")]
    NoArtifact {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        name: ArtifactName,
    },
    /// The place for a new release is taken by something that is not a release.
    #[error("`{path}` exists and is not a release folder: it is not replaced")]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// An artifact was added twice.
    #[error("`{path}` is already part of the release")]
    Twice {
        /// The artifact.
        path: PathBuf,
    },
    /// The archive of package documents is damaged or too large.
    #[error("`{path}` can not be used")]
    PackageDocuments {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<crate::documents::PackageDocumentsError>,
    },
    /// The operating system refused.
    #[error("can not {action} `{path}`")]
    Io {
        /// A verb: `read`, `write`, `sync`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ReleaseError {
    /// Whether the disk was full, so that a hint can say so.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// Turns an I/O error into ours: `map_err(io("read", &path))`.
pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> ReleaseError {
    let path = path.to_owned();
    move |source| ReleaseError::Io { action, path, source }
}
