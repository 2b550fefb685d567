//! Where a log or a witness keeps its files. [`crate::folder::Writer`] is the one on disk; tests have one in memory that loses
//! what a power cut would.

use crate::read::{AccessError, ReadLog};

/// Files that survive a power cut, written by one writer at a time.
pub trait Store: ReadLog {
    /// Makes or replaces a file as a whole. The implementer MUST make sure that a crash at any time leaves the old file or the
    /// new one, never a part; which of them is not certain before [`Store::sync`].
    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), AccessError>;

    /// Returned Ok means: everything put or removed before is there, or gone, after a power cut.
    fn sync(&mut self) -> Result<(), AccessError>;

    /// Removes a folder with all files in it. It is no error when there is none.
    fn remove_folder(&mut self, path: &str) -> Result<(), AccessError>;
}

#[cfg(test)]
pub(crate) mod memory;
