//! The Update Framework 1.0 (TUF, specification 1.0.37): what a maker signs about releases, and how a client comes to trust it.
//!
//! - [`metadata`]: the documents of the four top-level roles and of delegated ones. Members that this version does not know are
//!   kept, and are part of what is signed.
//! - [`client`]: the detailed client workflow (section 5), over two small traits: [`fetch::Fetch`] brings bytes that nobody vouches
//!   for, [`store::Store`] keeps what is trusted. The time is a value, fixed when an update starts.
//! - [`repository`]: what makers do: roots with thresholds and their rotation, signing by several people one after another,
//!   snapshots and timestamps, and the order in which files are published.
//!
//! Everything here is synchronous, and pure but for [`store::FolderStore`]. It refuses to decide what a target *means*: its
//! `custom` member is handed on.
//!
//! # Where this is stricter than the specification
//!
//! - A key's id MUST be the SHA-256 of its canonical form, in every document; and a key counts once, whatever ids it has.
//! - JSON with a member twice, or with a number that is no whole one, is refused: it could be read in two ways.
//! - A delegated role can not be called like a top-level one: its document would take the other's place in the store.
//! - Trusted timestamp and snapshot are dropped (5.3.11) as soon as a root takes a key away from their roles, before that root is
//!   stored: an update that ends half-way can not lose the recovery. Keys that are added drop nothing.
//! - The time of the last complete update is kept, and an update at an earlier time is refused: a clock that is set back does not make
//!   expired documents fresh again.
//!
//! # What is not checked
//!
//! Whether bytes come too slowly: [`fetch::Fetch`] has to give up on its own. Mirrors are tried in turn, and the first that answers
//! properly is believed: one that only holds back news is found out when documents expire.

pub mod client;
mod document;
mod error;
pub mod fetch;
mod hashes;
pub mod json;
mod key;
mod limits;
pub mod metadata;
mod names;
mod pattern;
pub mod repository;
pub mod store;
mod threshold;
mod time;

pub use document::{Document, Signature};
pub use error::{Attack, Error, ErrorKind};
pub use hashes::{Hashes, Mismatch};
pub use key::{Key, KeyId};
pub use limits::Limits;
pub use names::{RoleName, TargetPath};
pub use pattern::matches;
pub use threshold::Authority;
pub use time::Time;
