//! What a store promises of the tree over its records. No implementation lives here.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{BoxFuture, Error};
use crate::audit::record::Stored;
use crate::audit::seal::{Hash, Tile};

/// A record, or the column that holds what no version of this program has written.
pub type Readable = Result<Stored, &'static str>;

/// Leaf index and leaf hash of records.
pub type Places = HashMap<Uuid, (i64, Vec<u8>)>;

/// What decides about one step of sealing: of what there is makes what is to be written, or nothing.
pub type Step<'a> = dyn FnMut(Before) -> Option<After> + Send + 'a;

/// The tree over the records of a store. `tests/it/store.rs` holds every implementation to this:
///
/// 1. An id waits to be sealed if, and only if, its record was newly inserted, or was found by `adopt`.
/// 2. Of several that seal, one does at a time; the others are told so at once.
/// 3. What a step writes is there as a whole and durable, or not at all.
///
/// # Errors
///
/// As those of [`Store`](super::Store).
pub trait Tree: Send + Sync + 'static {
    /// Whether there is something to do.
    fn waiting(&self) -> BoxFuture<'_, Result<Waiting, Error>>;

    /// One step of sealing: locks the tree head, hands at most `limit` records that wait, and arrived after
    /// `beyond`, to `step`, and writes what it returns, in one transaction.
    fn seal<'a>(
        &'a self,
        limit: u32,
        beyond: i64,
        step: &'a mut Step<'_>,
    ) -> BoxFuture<'a, Result<Progress, Error>>;

    /// Looks at the `limit` records with the least ids beyond `after`, and puts those in line that are
    /// neither sealed nor wait for it.
    fn adopt(&self, after: Uuid, limit: u32) -> BoxFuture<'_, Result<Adopted, Error>>;

    /// The newest tree head.
    fn tree_head(&self) -> BoxFuture<'_, Result<StoredHead, Error>>;

    /// The leaves from `from` on, in order, with their records.
    fn leaves(&self, from: i64, limit: u32) -> BoxFuture<'_, Result<Vec<StoredLeaf>, Error>>;

    /// Which leaves the records are.
    fn leaves_of<'a>(&'a self, records: &'a [Uuid]) -> BoxFuture<'a, Result<Places, Error>>;

    /// The records that are not sealed, after the one that arrived as `after`, in the order of their arrival.
    fn unsealed(&self, after: i64, limit: u32) -> BoxFuture<'_, Result<Vec<Unsealed>, Error>>;

    /// Records that are neither sealed nor wait for it, as [`adopt`](Self::adopt) would find them.
    fn strays(&self, after: Uuid, limit: u32) -> BoxFuture<'_, Result<Strays, Error>>;

    /// Those of the tiles that there are.
    fn tiles<'a>(
        &'a self,
        wanted: &'a [(u8, u64)],
    ) -> BoxFuture<'a, Result<Vec<StoredTile>, Error>>;

    /// The tiles of one level from the index `from` on, in order.
    fn tiles_from(
        &self,
        level: u8,
        from: u64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredTile>, Error>>;

    /// The checkpoints of more than `beyond` leaves, the smallest first.
    fn checkpoints(
        &self,
        beyond: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredCheckpoint>, Error>>;

    /// The newest checkpoints, the newest first.
    fn newest_checkpoints(&self, limit: u32)
    -> BoxFuture<'_, Result<Vec<StoredCheckpoint>, Error>>;

    /// Notes that a checkpoint was lost in a restore, and which record says so.
    fn lose(&self, size: u64, root: Hash, record_id: Uuid) -> BoxFuture<'_, Result<(), Error>>;

    /// When it was last said that a checkpoint was lost in a restore, by the database's clock.
    fn newest_resume(&self) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, Error>>;

    /// The record that says that this checkpoint was lost in a restore.
    fn lost(&self, size: u64, root: Hash) -> BoxFuture<'_, Result<Option<Stored>, Error>>;
}

/// Whether there is something to seal, or to sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// A record waits to be sealed.
    pub is_pending: bool,
    /// How many leaves there are.
    pub size: u64,
    /// How many of them the newest checkpoint has.
    pub checkpoint_size: u64,
    /// How old that is by the database's clock, in seconds; 0 if there is none.
    pub checkpoint_age: f64,
}

