//! Which files a batch of entries makes. Pure.

use std::convert::Infallible;

use crate::merkle::leaf_hash;
use crate::tile::{Edge, Level, TILE_WIDTH, Tile, bundle_bytes, tile_bytes};

/// What a batch changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// New files in the order they are written: bundles, tiles.
    pub(super) files: Vec<(Tile, Vec<u8>)>,
    /// The tree afterwards.
    pub(super) edge: Edge,
    /// The partial bundle afterwards.
    pub(super) tail: Vec<u8>,
}

/// The files of a batch, which MUST be within its limits.
pub(super) fn plan<E: AsRef<[u8]>>(edge: &Edge, tail: &[u8], entries: &[E]) -> Plan {
    let (mut edge, mut tail) = (edge.clone(), tail.to_vec());
    let (mut bundles, mut tiles) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.as_ref();
        tail.extend(bundle_bytes([entry]));
        let Ok(()) = edge.push(leaf_hash(entry), &mut |tile, hashes| {
            tiles.push((tile, tile_bytes(&hashes)));
            Ok::<_, Infallible>(())
        });
        if edge.size() % TILE_WIDTH == 0 {
            let index = edge.size() / TILE_WIDTH - 1;
            let bundle = Tile::of(Level::Entries, index, edge.size()).expect("a bundle that just got full");
            bundles.push((bundle, std::mem::take(&mut tail)));
        }
    }
    let size = edge.size();
    if let Some(bundle) = Tile::of(Level::Entries, size / TILE_WIDTH, size) {
        bundles.push((bundle, tail.clone()));
    }
    // A higher level's partial tile is the same file as before unless a tile below got full.
    let before = size - entries.len() as u64;
    let is_new = |tile: Tile| Tile::new_between(before, size).any(|new| new == tile);
    let partials = edge.partials().filter(|(tile, _)| is_new(*tile));
    tiles.extend(partials.map(|(tile, hashes)| (tile, tile_bytes(hashes))));
    bundles.extend(tiles);
    Plan { files: bundles, edge, tail }
}

/// The tiles and bundles that were partial at size `old` and are full at `new`.
pub(super) fn filled(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let levels = std::iter::once(Level::Entries).chain((0..8).map(Level::Hashes));
    levels.filter_map(move |level| {
        let partial = Tile::partial(level, old)?;
        Tile::of(level, partial.index(), new).filter(|tile| tile.is_full())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_writes_bundles_before_tiles_and_only_what_is_new() {
        let entries: Vec<_> = (0..300u32).map(u32::to_be_bytes).collect();
        let first = plan(&Edge::new(), &[], &entries);
        let paths = |plan: &Plan| plan.files.iter().map(|(tile, _)| tile.to_string()).collect::<Vec<_>>();
        assert_eq!(
            paths(&first),
            ["tile/entries/000", "tile/entries/001.p/44", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"]
        );
        let second = plan(&first.edge, &first.tail, &[b"one"]);
        assert_eq!(paths(&second), ["tile/entries/001.p/45", "tile/0/001.p/45"]);
        // Many small batches lead to the same tree as a large one.
        let mut edge = (Edge::new(), Vec::new());
        for entry in &entries {
            let next = plan(&edge.0, &edge.1, &[entry]);
            edge = (next.edge, next.tail);
        }
        assert_eq!(edge, (first.edge, first.tail));
    }

    #[test]
    fn partial_tiles_are_superseded_once() {
        let paths = |old, new| filled(old, new).map(|tile| tile.partials()).collect::<Vec<_>>();
        assert_eq!(paths(0, 1000), Vec::<String>::new());
        assert_eq!(paths(200, 255), Vec::<String>::new());
        assert_eq!(paths(200, 256), ["tile/entries/000.p", "tile/0/000.p"]);
        assert_eq!(paths(256, 512), Vec::<String>::new());
        assert_eq!(paths(65_000, 66_000), ["tile/entries/253.p", "tile/0/253.p", "tile/1/000.p"]);
    }
}
