//! What can go wrong with a depot. Every error names the file or the URL.

use std::io;
use std::path::{Path, PathBuf};

use model::Sha256Digest;

/// Reading, writing or serving a depot failed.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// The folder is something else, or does not exist.
    #[error("`{path}` is not a depot: it has no depot.json")]
    NotADepot {
        /// The folder.
        path: PathBuf,
    },
    /// The place for a new depot is taken.
    #[error("`{path}` is neither a depot nor empty: no depot is made there")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Made by a newer Ampoule.
    #[error("the depot `{path}` has format {found}, and this version knows {known}")]
    Format {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The maker's roles.
    #[error(transparent)]
    Roles(#[from] crate::roles::RolesError),
    /// A bundle.
    #[error(transparent)]
    Bundle(Box<crate::bundle::BundleError>),
    /// A file of another depot.
    #[error(transparent)]
    Mirror(#[from] Box<crate::mirror::MirrorError>),
    /// The disk is too small for what would come.
    #[error("`{path}` has {} free, and {} are needed", model::ByteSize(*free), model::ByteSize(*needs))]
    NoSpace {
        /// The depot.
        path: PathBuf,
        /// Bytes.
        needs: u64,
        /// Bytes.
        free: u64,
    },
    /// What another depot offers.
    #[error(transparent)]
    Take(#[from] Box<crate::take::TakeError>),
    /// Appliances would not take it.
    #[error("{what}")]
    Unsigned {
        /// What is missing, in one sentence.
        what: &'static str,
    },
    /// The ledger.
    #[error("the release could not be entered into the ledger")]
    Ledger(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody else writes to the depot.
    #[error("another `ampoule` writes to the depot `{path}`")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A channel that can not be part of a path.
    #[error(
        "`{name}` can not name {what}: lower-case letters, digits, dots and hyphens, beginning with a letter"
    )]
    Name {
        /// `a channel`, `a vendor`, `an appliance`.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// The channel has the version, and it is another release.
    #[error("version {version} of `{appliance}` is published already, with other content")]
    OtherContent {
        /// `vendor/name`.
        appliance: String,
        /// The version.
        version: String,
    },
    /// The channel has a newer version.
    #[error("version {version} of `{appliance}` is not newer than {newest}, which `{channel}` offers")]
    NotNewer {
        /// `vendor/name`.
        appliance: String,
        /// The version.
        version: String,
        /// The channel's newest.
        newest: String,
        /// The channel.
        channel: String,
    },
    /// A patch can only lead from one release of an appliance to another.
    #[error("`{path}` is a release of `{found}`, not of `{expected}`")]
    OtherAppliance {
        /// The release folder.
        path: PathBuf,
        /// Its appliance.
        found: String,
        /// The appliance that is published.
        expected: String,
    },
    /// A release folder named by `--from` is not what the channel offers.
    #[error("`{path}` holds {version}, which the channel does not offer with this content")]
    FromUnknown {
        /// The release folder.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The channel does not have the version.
    #[error("`{channel}` of `{appliance}` has no version {version}")]
    NoVersion {
        /// `vendor/name`.
        appliance: String,
        /// The channel.
        channel: String,
        /// What was asked for.
        version: String,
    },
    /// A bundle would hold a release that nothing in it leads to.
    #[error("no patch from {from} leads to {version}")]
    NoWay {
        /// Version of the release.
        version: String,
        /// Version that it was to lead from.
        from: String,
    },
    /// Several appliances, or none.
    #[error("the depot `{path}` does not offer exactly one appliance")]
    WhichAppliance {
        /// The depot.
        path: PathBuf,
    },
    /// The index has no room for more.
    #[error("the index can not take more than {limit} {what}")]
    Full {
        /// What there would be too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The release folder is broken.
    #[error(transparent)]
    Release(#[from] release::ReleaseError),
    /// The release can not be stated.
    #[error("the release in `{path}` can not be stated")]
    Statement {
        /// The release folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: release::statement::StatementError,
    },
    /// A document of the release can not be read.
    #[error("`{path}` can not be read")]
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An index of the depot can not be used.
    #[error("`{path}` can not be used")]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: release::index::IndexError,
    },
    /// A file is not what its name says.
    #[error("`{path}` has SHA-256 {found}, and {expected} is expected")]
    Digest {
        /// The file.
        path: PathBuf,
        /// What it should have.
        expected: Sha256Digest,
        /// What it has.
        found: Sha256Digest,
    },
    /// Making or applying a patch failed.
    #[error("can not {action}")]
    Patch {
        /// In a few words, with versions.
        action: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server can not listen.
    #[error("can not listen at {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operating system refused.
    #[error("can not {action} `{path}`")]
    Io {
        /// A verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DepotError {
    /// Whether a disk was full, so that a hint can say so.
    pub fn is_full_disk(&self) -> bool {
        let is_full = |error: &(dyn std::error::Error + 'static)| {
            error.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            })
        };
        let first: &(dyn std::error::Error + 'static) = self;
        std::iter::successors(Some(first), |error| error.source()).any(is_full)
    }
}

impl From<Box<crate::bundle::BundleError>> for DepotError {
    /// A file that can not be read is no bundle that is refused.
    fn from(error: Box<crate::bundle::BundleError>) -> Self {
        match error.kind {
            crate::bundle::BundleErrorKind::Io(source) => {
                Self::Io { action: "read", path: error.bundle, source }
            }
            _ => Self::Bundle(error),
        }
    }
}

/// Turns an I/O error into ours: `map_err(io("read", &path))`.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DepotError {
    let path = path.to_owned();
    move |source| DepotError::Io { action, path, source }
}
