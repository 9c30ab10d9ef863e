//! One exchange, found by its id, and proved without showing another.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::sealed::{Line, Prover, sealed_json};
use super::trail::{Error, head};
use crate::audit::record::Stored;
use crate::audit::store::{self, Query, TreeStore};
use crate::audit::verify::PROOF_FORMAT;

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
        lines.push(super::escaped_json(&sealed_json(&line)?).into_owned());
    }
    let note = serde_json::to_string(&newest.note).map_err(io::Error::other)?;
    Ok(format!(
        "{{\"proof\":{{\"format\":\"{PROOF_FORMAT}\",\"checkpoint\":{note},\"records\":[\n{}\n]}}}}\n",
        lines.join(",\n")
    ))
}

/// The records of the exchange `id`, or of the exchange that the record `id` belongs to, or that record alone if it
/// belongs to none.
///
/// # Errors
///
/// If the store cannot be read.
pub async fn find(store: &dyn TreeStore, id: Uuid) -> Result<Vec<Stored>, store::Error> {
    let records = store.exchange(id).await?;
    if !records.is_empty() {
        return Ok(records);
    }
    let found = one(store, id).await?;
    let exchange = found
        .first()
        .and_then(|stored| stored.record.facts.exchange_id);
    match exchange {
        Some(exchange) => store.exchange(exchange).await,
        None => Ok(found),
    }
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
