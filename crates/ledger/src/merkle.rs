//! The Merkle tree of RFC 6962: hashes, inclusion and consistency proofs, compact ranges. Pure, no I/O.

mod frontier;
mod hash;
mod proof;
mod range;

pub use frontier::Frontier;
pub use hash::{TreeHash, empty_root, leaf_hash, node_hash};
pub use proof::{MerkleError, PROOF_LIMIT, check_consistency, check_inclusion, root_of_inclusion};
pub use range::{Node, Range, consistency_ranges, fold, inclusion_ranges, roots};

/// Most leaves a tree may have. Stops sizes from a stranger at which the arithmetic of tiles would overflow.
pub const SIZE_LIMIT: u64 = 1 << 62;

#[cfg(test)]
pub(crate) mod tests;
