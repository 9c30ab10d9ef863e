//! A trail in its database.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use uuid::Uuid;

use super::check::Check;
use super::leaf::{Seen, Told};
use super::{Error, Finding, Progress, Report, outside};
use crate::audit::record::leaf::LeafHasher;
use crate::audit::seal::{Hash, TILE_WIDTH, Tile, TreeHead, Verifiers};
use crate::audit::store::{self, StoredHead, StoredLeaf, StoredTile, TreeStore};

/// How many leaves are asked for at once: whole tiles.
const PAGE: u32 = 4096;
/// How many checkpoints are asked for at once.
const CHECKPOINTS: u32 = 1000;
/// How many records are looked at at once that are not sealed.
const UNSEALED: u32 = 1000;

/// A walk along the leaves of a database.
struct Walk<'a> {
    store: &'a Arc<dyn TreeStore>,
    verifiers: &'a Verifiers,
    check: Check,
    /// How many leaves there must be.
    expected: u64,
    /// How many the tree head said there are.
    head_size: i64,
    /// The size of the newest checkpoint that was taken.
    taken: i64,
    /// The first tile above level 0 that is not what the leaves make it.
    tile: Option<Finding>,
}

/// A page of leaves, and the tiles of level 0 beside it.
struct Page {
    leaves: Vec<StoredLeaf>,
    tiles: Vec<StoredTile>,
}

/// Verifies the trail in `store`, by the keys `verifiers`; `outside` are notes from elsewhere, each with its place.
///
/// # Errors
///
/// If the store cannot be read, or nothing was ever signed.
///
/// # Panics
///
/// Outside of a Tokio runtime with several threads.
pub async fn database(
    store: Arc<dyn TreeStore>,
    verifiers: &Verifiers,
    outside: &[(String, String)],
    progress: &Progress<'_>,
) -> Result<Report, Error> {
    let head = store.tree_head().await?;
    let newest = store.newest_checkpoints(1).await?;
    if head.note.is_none() && newest.is_empty() && outside.is_empty() {
        return Err(Error::NoCheckpoint);
    }
    let mut check = Check::new(true);
    let signed_head = take_head(&mut check, &head, verifiers);
    for (place, text) in outside {
        outside::take(&mut check.marks, place, text, verifiers)?;
    }
    let newest = newest.first().and_then(|it| verifiers.open(&it.note).ok());
    let newest = newest.map_or(0, |head| head.size);
    let size = head.size.unsigned_abs();
    let mut walk = Walk {
        store: &store,
        verifiers,
        check,
        expected: size.max(newest),
        head_size: head.size,
        taken: 0,
        tile: None,
    };
    walk.run(progress).await?;
    let missing = walk.missing_by_tiles().await?;
    if walk.tile.is_none() {
        walk.tile = walk.surplus_tile().await?;
    }
    let of_head = match signed_head {
        Err(finding) => Some(finding),
        Ok(_) if size < newest => Some(Finding::new(
            "head_changed",
            format!("the tree head has {size} leaves, and a checkpoint has {newest}"),
        )),
        Ok(_) => walk.beyond_head().await?,
    };
    walk.unsealed().await?;
    let Walk {
        check,
        expected,
        tile,
        ..
    } = walk;
    Ok(check.finish([missing.or(tile), None, of_head], expected))
}

/// What is wrong with the tree head, if anything is.
fn take_head(
    check: &mut Check,
    head: &StoredHead,
    verifiers: &Verifiers,
) -> Result<Option<TreeHead>, Finding> {
    let Some(note) = &head.note else {
        if head.size == 0 && !head.root.is_empty() {
            return Ok(None);
        }
        return Err(Finding::new("head_changed", "the tree head is not signed"));
    };
    let signed = match verifiers.open(note) {
        Ok(signed) => signed,
        // Whose signature it is is said of checkpoints, too.
        Err(invalid) => {
            let _ = check.marks.add("the tree head", note, None, verifiers);
            let text = format!("the note of the tree head: {invalid}");
            return match check.marks.unsigned {
                Some(_) => Ok(None),
                None => Err(Finding::new("head_changed", text)),
            };
        }
    };
    if i64::try_from(signed.size) != Ok(head.size) || signed.root[..] != head.root[..] {
        let text = format!(
            "the tree head says {} leaves, and its signed note {}, or another root",
            head.size, signed.size
        );
        return Err(Finding::new("head_changed", text));
    }
    Ok(check.marks.add("the tree head", note, None, verifiers))
}

