//! What can go wrong between `.deb` files and a configured base.

use std::io;
use std::path::{Path, PathBuf};

use tree::TreePath;

/// The base could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// The file system refused something.
    #[error("can not {action} {path}")]
    Io {
        /// A verb: `write`, `open`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A `.deb` is not what it should be.
    #[error("the package file {deb} can not be unpacked: {reason}")]
    Archive {
        /// The file.
        deb: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A `.deb` is not a package, is damaged, or breaks a limit.
    #[error("the package file {deb} can not be unpacked")]
    Deb {
        /// The file.
        deb: PathBuf,
        /// What was found, and where in it.
        #[source]
        source: Box<debian::deb::DebError>,
    },
    /// A `.deb` is damaged in a way that reading it shows.
    #[error("the package file {deb} can not be read")]
    ArchiveRead {
        /// The file.
        deb: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Two packages have the same file, and neither replaces the other.
    #[error("{path} is in both {first} and {second}")]
    Conflict {
        /// Where.
        path: TreePath,
        /// The package that was placed first.
        first: String,
        /// The package that came after it.
        second: String,
    },
    /// A package's entry would leave the root or replace a directory.
    #[error("the package {package} can not place {path}: {reason}")]
    Place {
        /// Which.
        package: String,
        /// Its entry.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A maintainer script failed.
    #[error("the {script} script of {package} failed: {status}")]
    Script {
        /// Whose.
        package: String,
        /// `preinst`, `postinst` or what dpkg calls it.
        script: String,
        /// `exit status 1`.
        status: String,
        /// All that it wrote, standard output and error in order.
        output: String,
    },
    /// dpkg itself failed.
    #[error("dpkg failed: {status}")]
    Dpkg {
        /// `exit status 2`.
        status: String,
        /// All that it wrote.
        output: String,
    },
    /// The set of packages can not become a system.
    #[error("these packages do not make a system: {reason}")]
    Packages {
        /// What is missing.
        reason: String,
    },
    /// The user has no subordinate ids.
    #[error(
        "the user `{user}` has no {file} range of at least 65536 ids, which unpacking packages without root needs"
    )]
    SubordinateIds {
        /// Name of the user.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
    },
    /// The sandbox did not start.
    #[error("the sandbox could not be started: {reason}")]
    Sandbox {
        /// What unshare, the kernel or the new process said.
        reason: String,
    },
    /// Something failed inside of the sandbox.
    #[error("{message}")]
    Inside {
        /// The outermost message.
        message: String,
        /// Its causes.
        #[source]
        source: Option<InsideCause>,
    },
    /// A cached or handed-over document is damaged.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A cause that crossed the border of the sandbox as text.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct InsideCause {
    /// The message.
    pub message: String,
    /// Its cause.
    #[source]
    pub source: Option<Box<InsideCause>>,
}

impl InsideCause {
    /// A chain out of messages, outermost first.
    pub fn chain(messages: Vec<String>) -> Option<Self> {
        messages
            .into_iter()
            .rev()
            .fold(None, |source, message| Some(Self { message, source: source.map(Box::new) }))
    }
}

/// Adds the action and the path to I/O errors.
pub(crate) trait At<T> {
    /// `file.read().at("read", path)`.
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, BaseError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, BaseError> {
        self.map_err(|source| BaseError::Io { action, path: path.as_ref().to_owned(), source: source.into() })
    }
}

impl BaseError {
    /// What helps, when something generally does.
    pub fn hint(&self) -> Option<String> {
        match self {
            BaseError::SubordinateIds { user, .. } => Some(format!(
                "an administrator can give them once: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`"
            )),
            BaseError::Sandbox { .. } => {
                Some("unprivileged user namespaces have to be allowed, or run the build as root".into())
            }
            _ => None,
        }
    }
}
