//! A trail, or a part of it, as a file that can be verified without the database.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::sealed::{Line, Prover, sealed_json};
use crate::audit::record::Stored;
use crate::audit::seal::TreeHead;
use crate::audit::store::{self, Places, Query, Readable, StoredCheckpoint, StoredLeaf, TreeStore};
use crate::audit::verify::{Exported, PROOF_FORMAT};

/// How many records are asked for at once.
const PAGE: u32 = 2000;
/// How many older checkpoints a manifest names.
const CHECKPOINTS: u32 = 1001;

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The output failed.
    #[error("the output could not be written")]
    Output(#[from] io::Error),
    /// What was asked for is not there, or not yet.
    #[error("{0}")]
    Unproved(String),
}

/// What is written where.
pub trait Sink {
    /// One record.
    ///
    /// # Errors
    ///
    /// If the output fails.
    fn line(&mut self, line: &Line<'_>) -> io::Result<()>;

    /// The manifest, at the end.
    ///
    /// # Errors
    ///
    /// If the output fails.
    fn end(&mut self, manifest: &str) -> io::Result<()>;
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    records: u64,
    sealed: u64,
}

/// Writes the whole trail in the order of its leaves, or, with a `filter`, what `query` lets through, newest first,
/// with a proof for each.
///
/// `exported_at` is what the manifest says, RFC 3339.
///
/// # Errors
///
/// If the store cannot be read, or the output fails.
pub async fn trail(
    store: &Arc<dyn TreeStore>,
    query: &Query,
    filter: Option<Value>,
    exported_at: &str,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let mut checkpoints = store.newest_checkpoints(CHECKPOINTS).await?.into_iter();
    let newest = checkpoints.next();
    let head = newest.as_ref().and_then(head);
    let mut writer = Writer {
        store,
        head,
        counts: Counts::default(),
        sink,
    };
    match &filter {
        None => writer.whole().await?,
        Some(_) => writer.part(query).await?,
    }
    let Writer { counts, sink, .. } = writer;
    let older: Vec<_> = checkpoints.map(|checkpoint| checkpoint.note).collect();
    let exported = Exported {
        exported_at,
        filter,
        records: counts.records,
        sealed: counts.sealed,
        complete_up_to: head.map_or(0, |head| head.size),
        checkpoint: newest.as_ref().map(|newest| newest.note.as_str()),
        checkpoints: &older,
    };
    Ok(sink.end(&exported.manifest())?)
}

/// The proof of the exchange `id`, or of the record of that id, as a JSON text.
///
/// # Errors
///
/// If there is none, or it is not sealed yet, or the store cannot be read.
pub async fn prove(store: &Arc<dyn TreeStore>, id: Uuid) -> Result<String, Error> {
    let newest = store.newest_checkpoints(1).await?.into_iter().next();
    let mut records = store.exchange(id).await?;
    if records.is_empty() {
        records = one(&**store, id).await?;
    }
    if records.is_empty() {
        return Err(Error::Unproved(format!(
            "the trail has no exchange and no record {id}"
        )));
    }
    let unsealed = || {
        Error::Unproved(format!(
            "{id} is not in a checkpoint yet: try again in some seconds. If that does not help, nothing is \
             sealed: /health/audit says why"
        ))
    };
    let newest = newest.ok_or_else(unsealed)?;
    let head = head(&newest)
        .ok_or_else(|| Error::Unproved("the newest checkpoint is malformed".to_owned()))?;
    let ids: Vec<_> = records.iter().map(|stored| stored.record.id).collect();
    let leaves = store.leaves_of(&ids).await?;
    let mut prover = Prover::new(Arc::clone(store), head);
    let indexes: Vec<_> = leaves.values().map(|leaf| leaf.0.unsigned_abs()).collect();
    prover.prepare(&indexes).await?;
    let mut lines = Vec::new();
    for stored in &records {
        let (index, hash) = leaves.get(&stored.record.id).ok_or_else(unsealed)?;
        let index = index.unsigned_abs();
        let line = Line {
            id: stored.record.id,
            stored: Some(stored),
            leaf: Some((index, hash)),
            inclusion: Some(prover.path(index).ok_or_else(unsealed)?),
        };
        lines.push(super::escaped_json(&sealed_json(&line)?));
    }
    let note = serde_json::to_string(&newest.note).map_err(io::Error::other)?;
    Ok(format!(
        "{{\"proof\":{{\"format\":\"{PROOF_FORMAT}\",\"checkpoint\":{note},\"records\":[\n{}\n]}}}}\n",
        lines.join(",\n")
    ))
}

/// The record `id` alone.
async fn one(store: &dyn TreeStore, id: Uuid) -> Result<Vec<Stored>, store::Error> {
    let query = Query {
        before: id.as_u128().checked_add(1).map(Uuid::from_u128),
        limit: 1,
        ..Query::default()
    };
    let mut found = store.page(&query).await?;
    found.retain(|stored| stored.record.id == id);
    Ok(found)
}

/// Size and root that a checkpoint says; its signature is the verifier's business.
fn head(checkpoint: &StoredCheckpoint) -> Option<TreeHead> {
    TreeHead::stated(&checkpoint.note)
}

struct Writer<'a> {
    store: &'a Arc<dyn TreeStore>,
    head: Option<TreeHead>,
    counts: Counts,
    sink: &'a mut dyn Sink,
}

