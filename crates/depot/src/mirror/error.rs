//! What can be wrong with another depot: which file of it, what, why.

use model::Sha256Digest;

/// Another depot did not give what was asked for. What this depot offers is as it was.
#[derive(Debug)]
pub struct MirrorError {
    /// URL or path of the file.
    pub place: String,
    /// What is wrong.
    pub kind: MirrorErrorKind,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum MirrorErrorKind {
    /// Not a URL that names a depot.
    #[error("is no URL of a depot: {why}")]
    Url {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file with certificates.
    #[error("the certificate authorities can not be read: {why}")]
    Authorities {
        /// In the client's words.
        why: String,
    },
    /// Something else than a depot.
    #[error("is not what marks a depot")]
    NotADepot,
    /// Made by a newer Ampoule.
    #[error("has format {found}, and this version knows {known}")]
    Format {
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// No answer, or a broken one.
    #[error("does not answer: {why}")]
    Silent {
        /// In the client's words.
        why: String,
    },
    /// An answer with another status than one of the expected ones.
    #[error("is answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// It does not come within its time.
    #[error("comes too slowly: {what}")]
    Slow {
        /// How slowly.
        what: String,
    },
    /// A circle, or a way without end.
    #[error("is redirected more than {limit} times")]
    Redirects {
        /// The limit.
        limit: u32,
    },
    /// From HTTPS to something that anybody can change on its way.
    #[error("is redirected away from HTTPS")]
    Downgrade,
    /// It does not exist.
    #[error("is not there")]
    Absent,
    /// Longer than it may be.
    #[error("has more than {limit} bytes")]
    TooLong {
        /// Its limit.
        limit: u64,
    },
    /// Too much of them all.
    #[error("is one document too many: together they have more than {limit} bytes")]
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// Other bytes than listed.
    #[error("has SHA-256 {found}, and {expected} is listed")]
    Digest {
        /// What it should have.
        expected: Sha256Digest,
        /// What it has.
        found: Sha256Digest,
    },
    /// A document of the roles that is not the one that their snapshot lists.
    #[error("is not the document that the snapshot lists")]
    NotListed,
    /// A name that leads elsewhere.
    #[error("is no name of a document in a depot")]
    Name,
    /// An index that can not be used.
    #[error("can not be used")]
    Index(#[source] release::index::IndexError),
    /// A list of notes that is none.
    #[error("is no list of officers' notes")]
    Words,
    /// A file of a folder.
    #[error("can not be read")]
    File(#[source] std::io::Error),
}

impl MirrorErrorKind {
    /// Whether what came is refused, rather than that nothing came.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Url { .. }
                | Self::Authorities { .. }
                | Self::Silent { .. }
                | Self::Status { .. }
                | Self::Slow { .. }
                | Self::Absent
                | Self::File(_)
        )
    }

    /// Whether it was called in a way that can not be right.
    pub fn is_a_mistake(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Authorities { .. })
    }

    /// Whether the same again may go better.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Slow { .. } => true,
            Self::Status { status } => *status >= 500 || *status == 429 || *status == 408,
            _ => false,
        }
    }

    /// What to do next. Never to check less.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Url { .. } => "write it as https://HOST/PATH, or name a depot's folder",
            Self::Authorities { .. } => "`--ca` takes a file with certificates in PEM",
            Self::NotADepot | Self::Format { .. } => {
                "compare the depot's address: its `depot.json` says that it is one"
            }
            Self::Silent { .. } | Self::Status { .. } | Self::Slow { .. } => {
                "run the same again when it answers: what was downloaded is kept"
            }
            Self::Redirects { .. } | Self::Downgrade => "name the depot's own address",
            Self::Absent => {
                "compare the depot's address, appliance and channel; a depot may be half-copied: try again later"
            }
            Self::TooLong { .. } | Self::Words | Self::Name | Self::Index(_) => {
                "tell whoever runs the depot; ask another copy of it"
            }
            Self::TooMany { .. } => "bring fewer releases: `--newest N`, or `--release VERSION`",
            Self::Digest { .. } | Self::NotListed => {
                "try again later: a depot may be half-copied; if it stays so, ask another copy of it"
            }
            Self::File(_) => "look at the folder: whether it can be read, and is whole",
        }
    }
}

impl std::fmt::Display for MirrorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.place, self.kind)
    }
}

/// The kind is in the text already: its cause is the next link of the chain.
impl std::error::Error for MirrorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}
