//! A database that was restored goes on, and the trail says what it lost.

use serde_json::json;

use super::note::{TreeHead, Verifiers};
use super::outlet::notes_in;
use super::sealer::fork::{Leads, leads};
use crate::audit::record::{Facts, Kind, Stamp};
use crate::audit::store::{Error, TreeStore};

/// What was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostCheckpoint {
    /// How many leaves the newest lost checkpoint has.
    pub size: u64,
    /// How many leaves the database has.
    pub restored_size: u64,
}

/// Notes every checkpoint in `texts` to which the tree in `store` does not lead, the newest with a record that names it. What
/// none of our keys has signed is passed over.
///
/// # Errors
///
/// If the store fails.
pub async fn resume(
    store: &dyn TreeStore,
    stamp: &Stamp,
    verifiers: &Verifiers,
    texts: &[String],
) -> Result<Option<LostCheckpoint>, Error> {
    let mut lost: Vec<(TreeHead, String)> = Vec::new();
    for note in texts.iter().flat_map(|text| notes_in(text)) {
        let Ok(head) = verifiers.open(&note) else {
            continue;
        };
        let is_noted = store.lost(head.size, head.root).await?.is_some();
        if !is_noted
            && matches!(
                leads(store, &head).await?,
                Leads::Shorter(_) | Leads::Elsewhere
            )
        {
            lost.push((head, note));
        }
    }
    lost.sort_by_key(|(head, _)| head.size);
    let Some((newest, note)) = lost.last() else {
        return Ok(None);
    };
    let restored_size = store.tree_head().await?.size.unsigned_abs();
    let detail = |head: &TreeHead, note: &str| {
        json!({
            "operation": "resume",
            "lost_checkpoint": { "size": head.size, "root": hex::encode(head.root), "note": note },
            "restored_size": restored_size,
        })
    };
    let facts = Facts {
        detail: Some(detail(newest, note)),
        ..Facts::default()
    };
    let record = stamp.record(Kind::Operation, facts);
    store.append(std::slice::from_ref(&record)).await?;
    store.lose(newest.size, newest.root, record.id).await?;
    // Each outlet may have another newest one.
    for (head, note) in &lost[..lost.len() - 1] {
        let facts = Facts {
            detail: Some(detail(head, note)),
            ..Facts::default()
        };
        let record = stamp.record(Kind::Operation, facts);
        store.append(std::slice::from_ref(&record)).await?;
        store.lose(head.size, head.root, record.id).await?;
    }
    Ok(Some(LostCheckpoint {
        size: newest.size,
        restored_size,
    }))
}
