//! The right edge of a tree as tiles: what is needed to append, and what is new after it.

use super::{Level, TILE_WIDTH, Tile, part_root, perfect_root};
use crate::merkle::{TreeHash, empty_root, node_hash};

/// The partial tile of each level. At most 8 levels of 255 hashes, about 64 KiB, for any tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<TreeHash>>,
}

impl Edge {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` leaves from its partial tiles, lowest level first. None when their widths are not those of
    /// that size. The caller MUST compare [`Edge::root`] with a root it trusts.
    pub fn of(size: u64, levels: Vec<Vec<TreeHash>>) -> Option<Self> {
        let fits = |(level, hashes): (usize, &Vec<TreeHash>)| {
            let level = Level::Hashes(level.try_into().unwrap_or(u8::MAX));
            level.count(size) % TILE_WIDTH == hashes.len() as u64
        };
        let is_whole = Level::Hashes(levels.len() as u8).count(size) == 0;
        (levels.len() <= 8 && is_whole && levels.iter().enumerate().all(fits))
            .then_some(Self { size, levels })
    }

    /// The partial tiles that [`Edge::of`] needs, lowest level first; none where the level has no partial one.
    pub fn tiles(size: u64) -> Vec<Option<Tile>> {
        let levels = (0..8).map(Level::Hashes).take_while(|level| level.count(size) > 0);
        levels
            .map(|level| Tile::of(level, level.count(size) / TILE_WIDTH, size).filter(|tile| !tile.is_full()))
            .collect()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let parts = self.levels.iter().filter(|hashes| !hashes.is_empty());
        // Nodes of one level lie to the right of those above.
        let joined = parts.fold(None, |right, hashes| match right {
            None => Some(part_root(hashes)),
            Some(right) => Some(joined(hashes, right)),
        });
        joined.unwrap_or_else(empty_root)
    }

    /// Appends a leaf. Hands out each tile that is full now; its hashes are not kept.
    pub fn push<E>(
        &mut self,
        leaf: TreeHash,
        full: &mut impl FnMut(Tile, Vec<TreeHash>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut hash = leaf;
        self.size += 1;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            if (self.levels[level].len() as u64) < TILE_WIDTH {
                return Ok(());
            }
            let hashes = std::mem::take(&mut self.levels[level]);
            hash = perfect_root(&hashes);
            let level = Level::Hashes(level as u8);
            let tile = Tile::of(level, level.count(self.size) / TILE_WIDTH - 1, self.size);
            full(tile.expect("a level that just got full"), hashes)?;
        }
        unreachable!("BUG: a tree of more than 2^64 leaves")
    }

    /// The partial tiles, lowest level first.
    pub fn partials(&self) -> impl Iterator<Item = (Tile, &[TreeHash])> {
        let tiles = Self::tiles(self.size);
        tiles.into_iter().zip(&self.levels).filter_map(|(tile, hashes)| Some((tile?, hashes.as_slice())))
    }
}

/// The root of hashes of one level and, to the right of them, a smaller tree.
fn joined(hashes: &[TreeHash], right: TreeHash) -> TreeHash {
    let range = crate::merkle::Range { start: 0, end: hashes.len() as u64 };
    range.nodes().into_iter().rev().fold(right, |right, node| {
        let start = (node.index << node.level) as usize;
        node_hash(perfect_root(&hashes[start..start + (1 << node.level)]), right)
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::merkle::tests::PlainTree;
    use crate::merkle::{Frontier, leaf_hash};

    #[test]
    fn the_edge_has_the_root_of_the_tree_at_every_size() {
        let tree = PlainTree::of(1_100);
        let (mut edge, mut frontier) = (Edge::new(), Frontier::new());
        for size in 0..=1_100 {
            assert_eq!(edge.root(), frontier.root(), "{size}");
            if size % 97 == 0 {
                assert_eq!(edge.root(), tree.root(size), "{size}");
            }
            let levels = edge.levels.clone();
            if size > 0 {
                assert_eq!(Edge::of(size, levels).as_ref(), Some(&edge), "{size}");
            }
            if let Some(leaf) = tree.0.get(size as usize) {
                frontier.push(*leaf);
                let Ok(()) = edge.push(*leaf, &mut |tile, hashes| {
                    assert!(tile.is_full() && hashes.len() == 256);
                    Ok::<_, Infallible>(())
                });
            }
        }
    }

    #[test]
    fn full_and_partial_tiles_are_those_of_the_size() {
        let (mut edge, mut full) = (Edge::new(), Vec::new());
        for leaf in 0..70_000u32 {
            let Ok(()) = edge.push(leaf_hash(&leaf.to_be_bytes()), &mut |tile, _| {
                full.push(tile);
                Ok::<_, Infallible>(())
            });
        }
        full.extend(edge.partials().map(|(tile, _)| tile));
        full.sort();
        let mut expected: Vec<_> =
            Tile::new_between(0, 70_000).filter(|tile| tile.level() != Level::Entries).collect();
        expected.sort();
        assert_eq!(full, expected);
    }

    #[test]
    fn tiles_of_another_size_are_no_edge() {
        let hashes = |count: usize| vec![leaf_hash(b"x"); count];
        assert!(Edge::of(5, vec![hashes(5)]).is_some());
        assert!(Edge::of(5, vec![hashes(4)]).is_none());
        assert!(Edge::of(256, vec![hashes(0)]).is_none());
        assert!(Edge::of(256, vec![hashes(0), hashes(1)]).is_some());
        assert!(Edge::of(0, vec![]).is_some());
    }
}
