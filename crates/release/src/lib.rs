//! The release folder: what its files are called, what `release.json` says, and how a folder is read and written.
//!
//! Owns the names, the manifest and its checks. Refuses building anything, and refuses to look outside of the folder.
//! All access to files is in [`folder`] (reading) and [`draft`] (writing); the rest is pure.
//!
//! Laws: a folder that carries `release.json` is complete; what is incomplete is called `OUT.partial-N`.

pub mod approval;
pub mod attestation;
pub mod bundle;
pub mod documents;
pub mod draft;
mod error;
pub mod folder;
pub mod index;
pub mod inspect;
pub mod listing;
pub mod manifest;
pub mod names;
pub mod stages;
pub mod statement;
pub mod trust;
pub mod verify;
pub mod version;

pub use draft::ReleaseDraft;
pub use error::ReleaseError;
pub use folder::ReleaseFolder;
pub use index::{Index, IndexedRelease, ObjectRef, PatchRef};
pub use listing::Listing;
pub use manifest::{Artifact, ImageFacts, Manifest, PartitionFacts, Purpose};
pub use names::ArtifactName;
pub use statement::{ReleaseId, Statement};
