//! A transparency log in the formats of C2SP: what was published is public, and nobody can take it back or show two truths.
//!
//! Owns notes, the Merkle tree and its tiles, checkpoints, proofs, policies, the log on plain files, witnesses and the monitor.
//! Refuses the clock, randomness and the network: time and keys come in as values, bytes come and go through [`read::ReadLog`],
//! [`store::Store`] and [`witness::client::Transport`]. [`folder`] is the one implementation on files. All formats are in
//! `docs/LEDGER.md`.
//!
//! Laws, each with tests:
//! 1. A log never signs two checkpoints of which one does not extend the other, whatever crashes.
//! 2. What a checkpoint promises is on disk before the checkpoint is signed.
//! 3. A proof is only good with the log's signature and the quorum of its policy.
//! 4. A witness never signs a tree that does not extend the last one it signed, and remembers before it answers.
//! 5. A monitor hands out an entry only after it is bound to a root the log signed.

pub mod checkpoint;
mod encoding;
pub mod enter;
pub mod folder;
#[cfg(feature = "http")]
pub mod http;
pub mod locks;
pub mod log;
pub mod merkle;
pub mod monitor;
pub mod note;
pub mod policy;
pub mod proof;
pub mod read;
pub mod record;
pub mod store;
pub mod tile;
pub mod watch;
pub mod witness;
