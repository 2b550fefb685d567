//! The calls that have no safe form: ioctls, namespaces, signals, and what happens between fork and exec.
//!
//! Every block of `unsafe` in Ampoule is in this folder.

pub mod addresses;
pub mod cached;
pub mod devmapper;
pub mod ioctl;
pub mod namespace;
pub mod nftables;
pub mod signal;
pub mod spawn;