// === impl Writer ===

impl Writer<'_> {
    async fn whole(&mut self) -> Result<(), Error> {
        let size = self.head.map_or(0, |head| head.size);
        let mut from = 0;
        let mut next = fetch(self.store, from);
        while from < size {
            let leaves = next
                .await
                .unwrap_or_else(|_| Err(store::Error::too_slow()))?;
            let Some(last) = leaves.last() else {
                break;
            };
            from = last.leaf_index.unsigned_abs() + 1;
            next = fetch(self.store, from);
            for leaf in leaves
                .iter()
                .filter(|leaf| leaf.leaf_index.unsigned_abs() < size)
            {
                self.leaf(leaf)?;
            }
        }
        self.uncovered(size).await?;
        self.waiting().await
    }

    /// Leaves that the checkpoint does not have.
    async fn uncovered(&mut self, size: u64) -> Result<(), Error> {
        let mut from = size;
        loop {
            let leaves = self.store.leaves(from.cast_signed(), PAGE).await?;
            let Some(last) = leaves.last() else {
                return Ok(());
            };
            from = last.leaf_index.unsigned_abs() + 1;
            for leaf in &leaves {
                if let Some(stored) = readable(leaf.record_id, leaf.record.as_ref())? {
                    self.unsealed(stored)?;
                }
            }
        }
    }

    /// Records that are not sealed.
    async fn waiting(&mut self) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let page = self.store.unsealed(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.seq;
            for unsealed in &page {
                if let Some(stored) = readable(unsealed.record_id, unsealed.record.as_ref())? {
                    self.unsealed(stored)?;
                }
            }
        }
    }

    async fn part(&mut self, query: &Query) -> Result<(), Error> {
        let mut query = Query {
            limit: PAGE,
            ..query.clone()
        };
        let mut prover = self
            .head
            .map(|head| Prover::new(Arc::clone(self.store), head));
        loop {
            let page = self.store.page(&query).await?;
            let ids: Vec<_> = page.iter().map(|stored| stored.record.id).collect();
            let leaves = self.store.leaves_of(&ids).await?;
            if let Some(prover) = &mut prover {
                let indexes: Vec<_> = leaves.values().map(|leaf| leaf.0.unsigned_abs()).collect();
                prover.prepare(&indexes).await?;
            }
            for stored in &page {
                self.proved(stored, &leaves, prover.as_ref())?;
            }
            query.before = page.last().map(|last| last.record.id);
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }

    fn proved(
        &mut self,
        stored: &Stored,
        leaves: &Places,
        prover: Option<&Prover>,
    ) -> Result<(), Error> {
        let leaf = prover
            .zip(leaves.get(&stored.record.id))
            .and_then(|(prover, leaf)| {
                let index = leaf.0.unsigned_abs();
                Some((index, leaf.1.as_slice(), prover.path(index)?))
            });
        let Some((index, hash, path)) = leaf else {
            return self.unsealed(stored);
        };
        self.write(&Line {
            id: stored.record.id,
            stored: Some(stored),
            leaf: Some((index, hash)),
            inclusion: Some(path),
        })
    }

    fn leaf(&mut self, leaf: &StoredLeaf) -> Result<(), Error> {
        self.write(&Line {
            id: leaf.record_id,
            stored: readable(leaf.record_id, leaf.record.as_ref())?,
            leaf: Some((leaf.leaf_index.unsigned_abs(), &leaf.leaf_hash)),
            inclusion: None,
        })
    }

    fn unsealed(&mut self, stored: &Stored) -> Result<(), Error> {
        self.write(&Line {
            id: stored.record.id,
            stored: Some(stored),
            leaf: None,
            inclusion: None,
        })
    }

    fn write(&mut self, line: &Line<'_>) -> Result<(), Error> {
        self.counts.records += 1;
        self.counts.sealed += u64::from(line.leaf.is_some());
        Ok(self.sink.line(line)?)
    }
}

type Fetched = tokio::task::JoinHandle<Result<Vec<StoredLeaf>, store::Error>>;

/// The next page comes while this one is written.
fn fetch(store: &Arc<dyn TreeStore>, from: u64) -> Fetched {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.leaves(from.cast_signed(), PAGE).await })
}

fn readable(id: Uuid, record: Option<&Readable>) -> Result<Option<&Stored>, store::Error> {
    match record {
        None => Ok(None),
        Some(Ok(stored)) => Ok(Some(stored)),
        Some(Err(column)) => Err(store::Error::Unreadable { id, column }),
    }
}
