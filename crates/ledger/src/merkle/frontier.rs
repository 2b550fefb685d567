//! The compact range of a whole tree: the roots of its perfect subtrees, from left to right.

use super::{TreeHash, empty_root, node_hash};

/// What is needed to append to a tree and to know its root: at most 62 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One for each bit of `size`, the largest subtree first.
    nodes: Vec<TreeHash>,
}

impl Frontier {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, the largest first.
    pub fn nodes(&self) -> &[TreeHash] {
        &self.nodes
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        let (mut node, mut size) = (leaf, self.size);
        while size & 1 == 1 {
            let left = self.nodes.pop().expect("a node for each bit of the size");
            node = node_hash(left, node);
            size >>= 1;
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let nodes = self.nodes.iter().rev().copied();
        nodes.reduce(|right, left| node_hash(left, right)).unwrap_or_else(empty_root)
    }
}
