//! The configured base: packages in, a tree and its contents out, cached under the digest of what made it.
//!
//! The work happens in a sandbox ([`crate::sandbox`]); what leaves it is a directory with the contents document, the
//! pack, the trim report, dpkg's status and the list of documents. A base is complete when it has its final name:
//! 1. everything is written into a directory with a temporary name,
//! 2. every file and the directory are synced,
//! 3. the directory is renamed. A crash before leaves a directory that the next build removes.

mod cache;
pub(crate) mod collect;
pub(crate) mod error;
mod origin;
mod request;
mod rules;
mod scrub;

pub use collect::collect;
pub use error::BaseError;
pub use request::{BASE_FORMAT, BasePackage, BaseRequest};
pub use rules::document_patterns;
pub use scrub::scrub_rules;

use std::path::Path;

use model::Sha256Digest;
use serde::{Deserialize, Serialize};
use tree::trim::Report;
use tree::{Content, Tree, TreePath};

use crate::pack::PackSource;
use crate::progress::{Event, Progress, Step};

/// A configured base.
#[derive(Debug)]
pub struct Base {
    /// Digest of everything it was made from.
    pub digest: Sha256Digest,
    /// Its entries. What early rules and scrubbing removed is not among them.
    pub tree: Tree,
    /// Contents of the tree's files and of the documents.
    pub contents: PackSource,
    /// What early trim rules and scrubbing removed.
    pub trim_report: Report,
    /// dpkg's status file: the packages as they were configured.
    pub dpkg_status: String,
    /// Files kept for the release's documents, whether or not they are in the tree.
    pub documents: Vec<Document>,
    /// Whether it came from the cache.
    pub freshness: Freshness,
}

/// Whether a base was made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Just made.
    Made,
    /// Found in the cache.
    Cached,
}

/// A file of a package that is wanted beside the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Document {
    /// Whose.
    pub package: String,
    /// Where the package has it.
    pub path: TreePath,
    /// Its content, as the package has it.
    #[serde(flatten)]
    pub content: Content,
}

/// Names of a base's files.
pub(crate) mod file {
    pub const CONTENTS: &str = "contents";
    pub const REPORT: &str = "trim.json";
    pub const STATUS: &str = "dpkg-status";
    pub const DOCUMENTS: &str = "documents.json";
}

/// Gives the base for `request`: from `cache`, or made in a sandbox that works in `work` and memory.
///
/// `cache` and `work` are created. The caller's program MUST call [`crate::sandbox::sandbox_main`] first thing in
/// `main` when its first argument is [`crate::sandbox::SUBCOMMAND`]: the sandbox is the same program once more.
pub fn configured_base(
    request: &BaseRequest,
    cache: &Path,
    work: &Path,
    progress: &dyn Progress,
) -> Result<Base, BaseError> {
    request.check()?;
    let digest = request.digest();
    let entry = cache::Entry::new(cache, digest);
    if let Some(base) = entry.open(Freshness::Cached)? {
        progress.report(Event::Note(format!("the configured base {} is in the cache", short(&digest))));
        return Ok(base);
    }
    let draft = entry.begin()?;
    crate::sandbox::run(request, draft.path(), work, progress)?;
    progress.report(Event::Started { step: Step::Collect, total: None, unit: "bytes" });
    draft.commit()?;
    let base = entry.open(Freshness::Made)?.ok_or_else(|| BaseError::Damaged {
        path: cache.to_owned(),
        reason: "the base is gone right after it was written".into(),
    })?;
    let summary = format!("collected {} entries", base.tree.entries.len());
    progress.report(Event::Finished { step: Step::Collect, summary });
    Ok(base)
}

/// The base for `request` when it is in the cache. The packages' files are not needed for it.
pub fn cached_base(request: &BaseRequest, cache: &Path) -> Result<Option<Base>, BaseError> {
    cache::Entry::new(cache, request.digest()).open(Freshness::Cached)
}

/// Removes the base for `request` from the cache.
pub fn forget(request: &BaseRequest, cache: &Path) -> Result<(), BaseError> {
    cache::Entry::new(cache, request.digest()).remove()
}

fn short(digest: &Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
