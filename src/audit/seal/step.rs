//! One step of sealing, as a function: of what there is, what is to be written, or what is wrong.

use chrono::{DateTime, TimeDelta, Utc};

use super::merkle::{Edge, Hash, Tile};
use super::note::{Signers, TreeHead, Verifiers};
use crate::audit::health::Trouble;
use crate::audit::store::{After, Before, Pending, StoredCheckpoint, StoredHead, StoredTile};

/// Why nothing more is sealed. Nothing of it is ever repaired by the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Broken {
    /// Records and tree disagree.
    Tree(String),
    /// The tree has fewer leaves than it had, or others.
    RolledBack(String),
    /// A record holds what this version does not know; a newer one may.
    Unreadable(String),
}

/// Plans steps, one after the other.
pub(super) struct Planner {
    pub(super) signers: Signers,
    pub(super) verifiers: Verifiers,
    /// The least time between two checkpoints.
    pub(super) interval: TimeDelta,
    /// The newest tree head that this run has seen, or made.
    pub(super) seen: Option<TreeHead>,
}

/// A step that is to be written.
pub(super) struct Plan {
    pub(super) after: After,
    pub(super) head: TreeHead,
}

// === impl Broken ===

impl Broken {
    pub(super) fn trouble(&self) -> Trouble {
        let (code, text) = match self {
            Self::Tree(text) => ("seal_broken", text),
            Self::RolledBack(text) => ("seal_rolled_back", text),
            Self::Unreadable(text) => ("seal_unreadable", text),
        };
        Trouble::new(
            code,
            format!("{text}: records are kept as before, and nothing more is sealed"),
        )
    }
}

// === impl Planner ===

impl Planner {
    pub(super) fn new(signers: Signers, interval: TimeDelta) -> Self {
        Self {
            verifiers: signers.verifiers(),
            signers,
            interval,
            seen: None,
        }
    }

    /// What is to be written; `None` if nothing is. With `is_last`, a checkpoint is made whenever there is
    /// something that none has.
    pub(super) fn plan(&mut self, before: &Before, is_last: bool) -> Result<Option<Plan>, Broken> {
        let mut edge = self.trusted_edge(before)?;
        let checkpoint_size = self.trusted_checkpoint(before)?;
        let mut after = After::default();
        let mut full: Vec<Tile> = Vec::new();
        for pending in &before.pending {
            let hash = leaf_hash(pending)?;
            edge.push(hash, |tile| full.push(tile));
            after.leaves.push((pending.record_id, hash));
        }
        let head = TreeHead {
            size: edge.size(),
            root: edge.root(),
        };
        let is_due = head.size > checkpoint_size
            && (is_last || self.is_due(before.newest_checkpoint.as_ref(), before.now));
        if after.leaves.is_empty() && !is_due {
            self.seen = Some(head);
            return Ok(None);
        }
        let note = self.signers.sign(&head);
        if is_due {
            after.checkpoint = Some((head.size, note.clone()));
        }
        if !after.leaves.is_empty() {
            full.extend(edge.tiles());
            after.tiles = full;
            after.head = Some((head.size, head.root, note));
        }
        Ok(Some(Plan { after, head }))
    }

    fn is_due(&self, newest: Option<&StoredCheckpoint>, now: DateTime<Utc>) -> bool {
        newest.is_none_or(|newest| {
            let age = now - newest.made_at;
            // A clock that was set back must not silence us.
            age >= self.interval || age < TimeDelta::zero()
        })
    }

    /// The edge of the tree, if its head is ours, and the tiles lead to it.
    fn trusted_edge(&self, before: &Before) -> Result<Edge, Broken> {
        let head = self.trusted_head(&before.head)?;
        if let Some(seen) = &self.seen
            && (head.size < seen.size || (head.size == seen.size && head.root != seen.root))
        {
            let (was, is) = (seen.size, head.size);
            return Err(Broken::RolledBack(format!(
                "the tree has {is} leaves, and this run has seen one of {was} that it does not \
                 lead to: the database was rolled back. If it was restored from a backup, restart the \
                 gateway, or say so with `key-backup-gateway audit resume --after-restore`"
            )));
        }
        let tiles: Option<Vec<Tile>> = before.edge.iter().map(StoredTile::parsed).collect();
        let edge = tiles.and_then(|tiles| Edge::of(head.size, &tiles));
        match edge {
            Some(edge) if edge.root() == head.root => Ok(edge),
            Some(_) => Err(Broken::Tree(format!(
                "the tiles of the tree do not lead to its head of {} leaves",
                head.size
            ))),
            None => Err(Broken::Tree(format!(
                "a tile at the edge of the tree of {} leaves is missing or too short",
                head.size
            ))),
        }
    }

    /// The head that is stored, if we have signed it.
    fn trusted_head(&self, stored: &StoredHead) -> Result<TreeHead, Broken> {
        let Some(note) = &stored.note else {
            let empty = TreeHead {
                size: 0,
                root: super::merkle::empty_root(),
            };
            if stored.size == 0 && stored.root == empty.root {
                return Ok(empty);
            }
            let size = stored.size;
            return Err(Broken::Tree(format!(
                "the tree head of {size} leaves is not signed"
            )));
        };
        let head = self.verifiers.open(note).map_err(|invalid| {
            Broken::Tree(format!(
                "the note of the tree head cannot be trusted: {invalid}. A key that replaces another \
                 signs beside it first (`audit keygen --rotate`)"
            ))
        })?;
        if i64::try_from(head.size) != Ok(stored.size) || head.root[..] != stored.root[..] {
            return Err(Broken::Tree(format!(
                "the tree head says {} leaves, and its note says {}, or another root",
                stored.size, head.size
            )));
        }
        Ok(head)
    }

    /// How many leaves the newest checkpoint has; 0 if there is none.
    fn trusted_checkpoint(&self, before: &Before) -> Result<u64, Broken> {
        let Some(newest) = &before.newest_checkpoint else {
            return Ok(0);
        };
        let opened = self.verifiers.open(&newest.note).map_err(|invalid| {
            Broken::Tree(format!(
                "the newest checkpoint cannot be trusted: {invalid}"
            ))
        })?;
        if i64::try_from(opened.size) != Ok(newest.size) || newest.size > before.head.size {
            return Err(Broken::Tree(format!(
                "the newest checkpoint has {} leaves by its note, {} by its row, and the tree has {}",
                opened.size, newest.size, before.head.size
            )));
        }
        Ok(opened.size)
    }
}

fn leaf_hash(pending: &Pending) -> Result<Hash, Broken> {
    let id = pending.record_id;
    match pending.leaf {
        Some(Ok(hash)) => Ok(hash),
        Some(Err(column)) => Err(Broken::Unreadable(format!(
            "the record {id} holds a {column} that this version does not know"
        ))),
        None => Err(Broken::Tree(format!(
            "the record {id} waited to be sealed, and is gone"
        ))),
    }
}

#[cfg(test)]
mod tests;
