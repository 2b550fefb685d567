//! Why a patch can not be applied. Nothing that runs was touched: what is written is an inactive slot.

use std::fmt;
use std::io;

/// Which of the two things an image is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The root file system.
    Root,
    /// The unified kernel image.
    Uki,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Root => "root file system",
            Side::Uki => "kernel image",
        })
    }
}

/// Why a patch can not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The bytes are not a patch.
    #[error("this is not a patch: {why}")]
    NotAPatch {
        /// What is missing or wrong.
        why: &'static str,
    },
    /// Made by a newer Ampoule.
    #[error("the patch has format {found}, and this version knows {known}", known = crate::format::FORMAT)]
    Format {
        /// Its format.
        found: u32,
    },
    /// The patch ends, or its stream does.
    #[error("the patch ends too early, in operation {operation}")]
    Truncated {
        /// Counted from 0.
        operation: u64,
    },
    /// The patch can not be read.
    #[error("the patch can not be read in operation {operation}")]
    Read {
        /// Counted from 0.
        operation: u64,
        /// What the source said.
        #[source]
        source: io::Error,
    },
    /// An operation contradicts the format, the images or a limit.
    #[error("operation {operation} of the patch is not possible: {why}")]
    Impossible {
        /// Counted from 0.
        operation: u64,
        /// Why.
        why: &'static str,
    },
    /// An operation gave other bytes than its maker's.
    #[error(
        "operation {operation} of the patch gives other bytes than its maker had, in the {side} at byte {offset}"
    )]
    Different {
        /// Counted from 0.
        operation: u64,
        /// Where it writes.
        side: Side,
        /// From the side's start.
        offset: u64,
    },
    /// The patch is made against something else.
    #[error("the patch is made for another {side} than the one that is here")]
    WrongFrom {
        /// What does not fit.
        side: Side,
    },
    /// It needs more memory than is allowed.
    #[error("applying the patch needs {} MiB of memory, and {} MiB are allowed", needed >> 20, allowed >> 20)]
    Memory {
        /// Bytes.
        needed: u64,
        /// Bytes.
        allowed: u64,
    },
    /// The old image can not be read.
    #[error("the old {side} can not be read at byte {offset}")]
    Old {
        /// What is read.
        side: Side,
        /// From its start.
        offset: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The new image can not be written or read back.
    #[error("the new {side} can not be written at byte {offset}")]
    Target {
        /// What is written.
        side: Side,
        /// From its start.
        offset: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
}
