//! What can be wrong with a bundle: which one, where in it, why.

use std::path::PathBuf;

use model::Sha256Digest;

/// A bundle is refused, or can not be read. Nothing of it was taken.
#[derive(Debug)]
pub struct BundleError {
    /// The file.
    pub bundle: PathBuf,
    /// What is wrong.
    pub kind: BundleErrorKind,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum BundleErrorKind {
    /// Something else.
    #[error("it is no bundle: it does not begin with `bundle.json`")]
    NotABundle,
    /// Not JSON of this shape.
    #[error("its `bundle.json` can not be read")]
    Contents(#[source] serde_json::Error),
    /// Another form of the same JSON.
    #[error("its `bundle.json` is not written in the one form that it has")]
    Form,
    /// Made by a newer Ampoule.
    #[error("it has format {found}, and this version knows {}", super::FORMAT)]
    Format {
        /// Its format.
        found: u32,
    },
    /// Beyond a limit.
    #[error("it has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A member beyond its limit.
    #[error("`{path}` has {size} bytes, and {limit} is the most")]
    TooLong {
        /// The member.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A path that leads elsewhere, or a file that is of something else.
    #[error("`{path}` can not be a member of a bundle")]
    Path {
        /// The path.
        path: String,
    },
    /// A member too often.
    #[error("`{path}` is listed twice, or out of order")]
    Order {
        /// The member.
        path: String,
    },
    /// Another member than listed.
    #[error("where `{expected}` should begin is {found}")]
    Header {
        /// The listed member.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file ends too early.
    #[error("it ends within `{path}`")]
    Truncated {
        /// The member.
        path: String,
    },
    /// Bytes that belong to no member.
    #[error("something that belongs to no member follows `{path}`")]
    Trailing {
        /// The member.
        path: String,
    },
    /// Other bytes than listed.
    #[error("`{path}` has SHA-256 {found}, and {expected} is listed")]
    Digest {
        /// The member.
        path: String,
        /// What it should have.
        expected: Sha256Digest,
        /// What it has.
        found: Sha256Digest,
    },
    /// No index.
    #[error("it has no index")]
    NoIndex,
    /// An index that can not be used.
    #[error("its index can not be used")]
    Index(#[source] crate::index::IndexError),
    /// `bundle.json` and index differ.
    #[error("its `bundle.json` tells of other releases than its index")]
    OtherReleases,
    /// A list of notes that is none.
    #[error("`{path}` is no list of officers' notes")]
    Words {
        /// The member.
        path: String,
    },
    /// An object that is not there.
    #[error("{needed_by} is missing: the object {object}")]
    Missing {
        /// The object.
        object: Sha256Digest,
        /// What needs it.
        needed_by: String,
    },
    /// The file or the disk.
    #[error("it can not be read")]
    Io(#[source] std::io::Error),
    /// An object that nobody needs.
    #[error("no release in it needs `{path}`")]
    Needless {
        /// The member.
        path: String,
    },
}

impl std::fmt::Display for BundleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_refused = !matches!(self.kind, BundleErrorKind::Io(_));
        let refused = if is_refused { " is refused" } else { "" };
        write!(f, "the bundle `{}`{refused}: {}", self.bundle.display(), self.kind)
    }
}

/// The kind is in the text already: its cause is the next link of the chain.
impl std::error::Error for BundleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}
