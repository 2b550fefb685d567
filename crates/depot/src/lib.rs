//! Where releases are kept and served.
//!
//! A depot is a folder of plain files; `release::index` says where each one lies, so that any static file server or object
//! store can serve it. This crate owns writing it ([`publish`]), looking after it ([`care`]) and a server of its own
//! ([`serve`]). It refuses printing, and deciding who may publish.
//!
//! Laws: an index only ever names objects that are whole and on the disk; objects are never changed; only indices are
//! replaced, by a rename. What comes from another depot ([`bundle`], [`mirror`], [`take`]) is checked whole before any of it is visible. A crash or a full disk anywhere leaves the depot as it was, besides files nobody refers to.

pub mod bundle;
pub mod care;
mod error;
pub mod folder;
pub mod intake;
pub mod mirror;
pub mod publish;
pub mod roles;
pub mod serve;
pub mod take;
pub mod unpack;
pub mod ways;
pub mod words;

pub use error::DepotError;
pub use folder::DepotFolder;

// The benches of the tests beside the crate, for those within it.
#[cfg(test)]
extern crate self as depot;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
