//! The shared test bench: temporary folders, releases that are built once, and appliances that boot.
//!
//! For tests only, so what fails panics, with everything a person needs to see why: the failing program's whole output,
//! or the end of the serial log.

mod bench;
mod booted;
mod built;
pub mod depot;
pub mod flip;
pub mod http;
pub mod probe;
mod suite;
pub mod tools;
pub mod variant;

pub use bench::Bench;
pub use booted::BootedAppliance;
pub use built::{ampoule, built_release, built_release_by, built_release_of, workspace};
pub use suite::Suite;
