//! The components of a release: which there are, where each came from, and which files are whose.
//!
//! Owns the model ([`Bill`]), how it is made from a release's documents ([`gather`]), and its two written forms
//! ([`cyclonedx`], [`spdx`]). Refuses I/O and the clock: contents come through [`tree::ContentSource`], the time is that of
//! the lock. What a maker's own documents say is kept as the maker's claim ([`claims`]).
//!
//! Laws: every path of the image belongs to exactly one component; the same release gives the same bytes.

pub mod age;
pub mod bill;
pub mod claims;
pub mod cyclonedx;
pub mod gather;
pub mod languages;
pub mod licence;
pub mod provenance;
pub mod purl;
pub mod spdx;
#[cfg(test)]
mod testing;
mod uuid;

pub use bill::{Bill, Component, FileRef, Kind, SourcePackage};
pub use gather::{GatherError, Sources, gather};
pub use licence::Licence;
