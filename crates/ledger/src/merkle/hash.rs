//! Hashes of leaves, nodes and roots.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::encoding::{from_base64, shown, to_base64};

/// The SHA-256 of a leaf, a node or a whole tree, as RFC 6962 section 2.1 has it. Written as base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash(pub [u8; 32]);

/// The text is not the base64 of 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tree hash: the base64 of 32 bytes is expected")]
pub struct HashSyntax(String);

/// The root of a tree without leaves: the hash of nothing.
pub fn empty_root() -> TreeHash {
    TreeHash(Sha256::digest(b"").into())
}

/// The hash of an entry. The prefix 0 keeps an entry from passing as a node.
pub fn leaf_hash(entry: &[u8]) -> TreeHash {
    TreeHash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of the node above two others.
pub fn node_hash(left: TreeHash, right: TreeHash) -> TreeHash {
    TreeHash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

impl FromStr for TreeHash {
    type Err = HashSyntax;

    fn from_str(text: &str) -> Result<Self, HashSyntax> {
        let bytes = from_base64(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| HashSyntax(shown(text)))
    }
}
