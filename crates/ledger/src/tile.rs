//! Tiles and entry bundles: how the tree and its entries are cut into files (c2sp.org/tlog-tiles).
//!
//! Pure: coordinates, paths, and the bytes of both. Which files a log has follows from its size alone.

mod bundle;
mod edge;

use std::fmt;
use std::str::FromStr;

use crate::encoding::{decimal, shown};
use crate::merkle::{Node, TreeHash, fold};

pub use bundle::{BUNDLE_LIMIT, BundleError, ENTRY_LIMIT, bundle_bytes, bundle_entries};
pub use edge::Edge;

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree between two levels of tiles.
const TILE_HEIGHT: u32 = 8;
/// Bytes of a hash.
const HASH_LENGTH: usize = 32;
/// Bytes of a full tile. Nothing longer is read: stops a server from filling memory.
pub const TILE_LIMIT: usize = TILE_WIDTH as usize * HASH_LENGTH;
/// Levels that a tree of [`crate::merkle::SIZE_LIMIT`] leaves has.
const LEVELS: u8 = 8;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The entries themselves.
    Entries,
    /// Hashes, each of `256^level` leaves.
    Hashes(u8),
}

/// One file of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    level: Level,
    index: u64,
    /// 1 to 256.
    width: u16,
}

/// The text is no path of a tile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path of a tile")]
pub struct TilePathSyntax(String);

/// The bytes are no tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tile of {width} hashes can not have {length} bytes")]
pub struct TileLength {
    /// Hashes it should have.
    pub width: u16,
    /// Bytes it has.
    pub length: usize,
}

impl Level {
    /// How many of its hashes or entries a tree of `size` leaves has: a hash is only of a full tile.
    fn count(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => size >> (TILE_HEIGHT * u32::from(level)),
        }
    }
}

impl Tile {
    /// The tile with number `index` of a level, as wide as a tree of `size` leaves has it. None when it has none.
    pub fn of(level: Level, index: u64, size: u64) -> Option<Self> {
        if matches!(level, Level::Hashes(level) if level >= LEVELS) {
            return None;
        }
        let rest = level.count(size).checked_sub(index.checked_mul(TILE_WIDTH)?)?;
        let width = rest.min(TILE_WIDTH) as u16;
        (width > 0).then_some(Self { level, index, width })
    }

    /// The partial tile of a level. None when its last tile is full, or it has none.
    pub fn partial(level: Level, size: u64) -> Option<Self> {
        Self::of(level, level.count(size) / TILE_WIDTH, size)
    }

    /// All tiles and bundles of a tree of `size` leaves that one of `old` leaves does not have, entries first.
    pub fn new_between(old: u64, size: u64) -> impl Iterator<Item = Self> {
        let levels = std::iter::once(Level::Entries).chain((0..LEVELS).map(Level::Hashes));
        levels.flat_map(move |level| {
            (level.count(old) / TILE_WIDTH..=level.count(size) / TILE_WIDTH)
                .filter(move |_| level.count(old) < level.count(size))
                .filter_map(move |index| Self::of(level, index, size))
        })
    }

    /// The tile that has a node of the tree among its hashes or between them and its top, and which of its hashes are below
    /// the node. `size` leaves MUST be enough for the node.
    pub fn holding(node: Node, size: u64) -> Option<(Self, std::ops::Range<usize>)> {
        let level = node.level / TILE_HEIGHT;
        let above = node.level % TILE_HEIGHT;
        let first = node.index.checked_mul(1 << above)?;
        let tile = Self::of(Level::Hashes(level.try_into().ok()?), first / TILE_WIDTH, size)?;
        let start = (first % TILE_WIDTH) as usize;
        let end = start + (1 << above);
        (end <= usize::from(tile.width)).then_some((tile, start..end))
    }

    /// What it holds.
    pub fn level(self) -> Level {
        self.level
    }

    /// Its number in its level, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// Its hashes or entries: 1 to 256.
    pub fn width(self) -> u16 {
        self.width
    }

    /// Whether it never changes.
    pub fn is_full(self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// The full tile in the same place, which a log has once it grew enough, and which begins with this one.
    pub fn full(self) -> Self {
        Self { width: TILE_WIDTH as u16, ..self }
    }

    /// The folder that holds the narrower forms of a tile.
    pub fn partials(self) -> String {
        format!("{}.p", self.full())
    }

    /// Reads its hashes.
    pub fn hashes(self, bytes: &[u8]) -> Result<Vec<TreeHash>, TileLength> {
        if bytes.len() != usize::from(self.width) * HASH_LENGTH {
            return Err(TileLength { width: self.width, length: bytes.len() });
        }
        let hash = |bytes: &[u8]| TreeHash(bytes.try_into().expect("pieces of a hash's length"));
        Ok(bytes.chunks_exact(HASH_LENGTH).map(hash).collect())
    }
}

/// The bytes of a tile.
pub fn tile_bytes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The root of a perfect subtree from hashes in a tile; their number is a power of two.
pub(crate) fn perfect_root(hashes: &[TreeHash]) -> TreeHash {
    assert!(hashes.len().is_power_of_two(), "BUG: {} hashes are no perfect subtree", hashes.len());
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| crate::merkle::node_hash(pair[0], pair[1])).collect();
    }
    row[0]
}

