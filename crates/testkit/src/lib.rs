//! The shared test bench: temporary folders, releases that are built once, and appliances that boot.
//!
//! For tests only, so what fails panics, with everything a person needs to see why: the failing program's whole output,
//! or the end of the serial log.

mod bench;
mod booted;
mod built;
pub mod http;

pub use bench::Bench;
pub use booted::BootedAppliance;
pub use built::{ampoule, built_release, workspace};
