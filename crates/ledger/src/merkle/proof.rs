//! Checking proofs (RFC 9162 sections 2.1.3.2 and 2.1.4.2, which say how for the trees of RFC 6962).

use super::{SIZE_LIMIT, TreeHash, empty_root, node_hash};

/// Most hashes of a proof: one for each level of the largest tree. Stops a proof that never ends.
pub const PROOF_LIMIT: usize = 63;

/// A proof does not prove what it is said to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// The leaf is behind the end of the tree.
    #[error("a tree of {size} leaves has no leaf {index}")]
    NoSuchLeaf {
        /// The leaf, from 0.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// No log is that large.
    #[error("a tree of {0} leaves is larger than any log")]
    TooLarge(u64),
    /// The new tree is smaller than the old one.
    #[error("a tree of {new} leaves can not extend one of {old}")]
    Shrunk {
        /// Leaves of the old tree.
        old: u64,
        /// Leaves of the new tree.
        new: u64,
    },
    /// Hashes are missing or too many.
    #[error("the proof has {0} hashes, which is not what this tree needs")]
    Length(usize),
    /// The leaf is not in the tree.
    #[error("the proof does not lead to the root")]
    OtherRoot,
    /// The proof starts from another old tree.
    #[error("the proof does not begin at the old root")]
    OtherOldRoot,
}

/// The root that an inclusion proof leads to. `index` counts from 0.
pub fn root_of_inclusion(
    leaf: TreeHash,
    index: u64,
    size: u64,
    proof: &[TreeHash],
) -> Result<TreeHash, MerkleError> {
    if size > SIZE_LIMIT {
        return Err(MerkleError::TooLarge(size));
    }
    if index >= size {
        return Err(MerkleError::NoSuchLeaf { index, size });
    }
    let (mut place, mut last, mut root) = (index, size - 1, leaf);
    for &hash in proof {
        if last == 0 {
            return Err(MerkleError::Length(proof.len()));
        }
        if place & 1 == 1 || place == last {
            root = node_hash(hash, root);
            // At the right edge, levels without a sibling have no hash in the proof.
            let skipped = if place == 0 { 0 } else { place.trailing_zeros() };
            place >>= skipped;
            last >>= skipped;
        } else {
            root = node_hash(root, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(root) } else { Err(MerkleError::Length(proof.len())) }
}

/// Checks that the leaf is number `index` of the tree.
pub fn check_inclusion(
    leaf: TreeHash,
    index: u64,
    size: u64,
    proof: &[TreeHash],
    root: TreeHash,
) -> Result<(), MerkleError> {
    if root_of_inclusion(leaf, index, size, proof)? == root { Ok(()) } else { Err(MerkleError::OtherRoot) }
}

/// Checks that the first `old.0` leaves of the new tree are the old tree; each is given as size and root. Everything extends the
/// empty tree, and the proof of that is empty.
pub fn check_consistency(
    old: (u64, TreeHash),
    new: (u64, TreeHash),
    proof: &[TreeHash],
) -> Result<(), MerkleError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if new_size > SIZE_LIMIT {
        return Err(MerkleError::TooLarge(new_size));
    }
    if old_size > new_size {
        return Err(MerkleError::Shrunk { old: old_size, new: new_size });
    }
    if old_size == 0 && old_root != empty_root() {
        return Err(MerkleError::OtherOldRoot);
    }
    if old_size == new_size && old_root != new_root {
        return Err(MerkleError::OtherRoot);
    }
    let length = || MerkleError::Length(proof.len());
    if old_size == 0 || old_size == new_size {
        return if proof.is_empty() { Ok(()) } else { Err(length()) };
    }
    // A perfect old tree is a node of the new one, and its hash is known.
    let (seed, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        let (seed, rest) = proof.split_first().ok_or_else(length)?;
        (*seed, rest)
    };
    let start = (old_size - 1).trailing_ones();
    let (mut place, mut last) = ((old_size - 1) >> start, (new_size - 1) >> start);
    let (mut first, mut second) = (seed, seed);
    for &hash in rest {
        if last == 0 {
            return Err(length());
        }
        if place & 1 == 1 || place == last {
            first = node_hash(hash, first);
            second = node_hash(hash, second);
            let skipped = if place == 0 { 0 } else { place.trailing_zeros() };
            place >>= skipped;
            last >>= skipped;
        } else {
            second = node_hash(second, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        Err(length())
    } else if first != old_root {
        Err(MerkleError::OtherOldRoot)
    } else if second != new_root {
        Err(MerkleError::OtherRoot)
    } else {
        Ok(())
    }
}
