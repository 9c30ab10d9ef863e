//! A trail, or a part of it, as a file that can be verified without the database.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::sealed::{Line, Prover};
use crate::audit::record::Stored;
use crate::audit::seal::TreeHead;
use crate::audit::store::{self, Places, Query, Readable, StoredCheckpoint, StoredLeaf, TreeStore};
use crate::audit::verify::Exported;

/// How many records are asked for at once.
const PAGE: u32 = 2000;
/// How many lines there are at most between two pauses of a [`Sink`].
const PAUSE: u64 = 64;
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

    /// Between lines, after at most 64 of them: a sink that must wait until somebody has taken what it has does it
    /// here.
    ///
    /// # Errors
    ///
    /// If the output fails.
    fn pause(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }

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
    sink: &mut impl Sink,
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

/// Size and root that a checkpoint says; its signature is the verifier's business.
pub(super) fn head(checkpoint: &StoredCheckpoint) -> Option<TreeHead> {
    TreeHead::stated(&checkpoint.note)
}

struct Writer<'a, S> {
    store: &'a Arc<dyn TreeStore>,
    head: Option<TreeHead>,
    counts: Counts,
    sink: &'a mut S,
}

// === impl Writer ===

impl<S: Sink> Writer<'_, S> {
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
                self.leaf(leaf).await?;
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
                    self.unsealed(stored).await?;
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
                    self.unsealed(stored).await?;
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
        let mut next = Some(search(self.store, &query));
        while let Some(fetched) = next {
            let (page, leaves) = fetched
                .await
                .unwrap_or_else(|_| Err(store::Error::too_slow()))?;
            query.before = page.last().map(|last| last.record.id);
            let is_full = page.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
            next = is_full.then(|| search(self.store, &query));
            if let Some(prover) = &mut prover {
                let indexes: Vec<_> = leaves.values().map(|leaf| leaf.0.unsigned_abs()).collect();
                prover.prepare(&indexes).await?;
            }
            for stored in &page {
                self.proved(stored, &leaves, prover.as_ref()).await?;
            }
        }
        Ok(())
    }

    async fn proved(
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
            return self.unsealed(stored).await;
        };
        self.write(Line {
            id: stored.record.id,
            stored: Some(stored),
            leaf: Some((index, hash)),
            inclusion: Some(path),
        })
        .await
    }

    async fn leaf(&mut self, leaf: &StoredLeaf) -> Result<(), Error> {
        self.write(Line {
            id: leaf.record_id,
            stored: readable(leaf.record_id, leaf.record.as_ref())?,
            leaf: Some((leaf.leaf_index.unsigned_abs(), &leaf.leaf_hash)),
            inclusion: None,
        })
        .await
    }

    async fn unsealed(&mut self, stored: &Stored) -> Result<(), Error> {
        self.write(Line {
            id: stored.record.id,
            stored: Some(stored),
            leaf: None,
            inclusion: None,
        })
        .await
    }

    async fn write(&mut self, line: Line<'_>) -> Result<(), Error> {
        self.counts.records += 1;
        self.counts.sealed += u64::from(line.leaf.is_some());
        self.sink.line(&line)?;
        if self.counts.records.is_multiple_of(PAUSE) {
            self.sink.pause().await?;
        }
        Ok(())
    }
}

type Fetched = tokio::task::JoinHandle<Result<Vec<StoredLeaf>, store::Error>>;

/// The next page comes while this one is written.
fn fetch(store: &Arc<dyn TreeStore>, from: u64) -> Fetched {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.leaves(from.cast_signed(), PAGE).await })
}

type Found = tokio::task::JoinHandle<Result<(Vec<Stored>, Places), store::Error>>;

/// The same for a page of what `query` lets through.
fn search(store: &Arc<dyn TreeStore>, query: &Query) -> Found {
    let (store, query) = (Arc::clone(store), query.clone());
    tokio::spawn(async move {
        let page = store.page(&query).await?;
        let ids: Vec<_> = page.iter().map(|stored| stored.record.id).collect();
        let leaves = store.leaves_of(&ids).await?;
        Ok((page, leaves))
    })
}

fn readable(id: Uuid, record: Option<&Readable>) -> Result<Option<&Stored>, store::Error> {
    match record {
        None => Ok(None),
        Some(Ok(stored)) => Ok(Some(stored)),
        Some(Err(column)) => Err(store::Error::Unreadable { id, column }),
    }
}
