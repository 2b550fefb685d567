//! What changes from one release to another, computed from the bits.
//!
//! Owns the comparison of two images, the evidence for issues (changelogs, feeds, VEX), what follows from both (kind,
//! urgency, gates), and the faces of it: text, one HTML page, JSON. Refuses files, network and clock: images come in through
//! [`image::ReadAt`], documents and feeds as bytes.
//!
//! Laws: what a bulletin says is computed; what people wrote is a [`facts::Claim`]. The list of changed files is exactly the
//! difference of the two images. No number without its evidence one step away. Everything read is a stranger's: counts,
//! sizes and depths have named limits, and texts are shown harmlessly by every renderer ([`render::safe`]).

pub mod changelog;
pub mod compare;
pub mod explain;
pub mod facts;
pub mod feed;
mod foreign;
pub mod gates;
pub mod papers;
pub mod reach;
mod rebuilds;
pub mod render;
pub mod side;
pub mod vex;

pub use compare::{Evidence, compare};
pub use facts::Bulletin;
pub use rebuilds::Rebuild;
pub use side::{Side, SideError};
