//! Which nodes of the tree a proof is made of.

use super::{TreeHash, empty_root, node_hash};

/// The root of a perfect subtree: of the leaves `index << level` up to `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Height above the leaves.
    pub level: u32,
    /// Which one of its level, from the left.
    pub index: u64,
}

/// The leaves from `start` up to `end`, which is not among them. Only ranges that are a subtree of some tree are made here, so
/// that `start` is a multiple of every power of two in its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First leaf.
    pub start: u64,
    /// One behind the last leaf.
    pub end: u64,
}

impl Range {
    /// The perfect subtrees that make up the range, from left to right.
    pub fn nodes(self) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut start = self.start;
        while start < self.end {
            let level = (self.end - start).ilog2();
            nodes.push(Node { level, index: start >> level });
            start += 1 << level;
        }
        nodes
    }

    /// Where RFC 6962 splits it: the largest power of two smaller than its length, which MUST be at least 2.
    fn split(self) -> (Self, Self) {
        let middle = self.start + (1 << (self.end - self.start - 1).ilog2());
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }
}

/// The hash of a range, from the hashes of its nodes.
pub fn fold<E>(range: Range, node: &mut impl FnMut(Node) -> Result<TreeHash, E>) -> Result<TreeHash, E> {
    let mut hash = None;
    for part in range.nodes().into_iter().rev() {
        let left = node(part)?;
        hash = Some(hash.map_or(left, |right| node_hash(left, right)));
    }
    Ok(hash.unwrap_or_else(empty_root))
}

/// The ranges of an inclusion proof, from the leaf's sibling to the root's child (RFC 6962 section 2.1.1). `index` MUST be
/// smaller than `size`.
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range> {
    assert!(index < size, "BUG: leaf {index} of a tree of {size}");
    let (mut ranges, mut rest) = (Vec::new(), Range { start: 0, end: size });
    while rest.end - rest.start > 1 {
        let (left, right) = rest.split();
        let (with, without) = if index < left.end { (left, right) } else { (right, left) };
        ranges.push(without);
        rest = with;
    }
    ranges.reverse();
    ranges
}

/// The ranges of a consistency proof (RFC 6962 section 2.1.2). None when there is nothing to prove: from an empty tree, or to the
/// same size. `old` MUST NOT be larger than `new`.
pub fn consistency_ranges(old: u64, new: u64) -> Vec<Range> {
    assert!(old <= new, "BUG: from {old} leaves to {new}");
    let (mut ranges, mut rest, mut is_old_root) = (Vec::new(), Range { start: 0, end: new }, true);
    if old == 0 {
        return ranges;
    }
    while old != rest.end {
        let (left, right) = rest.split();
        if old <= left.end {
            ranges.push(right);
            rest = left;
        } else {
            ranges.push(left);
            rest = right;
            is_old_root = false;
        }
    }
    // The old root itself is known to whoever checks.
    if !is_old_root {
        ranges.push(rest);
    }
    ranges.reverse();
    ranges
}

/// The root of the first `old` leaves and the root of all `new` leaves, both from the same nodes. When the second is the one a
/// log signed, the first is what the tree had at that size, whoever hands out the nodes.
pub fn roots<E>(
    old: u64,
    new: u64,
    node: &mut impl FnMut(Node) -> Result<TreeHash, E>,
) -> Result<(TreeHash, TreeHash), E> {
    assert!(old <= new, "BUG: from {old} leaves to {new}");
    if old == 0 {
        return Ok((empty_root(), fold(Range { start: 0, end: new }, node)?));
    }
    let (mut beside, mut rest) = (Vec::new(), Range { start: 0, end: new });
    while old != rest.end {
        let (left, right) = rest.split();
        let is_left = old > left.end;
        let (with, without) = if is_left { (right, left) } else { (left, right) };
        beside.push((is_left, fold(without, node)?));
        rest = with;
    }
    let both = fold(rest, node)?;
    let (mut first, mut second) = (both, both);
    for (is_left, hash) in beside.into_iter().rev() {
        if is_left {
            first = node_hash(hash, first);
            second = node_hash(hash, second);
        } else {
            second = node_hash(second, hash);
        }
    }
    Ok((first, second))
}
