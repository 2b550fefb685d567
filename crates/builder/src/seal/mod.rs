//! From the composed tree to the release folder.

pub mod modules;
