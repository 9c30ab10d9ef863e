//! Proofs made of tiles, and their verification: `tlog_tiles` does both.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tlog_tiles::tlog::{self, HashReader};

use super::merkle::{Hash, TILE_WIDTH, Tile, root_over};

/// Level and index of a tile.
pub(in crate::audit) type TileId = (u8, u64);

/// Some tiles of a tree.
#[derive(Clone, Debug, Default)]
pub(in crate::audit) struct Tiles(BTreeMap<TileId, Vec<Hash>>);

/// Takes down what is asked for, and knows nothing.
#[derive(Default)]
struct Asked(RefCell<BTreeSet<TileId>>);

/// Which tiles the inclusion proof of the leaf `index` in the tree of `size` leaves is made of.
pub(in crate::audit) fn wanted_for_inclusion(size: u64, index: u64) -> BTreeSet<TileId> {
    let asked = Asked::default();
    // What it makes of nothing does not matter.
    drop(tlog::prove_record(size, index, &asked));
    asked.0.into_inner()
}

/// Which tiles the root of the first `size` leaves is made of.
pub(in crate::audit) fn wanted_for_root(size: u64) -> BTreeSet<TileId> {
    let asked = Asked::default();
    drop(tlog::tree_hash(size, &asked));
    asked.0.into_inner()
}

/// The RFC 6962 audit path of the leaf `index` in the tree of `size` leaves, the nearest sibling first;
/// `None` if there is no such leaf, or a tile is missing.
pub(in crate::audit) fn inclusion(size: u64, index: u64, tiles: &Tiles) -> Option<Vec<Hash>> {
    let path = tlog::prove_record(size, index, tiles).ok()?;
    Some(path.into_iter().map(|hash| hash.0).collect())
}

/// The root hash of the first `size` leaves; `None` if a tile is missing.
pub(in crate::audit) fn root_at(size: u64, tiles: &Tiles) -> Option<Hash> {
    tlog::tree_hash(size, tiles).ok().map(|hash| hash.0)
}

/// Whether `path` leads from the leaf `index` to the root of the tree of `size` leaves.
pub(in crate::audit) fn includes(
    path: &[Hash],
    size: u64,
    root: &Hash,
    index: u64,
    leaf: &Hash,
) -> bool {
    let path = path.iter().map(|hash| tlog::Hash(*hash)).collect();
    index < size
        && tlog::check_record(&path, size, tlog::Hash(*root), index, tlog::Hash(*leaf)).is_ok()
}

/// The tile that a hash of the tree can be computed of, and where in it its leaves begin and end.
fn place(stored: u64) -> (TileId, std::ops::Range<usize>) {
    let (level, number) = tlog::split_stored_hash_index(stored);
    // A tile of level L has the hashes of the levels 8·L to 8·L+7 of the tree.
    let (tile_level, height) = (level / 8, level % 8);
    let first = number << height;
    let at = usize::try_from(first % TILE_WIDTH as u64).unwrap_or_default();
    let id = (tile_level, first / TILE_WIDTH as u64);
    (id, at..at + (1 << height))
}

// === impl Tiles ===

impl Tiles {
    pub(in crate::audit) fn insert(&mut self, tile: Tile) {
        self.0.insert((tile.level, tile.index), tile.hashes);
    }

    pub(in crate::audit) fn has(&self, id: TileId) -> bool {
        self.0.contains_key(&id)
    }

    pub(in crate::audit) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::audit) fn clear(&mut self) {
        self.0.clear();
    }
}

impl FromIterator<Tile> for Tiles {
    fn from_iter<I: IntoIterator<Item = Tile>>(tiles: I) -> Self {
        let mut all = Self::default();
        for tile in tiles {
            all.insert(tile);
        }
        all
    }
}

impl HashReader for Tiles {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let hash = |stored: &u64| {
            let (id, range) = place(*stored);
            let hashes = self.0.get(&id).and_then(|hashes| hashes.get(range));
            let hash = hashes.and_then(root_over).map(tlog::Hash);
            hash.ok_or(tlog::Error::IndexesNotInTree)
        };
        indexes.iter().map(hash).collect()
    }
}

impl HashReader for Asked {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let ids = indexes.iter().map(|stored| place(*stored).0);
        self.0.borrow_mut().extend(ids);
        Ok(vec![tlog::EMPTY_HASH; indexes.len()])
    }
}
