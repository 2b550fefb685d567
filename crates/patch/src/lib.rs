//! What turns one release's image into another's: the patch format of `docs/PATCH.md`, making patches and applying them.
//!
//! Owns the format, the choice of what is copied and what is compared, and the check of every operation's output. Refuses
//! files, the clock and trust: who applies a patch compares the root hash of what came out with one that somebody signed.
//!
//! Laws: applying never panics and never takes more memory than it was allowed, whatever the patch says; the same two
//! images give the same patch.

mod apply;
mod bits;
mod copies;
mod delta;
mod error;
mod format;
mod kernel;
mod look;
#[cfg(feature = "make")]
mod make;
mod pack;

pub use apply::{Applied, ApplyOptions, Old, Resume, Target, apply};
pub use error::{ApplyError, Side};
pub use format::{Described, HEADER_LENGTH, Header, Operation, Reference, Space, Work};
pub use look::{Kind, Part, Seen, look, shares};
#[cfg(feature = "make")]
pub use make::{CompanionError, Cost, MakeError, MakeOptions, Recipe, Sides, Summary, make, without_recipes};
pub use pack::Packing;
