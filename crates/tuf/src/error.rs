//! What can be wrong with an update: what was refused, from where, why, what is unchanged, what to do next.

use std::fmt;
use std::io;

use crate::hashes::Mismatch;
use crate::names::TargetPath;
use crate::time::Time;

/// A failure of an update. Nothing that failed was stored.
#[derive(Debug)]
pub struct Error {
    /// Which document, from where: its name, or its URL.
    pub document: String,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// The attacks that the specification names (1.5.2), and that a refusal may be the sign of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Somebody without the keys wants something installed.
    ArbitraryInstallation,
    /// Somebody sends without end.
    EndlessData,
    /// Something is to be installed that the maker never listed.
    ExtraneousDependencies,
    /// News are held back.
    IndefiniteFreeze,
    /// Documents that never belonged together are combined.
    MixAndMatch,
    /// Old documents are shown as new ones.
    Rollback,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// It is no document of the format.
    #[error("it can not be understood: {why}")]
    Malformed {
        /// Where and why.
        why: String,
    },
    /// It is another role's document.
    #[error("it is a document of the role `{found}`, and one of `{expected}` is expected")]
    OtherRole {
        /// Its `_type`.
        found: String,
        /// The expected one.
        expected: &'static str,
    },
    /// It follows another version of the specification.
    #[error("it follows version `{found}` of TUF; this program reads versions 1.x")]
    SpecVersion {
        /// What it says.
        found: String,
    },
    /// It has two signatures with one key id.
    #[error("it is signed twice with the key {keyid}, to be counted twice")]
    SignedTwice {
        /// The key.
        keyid: String,
    },
    /// Too few of those who have a say signed it.
    #[error("too few signed it: {signed} of the {threshold} that it takes, among the keys that {by} names")]
    Unsigned {
        /// How many good signatures of different keys.
        signed: u64,
        /// How many are needed.
        threshold: u64,
        /// Who names them.
        by: String,
    },
    /// An older version than the trusted one.
    #[error("it has version {found}, which is older than version {trusted} that is trusted already")]
    Rollback {
        /// Its version.
        found: u64,
        /// The trusted version.
        trusted: u64,
    },
    /// It lists an older version of another document than is trusted.
    #[error(
        "it lists version {found} of `{file}`, which is older than version {trusted} that is trusted already"
    )]
    ListedRollback {
        /// The other document.
        file: String,
        /// The listed version.
        found: u64,
        /// The trusted version.
        trusted: u64,
    },
    /// It does not list a document that the trusted one lists.
    #[error("it does not list `{file}` any more, which the trusted one lists")]
    RoleRemoved {
        /// The document.
        file: String,
    },
    /// Another version than asked for, or than listed.
    #[error("it has version {found}, and version {expected} is expected")]
    OtherVersion {
        /// Its version.
        found: u64,
        /// The expected version.
        expected: u64,
    },
    /// Other bytes than listed.
    #[error("it is not the listed file: {0}")]
    OtherBytes(Mismatch),
    /// It ended its time.
    #[error("it expired at {expires}, and the update began at {now}")]
    Expired {
        /// When it expired.
        expires: Time,
        /// When the update began.
        now: Time,
    },
    /// More bytes than are taken.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// A delegated role that the snapshot does not list.
    #[error("the role is delegated to, and the snapshot does not list it")]
    NotInSnapshot,
    /// More roles than are asked.
    #[error("more than {limit} roles would have to be asked about `{path}`")]
    TooManyRoles {
        /// The limit.
        limit: usize,
        /// The target.
        path: TargetPath,
    },
    /// No role that may speak of it lists it.
    #[error("`{path}` is listed by no role that may list it: its maker did not sign it")]
    NoSuchTarget {
        /// The target.
        path: TargetPath,
    },
    /// It is not where it should be.
    #[error("it is not there")]
    Missing,
    /// It can not be reached.
    #[error("it can not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The trusted documents can not be read or written.
    #[error("the trusted copy can not be {verb}")]
    Store {
        /// "read", "written", "removed".
        verb: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no trusted root.
    #[error("there is no trusted root to begin with")]
    NoRoot,
    /// The clock is behind the last complete update.
    #[error("the clock says {now}, and the last update was complete at {last}")]
    ClockBehind {
        /// The time that was given.
        now: Time,
        /// The time of the last complete update.
        last: Time,
    },
}