/// The root of the part of a tree that lies in one tile, of any width.
pub(crate) fn part_root(hashes: &[TreeHash]) -> TreeHash {
    let range = crate::merkle::Range { start: 0, end: hashes.len() as u64 };
    let root = fold(range, &mut |node: Node| {
        let start = (node.index << node.level) as usize;
        Ok::<_, std::convert::Infallible>(perfect_root(&hashes[start..start + (1 << node.level)]))
    });
    match root {
        Ok(root) => root,
        Err(never) => match never {},
    }
}

/// The path below the log's prefix: `tile/0/x001/x234/067`, `tile/entries/000.p/12`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("tile/entries/")?,
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = TilePathSyntax;

    fn from_str(text: &str) -> Result<Self, TilePathSyntax> {
        let read = || {
            let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
            let level = match level {
                "entries" => Level::Entries,
                digits => Level::Hashes(decimal(digits).filter(|it| *it < u64::from(LEVELS))? as u8),
            };
            let (place, width) = match rest.split_once(".p/") {
                Some((place, width)) => {
                    (place, decimal(width).filter(|it| (1..TILE_WIDTH).contains(it))? as u16)
                }
                None => (rest, TILE_WIDTH as u16),
            };
            let mut index = 0u64;
            let mut groups = place.split('/').peekable();
            while let Some(group) = groups.next() {
                let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
                if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
            }
            let tile = Self { level, index, width };
            // There is one path for a tile: no groups of zeros in front.
            (tile.to_string() == text).then_some(tile)
        };
        if text.len() > 80 {
            return Err(TilePathSyntax(shown(text)));
        }
        read().ok_or_else(|| TilePathSyntax(shown(text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::tests::PlainTree;

    fn paths(size: u64) -> Vec<String> {
        Tile::new_between(0, size).map(|tile| tile.to_string()).collect()
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = Tile::of(Level::Hashes(0), 1_234_067, u64::MAX / 4).expect("exists");
        assert_eq!(tile.to_string(), "tile/0/x001/x234/067");
        assert_eq!(paths(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(paths(256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
    }

    #[test]
    fn a_tree_of_70_000_has_the_tiles_that_the_specification_counts() {
        let tiles: Vec<_> = Tile::new_between(0, 70_000).collect();
        let of = |level| tiles.iter().filter(move |tile| tile.level == level);
        assert_eq!(of(Level::Hashes(0)).filter(|tile| tile.is_full()).count(), 273);
        let partial: Vec<_> = tiles.iter().filter(|tile| !tile.is_full()).map(Tile::to_string).collect();
        assert_eq!(
            partial,
            ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
        );
        assert_eq!(of(Level::Hashes(1)).filter(|tile| tile.is_full()).count(), 1);
        assert_eq!(of(Level::Entries).count(), 274);
    }

    #[test]
    fn only_what_changes_is_new() {
        assert_eq!(
            Tile::new_between(3, 5).map(|it| it.to_string()).collect::<Vec<_>>(),
            ["tile/entries/000.p/5", "tile/0/000.p/5"]
        );
        assert_eq!(Tile::new_between(300, 300).count(), 0);
        assert_eq!(
            Tile::new_between(255, 257).map(|it| it.to_string()).collect::<Vec<_>>(),
            ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]
        );
    }

    #[test]
    fn other_paths_are_no_tiles() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/8/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/x001/x000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000/",
            "tile/0/../000",
            "tile/Entries/000",
            "/tile/0/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(path.parse::<Tile>().is_err(), "{path}");
        }
    }

    #[test]
    fn parts_of_tiles_have_the_roots_of_the_rfc() {
        let tree = PlainTree::of(256);
        for width in 1..=256 {
            assert_eq!(part_root(&tree.0[..width]), tree.root(width as u64), "{width}");
        }
    }

    proptest! {
        #[test]
        fn a_tile_reads_the_path_it_writes(size in 1u64..1 << 62, level in 0u8..8, part in any::<prop::sample::Index>()) {
            let count = Level::Hashes(level).count(size);
            prop_assume!(count > 0);
            let index = part.index((count.div_ceil(TILE_WIDTH)) as usize) as u64;
            let tile = Tile::of(Level::Hashes(level), index, size).expect("exists");
            prop_assert_eq!(tile.to_string().parse(), Ok(tile));
            let next = count.div_ceil(TILE_WIDTH);
            prop_assert_eq!(Tile::of(Level::Hashes(level), next, size), None);
        }

        #[test]
        fn any_text_is_a_tile_or_refused(text in "(tile/)?[a-z0-9/.x]{0,40}|.{0,100}") {
            if let Ok(tile) = text.parse::<Tile>() {
                prop_assert_eq!(tile.to_string(), text);
            }
        }
    }
}
