//! What makers do: documents are written, signed by one person after another, and published together.
//!
//! A document goes through its stages as types: [`Unsigned`] -> [`Partial`] -> [`Complete`]. A partial one is a file that is carried from
//! one signer to the next, also to machines without a network; whoever signs next sees what it says, and it holds good
//! signatures only. Only complete documents can be published. A targets document that is carried says over which root and which list it was
//! prepared ([`Basis`]).
//!
//! [`Repository`] is what was published last. [`Repository::renew`] makes the next snapshot and timestamp over what changed, and the
//! result is a [`Publication`]: files in the order in which they have to appear.

mod basis;
mod changes;
mod publication;
mod signing;
mod target_changes;
mod trusted;

pub use basis::{Basis, Origin};
pub use changes::{RootChange, root_changes};
pub use publication::{Changes, Freshness, Publication, PublishError, Repository};
pub use signing::{Complete, Missing, Partial, SigningError, Stage, TopLevel, Unsigned};
pub use target_changes::{TargetsChange, targets_changes};