impl Error {
    pub(crate) fn new(document: impl Into<String>, kind: impl Into<ErrorKind>) -> Self {
        Self { document: document.into(), kind: kind.into() }
    }

    pub(crate) fn store(document: &str, verb: &'static str) -> impl FnOnce(io::Error) -> Self {
        let document = document.to_owned();
        move |source| Self { document, kind: ErrorKind::Store { verb, source } }
    }

    /// Whether something is refused, rather than out of reach.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self.kind,
            ErrorKind::Missing | ErrorKind::Unreachable(_) | ErrorKind::Store { .. } | ErrorKind::NoRoot
        )
    }

    /// The attack that this may be the sign of. An accident can look the same.
    pub fn attack(&self) -> Option<Attack> {
        Some(match self.kind {
            ErrorKind::OtherRole { .. } | ErrorKind::SignedTwice { .. } | ErrorKind::Unsigned { .. } => {
                Attack::ArbitraryInstallation
            }
            ErrorKind::Rollback { .. } | ErrorKind::ListedRollback { .. } | ErrorKind::RoleRemoved { .. } => {
                Attack::Rollback
            }
            ErrorKind::OtherVersion { .. } | ErrorKind::OtherBytes(_) | ErrorKind::NotInSnapshot => {
                Attack::MixAndMatch
            }
            ErrorKind::Expired { .. } | ErrorKind::ClockBehind { .. } => Attack::IndefiniteFreeze,
            ErrorKind::TooLong { .. } | ErrorKind::TooManyRoles { .. } => Attack::EndlessData,
            ErrorKind::NoSuchTarget { .. } => Attack::ExtraneousDependencies,
            _ => return None,
        })
    }

    /// What is as before.
    pub fn unchanged(&self) -> &'static str {
        "what was trusted before is trusted still, and nothing is installed"
    }

    /// What to do next. Never to check less.
    pub fn hint(&self) -> &'static str {
        match &self.kind {
            ErrorKind::Malformed { .. } | ErrorKind::OtherBytes(_) | ErrorKind::OtherVersion { .. } => {
                "try again later: a depot may be half-copied; if it stays so, tell the maker"
            }
            ErrorKind::SpecVersion { .. } => "a newer version of this program may read it",
            ErrorKind::OtherRole { .. }
            | ErrorKind::SignedTwice { .. }
            | ErrorKind::Unsigned { .. }
            | ErrorKind::NotInSnapshot => "do not use this depot until its maker has explained it",
            ErrorKind::Rollback { .. } | ErrorKind::ListedRollback { .. } | ErrorKind::RoleRemoved { .. } => {
                "ask another depot, or a newer copy; after an accident the maker replaces the snapshot and timestamp keys"
            }
            ErrorKind::Expired { .. } => {
                "compare the clock; if it is right, the depot is not looked after, or news are held back: ask another one"
            }
            ErrorKind::ClockBehind { .. } => "set the clock",
            ErrorKind::TooLong { .. } => "ask another depot",
            ErrorKind::TooManyRoles { .. } | ErrorKind::NoSuchTarget { .. } => {
                "compare the name; only what the maker signed is taken"
            }
            ErrorKind::Missing | ErrorKind::Unreachable(_) => "compare the depot's address, and the network",
            ErrorKind::Store { .. } => "look at the disk: its space, and whether it can be written",
            ErrorKind::NoRoot => "begin with a root of the maker's that came another way: see docs/KEYS.md",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_refusal() { "is refused" } else { "is not to be had" };
        write!(f, "`{}` {verb}: {}", self.document, self.kind)
    }
}

/// The kind is in the text already: its cause is the next link of the chain.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ArbitraryInstallation => "arbitrary installation",
            Self::EndlessData => "endless data",
            Self::ExtraneousDependencies => "extraneous dependencies",
            Self::IndefiniteFreeze => "indefinite freeze",
            Self::MixAndMatch => "mix and match",
            Self::Rollback => "rollback",
        })
    }
}
