//! RFC 6962 hashing, and the right edge of a tree: all that is needed to make it grow.
//!
//! The tree is kept as tiles of height 8 (C2SP tlog-tiles): the tile of level L and index N holds the
//! hashes of the complete subtrees of 256^L leaves with the numbers 256·N and on, at most 256 of them.
//!
//! <https://www.rfc-editor.org/rfc/rfc6962#section-2.1>, <https://c2sp.org/tlog-tiles>

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// How many hashes a tile has when it is full.
pub const TILE_WIDTH: usize = 256;

/// Some hashes of one level, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its hashes are those of subtrees of 256^level leaves.
    pub level: u8,
    /// The first of them is number 256 · index of its level.
    pub index: u64,
    /// At most [`TILE_WIDTH`].
    pub hashes: Vec<Hash>,
}

/// The tiles at the right edge of a tree, which are not full: for each level the hashes in it. Whoever
/// has them can make the tree grow, and knows its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    levels: Vec<Vec<Hash>>,
    size: u64,
}

/// > The hash of a list with one entry (also known as a leaf hash) is: MTH({d(0)}) = SHA-256(0x00 || d(0)).
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    let hash = Sha256::new_with_prefix([0]).chain_update(bytes);
    hash.finalize().into()
}

/// > MTH(D\[n\]) = SHA-256(0x01 || MTH(D\[0:k\]) || MTH(D\[k:n\]))
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let hash = Sha256::new_with_prefix([1]).chain_update(left);
    hash.chain_update(right).finalize().into()
}

/// > The hash of an empty list is the hash of an empty string: MTH({}) = SHA-256().
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over `hashes`, which are those of subtrees of one size, but for the last, which may be
/// smaller; `None` over nothing.
#[must_use]
pub fn root_over(hashes: &[Hash]) -> Option<Hash> {
    // The roots of complete subtrees, the largest first.
    let mut roots: Vec<Hash> = Vec::with_capacity(16);
    for (count, hash) in hashes.iter().enumerate() {
        let mut hash = *hash;
        for _ in 0..count.trailing_ones() {
            let left = roots.pop()?;
            hash = node_hash(&left, &hash);
        }
        roots.push(hash);
    }
    roots
        .into_iter()
        .rev()
        .reduce(|right, left| node_hash(&left, &right))
}

// === impl Edge ===

impl Edge {
    /// The edge of a tree of `size` leaves, of the tiles that [`Edge::wanted`] names; `None` if one of them is
    /// missing or too short. What is in a tile beyond that size is left out.
    #[must_use]
    pub fn of(size: u64, tiles: &[Tile]) -> Option<Self> {
        let mut levels = Vec::new();
        for (level, index, width) in parts(size) {
            let tile = tiles
                .iter()
                .find(|it| (it.level, it.index) == (level, index));
            levels.push(match tile {
                _ if width == 0 => Vec::new(),
                Some(tile) => tile.hashes.get(..width)?.to_vec(),
                None => return None,
            });
        }
        Some(Self { levels, size })
    }

    /// Level and index of the tiles at the right edge of a tree of `size` leaves.
    #[must_use]
    pub fn wanted(size: u64) -> Vec<(u8, u64)> {
        let parts = parts(size).filter(|(_, _, width)| *width > 0);
        parts.map(|(level, index, _)| (level, index)).collect()
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. A tile that is full by it is handed to `full`, and belongs to the edge no more.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile)) {
        let mut hash = leaf;
        let mut number = self.size;
        self.size += 1;
        for level in 0_u8.. {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::with_capacity(TILE_WIDTH));
            }
            let hashes = &mut self.levels[at];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::replace(hashes, Vec::with_capacity(TILE_WIDTH));
            let Some(above) = root_over(&hashes) else {
                return;
            };
            number /= TILE_WIDTH as u64;
            full(Tile {
                level,
                index: number,
                hashes,
            });
            hash = above;
        }
    }

    /// The root hash.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut below: Option<Hash> = None;
        for hashes in &self.levels {
            below = match below {
                None => root_over(hashes),
                Some(below) if hashes.is_empty() => Some(below),
                Some(below) => root_over(&[&hashes[..], &[below]].concat()),
            };
        }
        below.unwrap_or_else(empty_root)
    }

    /// The tiles at the edge that hold something.
    #[must_use]
    pub fn tiles(&self) -> Vec<Tile> {
        let parts = parts(self.size).filter(|(_, _, width)| *width > 0);
        parts
            .map(|(level, index, _)| Tile {
                level,
                index,
                hashes: self.levels[usize::from(level)].clone(),
            })
            .collect()
    }
}

/// For each level of a tree of `size` leaves: the tile that is not full, and how many hashes it has.
fn parts(size: u64) -> impl Iterator<Item = (u8, u64, usize)> {
    let levels = (0_u8..8).take_while(move |level| size >> (8 * level) > 0);
    levels.map(move |level| {
        let count = size >> (8 * level);
        let width = usize::try_from(count % 256).unwrap_or_default();
        (level, count / 256, width)
    })
}

#[cfg(test)]
mod tests;
