//! Debian's formats as values: versions, control files, indices, `.deb` packages, and the lock.
//!
//! Owns reading them with limits and writing the lock. Refuses the file system, the network, processes and the clock:
//! bytes come in through [`std::io::Read`] or as strings. Which packages are wanted is decided elsewhere; signatures
//! are checked by apt before an index gets here.

pub mod control;
pub mod date;
pub mod deb;
pub mod index;
pub mod lock;
pub mod relations;
pub mod version;

pub use lock::Lock;
pub use version::Version;
