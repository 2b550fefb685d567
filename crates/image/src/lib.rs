//! From a tree to what a machine boots: EROFS, verity, initrd, UKI, ESP, GPT disk and qcow2, and readers of them.
//!
//! Owns the bytes of these formats. Same input, same bytes: everything that other tools draw at random (UUIDs, salts,
//! volume ids, times) is an option here. Refuses the file system, the clock, randomness and the environment: data
//! moves through `Read`, `Write`, `Seek` and [`ReadAt`]. How many threads may work is an option as well and never
//! changes a byte.
//!
//! Readers take images from strangers: every count, size and depth they read is checked against a named limit.

pub mod cpio;
pub mod disk;
pub mod erofs;
pub mod esp;
pub mod gpt;
pub mod qcow2;
pub mod uki;
pub mod verity;

mod bytes;
mod checksum;
mod read_at;
mod uuid;

pub use read_at::{ReadAt, Section, SeekReadAt};
pub use uuid::{Uuid, UuidSyntax};
