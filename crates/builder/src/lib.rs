//! Runs the build: resolve, fetch, unpack, configure in a sandbox, compose, trim, scrub, seal.
//!
//! Owns every process and byte of I/O of a build; refuses printing: it reports [`progress::Event`]s. Decisions that
//! need no I/O live in `debian`, `tree` and `image`.

pub mod base;
mod boot_packages;
pub mod build;
mod clusters;
pub mod compose;
pub mod configure;
pub mod fetch;
pub mod foreign;
pub mod mirror;
pub mod pack;
mod package_documents;
pub mod papers;
pub mod progress;
pub mod rebuild;
pub mod resolve;
pub mod sandbox;
pub mod seal;
pub mod unpack;