/// What there is before a step.
#[derive(Clone, Debug)]
pub struct Before {
    /// The tree head.
    pub head: StoredHead,
    /// The tiles at the right edge of a tree of that size.
    pub edge: Vec<StoredTile>,
    /// What waits to be sealed, in the order of its arrival.
    pub pending: Vec<Pending>,
    /// The newest checkpoint.
    pub newest_checkpoint: Option<StoredCheckpoint>,
    /// What the database's clock says.
    pub now: DateTime<Utc>,
}

/// What a step writes.
#[derive(Clone, Debug, Default)]
pub struct After {
    /// The new leaves, which follow on those there are: all that was pending, in its order, or nothing.
    pub leaves: Vec<(Uuid, Hash)>,
    /// Tiles that are new, or have grown.
    pub tiles: Vec<Tile>,
    /// The new tree head: size, root, and the signed note.
    pub head: Option<(u64, Hash, String)>,
    /// A checkpoint to publish: size and signed note.
    pub checkpoint: Option<(u64, String)>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Somebody else seals just now.
    Busy,
    /// The step returned nothing, and nothing was written.
    Declined,
    /// What the step returned is durable.
    Written,
}

/// The tree head as it stands in the store: nothing of it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// How many leaves.
    pub size: i64,
    /// Their root hash.
    pub root: Vec<u8>,
    /// The same, signed.
    pub note: Option<String>,
}

/// A tile as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTile {
    /// See [`Tile::level`].
    pub level: u8,
    /// See [`Tile::index`].
    pub index: u64,
    /// One after the other.
    pub hashes: Vec<u8>,
}

/// A checkpoint as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// How many leaves.
    pub size: i64,
    /// The signed note.
    pub note: String,
    /// When, by the database's clock.
    pub made_at: DateTime<Utc>,
}

/// A leaf as it stands in the store.
#[derive(Clone, Debug)]
pub struct StoredLeaf {
    /// Its place in the tree.
    pub leaf_index: i64,
    /// Its record.
    pub record_id: Uuid,
    /// Its hash.
    pub leaf_hash: Vec<u8>,
    /// The record, if there is one.
    pub record: Option<Readable>,
}

/// A record that waits to be sealed.
#[derive(Clone, Debug)]
pub struct Unsealed {
    /// Its place in line.
    pub seq: i64,
    /// The record's id.
    pub record_id: Uuid,
    /// The record, if there is one.
    pub record: Option<Readable>,
}

/// What is about to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its place in line.
    pub seq: i64,
    /// The record's id.
    pub record_id: Uuid,
    /// Its leaf hash, or the column that no leaf can be made of; `None` if there is no such record.
    pub leaf: Option<Result<Hash, &'static str>>,
}

/// What [`Tree::adopt`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// How many were put in line.
    pub adopted: u64,
    /// Where to look on; `None` at the end.
    pub next: Option<Uuid>,
}

/// What [`Tree::strays`] found.
#[derive(Clone, Debug, Default)]
pub struct Strays {
    /// Those that nobody would seal.
    pub found: Vec<Stored>,
    /// Where to look on; `None` at the end.
    pub next: Option<Uuid>,
}

// === impl StoredTile ===

impl StoredTile {
    /// Its hashes; `None` if they are no hashes.
    #[must_use]
    pub fn parsed(&self) -> Option<Tile> {
        let (hashes, rest) = self.hashes.as_chunks::<32>();
        let is_whole = rest.is_empty() && !hashes.is_empty();
        is_whole.then(|| Tile {
            level: self.level,
            index: self.index,
            hashes: hashes.to_vec(),
        })
    }
}