// === impl Walk ===

impl Walk<'_> {
    async fn run(&mut self, progress: &Progress<'_>) -> Result<(), Error> {
        let mut from = 0;
        let mut next = fetch(self.store, from);
        while from < self.expected {
            let page = next
                .await
                .unwrap_or_else(|_| Err(store::Error::too_slow()))?;
            let to = (from + u64::from(PAGE)).min(self.expected);
            // The next page comes while this one is hashed.
            next = fetch(self.store, to);
            self.take_checkpoints(to).await?;
            let full = self.page(from, to, &page);
            self.compare(full, false).await?;
            progress(to);
            from = to;
        }
        self.take_checkpoints(u64::MAX >> 1).await?;
        let edge = self.check.edge();
        self.compare(edge, true).await
    }

    /// The checkpoints of at most `size` leaves, and perhaps some more.
    async fn take_checkpoints(&mut self, size: u64) -> Result<(), Error> {
        while u64::try_from(self.taken).is_ok_and(|taken| taken <= size) {
            let page = self.store.checkpoints(self.taken, CHECKPOINTS).await?;
            for checkpoint in &page {
                let name = format!("the checkpoint of {} leaves", checkpoint.size);
                let stated = Some(checkpoint.size);
                let _ = self
                    .check
                    .marks
                    .add(&name, &checkpoint.note, stated, self.verifiers);
            }
            match page.last() {
                Some(last) => self.taken = last.size,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn page(&mut self, from: u64, to: u64, page: &Page) -> Vec<Tile> {
        let told = told(&page.leaves);
        let leaves = page.leaves.iter().zip(told);
        let mut leaves: HashMap<i64, _> = leaves
            .map(|(leaf, told)| (leaf.leaf_index, (leaf, told)))
            .collect();
        let tiles = page.tiles.iter().map(|tile| (tile.index, tile));
        let tiles: HashMap<u64, &StoredTile> = tiles.collect();
        // What stands after the hashes was made by no leaf.
        if let Some(tile) = page.tiles.iter().find(|tile| tile.hashes.len() % 32 != 0) {
            let text = format!(
                "the tile of level 0, index {} holds more than hashes",
                tile.index
            );
            self.tile.get_or_insert(Finding::new("tile_changed", text));
        }
        let mut full = Vec::new();
        for index in from..to {
            let tile = tiles.get(&(index / TILE_WIDTH as u64));
            let row = leaves.remove(&index.cast_signed());
            let has_row = row.is_some();
            let (record_id, row, record) = match row {
                Some((leaf, told)) => (
                    leaf.record_id,
                    leaf.leaf_hash.as_slice().try_into().ok(),
                    told,
                ),
                None => (Uuid::nil(), None, Told::Missing),
            };
            let seen = Seen {
                record_id,
                row,
                has_row,
                tile: tile.and_then(|tile| hash_at(tile, index)),
                record,
            };
            self.check.leaf(index, &seen, |tile| full.push(tile));
        }
        full
    }

    /// Whether the tiles that the leaves make are those that are stored. At the edge they may have grown.
    async fn compare(&mut self, tiles: Vec<Tile>, is_edge: bool) -> Result<(), Error> {
        if tiles.is_empty() || self.tile.is_some() || self.check.has_suspect() {
            return Ok(());
        }
        let wanted: Vec<_> = tiles.iter().map(|tile| (tile.level, tile.index)).collect();
        let stored = self.store.tiles(&wanted).await?;
        let has_grown = is_edge && self.has_grown().await?;
        for tile in tiles {
            let (level, index) = (tile.level, tile.index);
            let found = stored
                .iter()
                .find(|it| (it.level, it.index) == (level, index));
            let expected = tile.hashes.as_flattened();
            let is_same = found.is_some_and(|found| {
                found.hashes == expected || (has_grown && found.hashes.starts_with(expected))
            });
            if !is_same {
                let text = format!(
                    "the tile of level {level}, index {index} is not what the leaves make it"
                );
                self.tile.get_or_insert(Finding::new("tile_changed", text));
            }
        }
        Ok(())
    }

    /// Whether leaves were added while we read.
    async fn has_grown(&self) -> Result<bool, Error> {
        Ok(self.store.tree_head().await?.size > self.head_size)
    }

    /// Whether a tile of level 0 has more leaves than there are: then one is missing.
    async fn missing_by_tiles(&self) -> Result<Option<Finding>, Error> {
        let width = TILE_WIDTH as u64;
        let tiles = self.store.tiles_from(0, self.expected / width, 1).await?;
        let Some(tile) = tiles.first() else {
            return Ok(None);
        };
        let there = tile.index * width + tile.hashes.len() as u64 / 32;
        if there <= self.expected || self.has_grown().await? {
            return Ok(None);
        }
        let text = format!("a tile of level 0 has {there} leaves, and its row is missing");
        Ok(Some(Finding::at("leaf_missing", self.expected, None, text)))
    }

    /// Tiles that no leaf has made.
    async fn surplus_tile(&self) -> Result<Option<Finding>, Error> {
        for level in 0..8_u8 {
            let next = (self.expected >> (8 * level)).div_ceil(TILE_WIDTH as u64);
            let tiles = self.store.tiles_from(level, next, 1).await?;
            if let Some(tile) = tiles.first()
                && !self.has_grown().await?
            {
                let text = format!(
                    "no leaf has made the tile of level {level}, index {}",
                    tile.index
                );
                return Ok(Some(Finding::new("tile_changed", text)));
            }
        }
        Ok(None)
    }

    /// Leaves that the tree head knows nothing of. While we read it may have grown.
    async fn beyond_head(&self) -> Result<Option<Finding>, Error> {
        let first = self.store.leaves(i64::MIN, 1).await?;
        let beyond = self.store.leaves(self.expected.cast_signed(), 1).await?;
        let size = self.store.tree_head().await?.size;
        let odd = first.iter().chain(&beyond);
        let odd = odd
            .map(|leaf| leaf.leaf_index)
            .find(|index| !(0..size).contains(index));
        Ok(odd.map(|index| {
            let text = format!("there is a leaf {index}, and the tree head says {size} leaves");
            Finding::new("head_changed", text)
        }))
    }

    async fn unsealed(&mut self) -> Result<(), Error> {
        let mut hasher = LeafHasher::new();
        let mut after = i64::MIN;
        loop {
            let page = self.store.unsealed(after, UNSEALED).await?;
            for unsealed in &page {
                let told = Told::of(unsealed.record.as_ref(), &mut hasher);
                self.check.unsealed(unsealed.record_id, &told);
            }
            match page.last() {
                Some(last) => after = last.seq,
                None => break,
            }
        }
        // Nobody put these in line: they were written round the gateway, or by one that does not seal.
        let mut after = Uuid::nil();
        loop {
            let strays = self.store.strays(after, 10 * UNSEALED).await?;
            for stray in strays.found {
                let id = stray.record.id;
                let told = Told::of(Some(&Ok(stray)), &mut hasher);
                self.check.unsealed(id, &told);
            }
            match strays.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

type Fetched = tokio::task::JoinHandle<Result<Page, store::Error>>;

fn fetch(store: &Arc<dyn TreeStore>, from: u64) -> Fetched {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let tiles = PAGE / u32::try_from(TILE_WIDTH).unwrap_or(PAGE);
        let leaves = store.leaves(from.cast_signed(), PAGE).await?;
        let tiles = store.tiles_from(0, from / TILE_WIDTH as u64, tiles).await?;
        Ok(Page { leaves, tiles })
    })
}

/// What the records say, by all cores.
fn told(leaves: &[StoredLeaf]) -> Vec<Told> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = leaves.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let shares: Vec<_> = leaves
            .chunks(share)
            .map(|leaves| {
                scope.spawn(move || {
                    let mut hasher = LeafHasher::new();
                    let told = leaves
                        .iter()
                        .map(|leaf| Told::of(leaf.record.as_ref(), &mut hasher));
                    told.collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = shares.into_iter().map(|share| {
            // A panic in there is ours, and must look like one out here.
            share
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    })
}

fn hash_at(tile: &StoredTile, index: u64) -> Option<Hash> {
    let (hashes, _) = tile.hashes.as_chunks::<32>();
    let at = usize::try_from(index % TILE_WIDTH as u64).ok()?;
    hashes.get(at).copied()
}
