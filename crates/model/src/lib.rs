//! The words of Ampoule as types: digests, names, the definition, settings and the control protocol.
//!
//! Owns the meaning of `appliance.toml` and every rule that can be checked without looking outside of it and the
//! files beside it. Refuses all I/O: texts come in as strings, files beside the definition through
//! [`Surroundings`], the time as a value.
//!
//! Depends on serde, a TOML parser that keeps source positions, a small regular expression engine, and the template
//! engine whose syntax the makers' templates are written in.

pub mod builtin;
pub mod check;
pub mod control;
pub mod definition;
pub mod describe;
pub mod digest;
pub mod parse;
pub mod problem;
pub mod reference;
mod relations;
pub mod scaffold;
pub mod seed;
pub mod settings;
pub mod size;
mod suggest;
mod syntax;
pub mod template;

pub use check::{Surroundings, check};
pub use definition::Definition;
pub use digest::Sha256Digest;
pub use parse::{Parsed, parse};
pub use problem::{Problem, render_problems};
pub use size::ByteSize;
