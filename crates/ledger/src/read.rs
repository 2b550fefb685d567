//! Reading a log, from wherever its files are: tiles, entries, and the proofs that are made of them.
//!
//! Nothing that is read is believed: each answer leads to a root, and the caller compares it with a signed one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;

use crate::merkle::{Node, TreeHash, consistency_ranges, fold, inclusion_ranges, roots};
use crate::tile::{
    BUNDLE_LIMIT, BundleError, Edge, Level, TILE_LIMIT, TILE_WIDTH, Tile, TileLength, bundle_entries,
    perfect_root,
};

/// Where a log keeps its checkpoint, below its prefix.
pub const CHECKPOINT_PATH: &str = "checkpoint";
/// Tiles that are kept while one tree is read: 512 KiB.
const CACHE: usize = 64;

/// Whoever has the files of a log: a folder, or a client of an HTTP server.
pub trait ReadLog {
    /// The whole file at a path below the log's prefix; none when there is none. The implementer MUST stop with
    /// [`AccessError::TooLong`] when it has more than `limit` bytes, and MUST undo a compression of the transport within the
    /// same limit.
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, AccessError>;
}

/// A file of a log can not be had, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The disk or the network failed.
    #[error("`{path}` of the log can not be {action}")]
    Failed {
        /// Below the log's prefix.
        path: String,
        /// `read`, `written`.
        action: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A checkpoint promises it, and it is not there.
    #[error("the log has no `{path}`, which its checkpoint needs")]
    Missing {
        /// Below the log's prefix.
        path: String,
    },
    /// Longer than it can be.
    #[error("`{path}` of the log has more than {limit} bytes")]
    TooLong {
        /// Below the log's prefix.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// A tile of another length.
    #[error("`{path}` of the log is no tile")]
    Tile {
        /// Below the log's prefix.
        path: String,
        /// Why not.
        #[source]
        source: TileLength,
    },
    /// No entry bundle.
    #[error("`{path}` of the log is no entry bundle")]
    Bundle {
        /// Below the log's prefix.
        path: String,
        /// Why not.
        #[source]
        source: BundleError,
    },
}

/// The tree of a log at one size, as its tiles say it is.
pub struct Tree<'a> {
    log: &'a dyn ReadLog,
    size: u64,
    cache: RefCell<BTreeMap<Tile, Vec<TreeHash>>>,
}

impl<'a> Tree<'a> {
    /// The tree at `size`, which MUST be that of a checkpoint of the log: other sizes may have no tiles.
    pub fn new(log: &'a dyn ReadLog, size: u64) -> Self {
        Self { log, size, cache: RefCell::default() }
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of a tile.
    pub fn tile(&self, tile: Tile) -> Result<Vec<TreeHash>, AccessError> {
        if let Some(hashes) = self.cache.borrow().get(&tile) {
            return Ok(hashes.clone());
        }
        let (found, bytes) = read_tile(self.log, tile, TILE_LIMIT)?;
        let path = || found.to_string();
        let mut hashes = found.hashes(&bytes).map_err(|source| AccessError::Tile { path: path(), source })?;
        hashes.truncate(usize::from(tile.width()));
        let mut cache = self.cache.borrow_mut();
        if cache.len() == CACHE {
            // Any one: what a proof needs is far less.
            cache.pop_first();
        }
        cache.insert(tile, hashes.clone());
        Ok(hashes)
    }

    /// The root of a perfect subtree.
    pub fn node(&self, node: Node) -> Result<TreeHash, AccessError> {
        let (tile, hashes) = Tile::holding(node, self.size).expect("BUG: a node outside of its tree");
        Ok(perfect_root(&self.tile(tile)?[hashes]))
    }

    /// The right edge: what is needed to append.
    pub fn edge(&self) -> Result<Edge, AccessError> {
        let tiles = Edge::tiles(self.size).into_iter();
        let levels: Result<Vec<_>, _> =
            tiles.map(|tile| tile.map_or(Ok(Vec::new()), |tile| self.tile(tile))).collect();
        Ok(Edge::of(self.size, levels?).expect("BUG: tiles of other widths than were asked for"))
    }

    /// The root.
    pub fn root(&self) -> Result<TreeHash, AccessError> {
        Ok(self.edge()?.root())
    }

    /// The inclusion proof of an entry, which MUST be in the tree.
    pub fn inclusion(&self, index: u64) -> Result<Vec<TreeHash>, AccessError> {
        self.hashes(inclusion_ranges(index, self.size))
    }

    /// The consistency proof from a smaller tree, or one of the same size.
    pub fn consistency(&self, old: u64) -> Result<Vec<TreeHash>, AccessError> {
        self.hashes(consistency_ranges(old, self.size))
    }

    /// The root at a smaller size and the root now, from the same hashes: see [`roots`].
    pub fn roots(&self, old: u64) -> Result<(TreeHash, TreeHash), AccessError> {
        roots(old, self.size, &mut |node| self.node(node))
    }

    /// The place of the first entry with this hash.
    pub fn find(&self, leaf: TreeHash) -> Result<Option<u64>, AccessError> {
        for index in 0..self.size.div_ceil(TILE_WIDTH) {
            let tile = Tile::of(Level::Hashes(0), index, self.size).expect("within the tree");
            if let Some(at) = self.tile(tile)?.iter().position(|it| *it == leaf) {
                return Ok(Some(index * TILE_WIDTH + at as u64));
            }
        }
        Ok(None)
    }

    /// All entries of bundle number `index`, which MUST be in the tree: at most 256, and 16 MiB.
    pub fn entries(&self, index: u64) -> Result<Vec<Vec<u8>>, AccessError> {
        let tile = Tile::of(Level::Entries, index, self.size).expect("BUG: a bundle outside of its tree");
        let (found, bytes) = read_tile(self.log, tile, BUNDLE_LIMIT)?;
        let entries = bundle_entries(&bytes, found.width())
            .map_err(|source| AccessError::Bundle { path: found.to_string(), source })?;
        Ok(entries.into_iter().take(usize::from(tile.width())).map(<[u8]>::to_vec).collect())
    }

    fn hashes(&self, ranges: Vec<crate::merkle::Range>) -> Result<Vec<TreeHash>, AccessError> {
        ranges.into_iter().map(|range| fold(range, &mut |node| self.node(node))).collect()
    }
}

/// A tile, or the full one in its place: a log may remove a partial one once there is a full one.
fn read_tile(log: &dyn ReadLog, tile: Tile, limit: usize) -> Result<(Tile, Vec<u8>), AccessError> {
    let path = tile.to_string();
    if let Some(bytes) = log.read(&path, limit)? {
        return Ok((tile, bytes));
    }
    if !tile.is_full()
        && let Some(bytes) = log.read(&tile.full().to_string(), limit)?
    {
        return Ok((tile.full(), bytes));
    }
    Err(AccessError::Missing { path })
}
