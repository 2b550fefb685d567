//! The calls that have no safe form: ioctls, and what happens between fork and exec.
//!
//! Every block of `unsafe` in Ampoule is in this folder.

pub mod devmapper;
pub mod ioctl;
pub mod spawn;
