//! What can be wrong with a `.deb`, and where.

use std::io;

use crate::control::ControlError;

/// A `.deb` that can not be used.
#[derive(Debug, thiserror::Error)]
#[error("{package}: {place}")]
pub struct DebError {
    /// The file, as the caller named it.
    pub package: String,
    /// Where in the file.
    pub place: String,
    /// What is wrong.
    #[source]
    pub problem: DebProblem,
}

/// What is wrong with a `.deb`.
#[derive(Debug, thiserror::Error)]
pub enum DebProblem {
    /// The bytes end too early.
    #[error("the file ends too early")]
    Truncated,
    /// The bytes are not what the format asks for.
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
    /// A decompressor refused the bytes.
    #[error("the file is damaged: {format} does not decompress")]
    Compression {
        /// `xz`, `zstd`, `gzip`.
        format: &'static str,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// The format allows it, this reader does not.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// A limit against forged files.
    #[error("refused: {what} is above the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The control paragraph is malformed.
    #[error("the control paragraph is malformed")]
    Control(#[source] ControlError),
    /// Reading failed for a reason outside of the file.
    #[error("reading failed")]
    Read(#[source] io::Error),
}

impl DebError {
    pub(super) fn new(package: &str, place: &str, problem: DebProblem) -> Self {
        Self { package: package.to_owned(), place: place.to_owned(), problem }
    }
}

impl DebProblem {
    pub(super) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Truncated => io::ErrorKind::UnexpectedEof,
            Self::Read(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        }
    }
}

impl From<io::Error> for DebProblem {
    /// Errors travel through decompressors as [`io::Error`]; a problem found below one comes out again as itself.
    fn from(error: io::Error) -> Self {
        let error = match error.downcast::<DebProblem>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}

impl From<DebProblem> for io::Error {
    fn from(problem: DebProblem) -> Self {
        io::Error::new(problem.io_kind(), problem)
    }
}
