//! Rebuilding a release from what it carries itself: its sources and its lock.
//!
//! Packages are fetched by the lock's digests, the definition comes out of the release's archive, and every file is compared byte
//! for byte (by SHA-256, after the release's own files were found to be what it lists). What differs is explained from inside the
//! image.

use std::io::Cursor;
use std::path::Path;

use debian::lock::Lock;
use model::definition::Base;
use release::{ReleaseError, ReleaseFolder, names};

use crate::build::{BaseCache, BuildError, BuildRequest, build};
use crate::compose::GuestPrograms;
use crate::mirror::{MirrorError, Mirrors};
use crate::papers::sources::{self, SourcesError};
use crate::progress::{Event, Progress};
use crate::seal::Disks;

mod compare;
mod guest;

pub use compare::{Comparison, Explanation, compare};
pub use guest::{guest_of, is_other_guest};

/// Longest archive of sources that is read into memory.
const SOURCES_LIMIT: u64 = 8 << 30;
/// Longest lock, as `debian::lock` reads it.
const LOCK_LIMIT: u64 = 16 << 20;

/// What is rebuilt, and with what.
pub struct RebuildRequest<'a> {
    /// The release.
    pub release: &'a ReleaseFolder,
    /// Finds where packages are fetched from, for the `[base]` that the release's definition has.
    pub find_mirrors: &'a (dyn Fn(&Base) -> Result<Mirrors, MirrorError> + Sync),
    /// Packages, indices, configured bases.
    pub cache: &'a Path,
    /// Static programs of the guest.
    pub programs: &'a GuestPrograms,
    /// Whether a cached base may be used.
    pub base_cache: BaseCache,
    /// Where the sources are unpacked: an empty folder.
    pub sources: &'a Path,
    /// Where the rebuilt release goes.
    pub output: &'a Path,
}

/// Why a release can not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The release is not what it lists, or lacks what it is rebuilt from.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// Its sources.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// Its lock.
    #[error("the release's lock can not be read")]
    Lock(#[source] debian::lock::LockError),
    /// Its definition has problems for this version of Ampoule.
    #[error("the release's definition has {count} that this version of ampoule does not accept: {first}")]
    Definition {
        /// `1 part`, `3 parts`.
        count: String,
        /// The first of them.
        first: String,
    },
    /// The build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The parts of an image can not be read.
    #[error("can not read `{path}` of the release")]
    Image {
        /// The file.
        path: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// Rebuilds and compares.
pub fn rebuild(request: &RebuildRequest<'_>, progress: &dyn Progress) -> Result<Comparison, RebuildError> {
    let release = request.release;
    progress.report(Event::Note("checking that the release is what it lists".into()));
    release.check_digests(|_| ())?;
    let archive = release.read_checked_document(names::SOURCES, SOURCES_LIMIT)?;
    sources::unpack(Cursor::new(archive), request.sources)?;
    let lock = release.read_checked_document(names::LOCK, LOCK_LIMIT)?;
    let lock = Lock::parse(&String::from_utf8_lossy(&lock)).map_err(RebuildError::Lock)?;
    let place = request.sources.join(sources::DEFINITION);
    let text = std::fs::read_to_string(&place).map_err(|source| SourcesError::File {
        action: "read",
        path: place,
        source,
    })?;
    let parsed = model::parse(&text).map_err(|problems| RebuildError::Definition {
        count: match problems.len() {
            1 => "1 part".to_owned(),
            count => format!("{count} parts"),
        },
        first: problems.first().map(|it| it.message.clone()).unwrap_or_default(),
    })?;
    let has = |name: &str| release.manifest().artifact(name).is_some();
    let built = build(
        &BuildRequest {
            definition: &parsed.definition,
            definition_text: &text,
            folder: request.sources,
            lock: &lock,
            find_mirrors: &|| (request.find_mirrors)(&parsed.definition.base),
            cache: request.cache,
            programs: request.programs,
            base_cache: request.base_cache,
            disks: Disks { raw: has(names::DISK_RAW), qcow2: has(names::DISK_QCOW2) },
            output: request.output,
        },
        progress,
    )?;
    compare(release, &built)
}
