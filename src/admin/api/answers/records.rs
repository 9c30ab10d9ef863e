//! Records, page by page, and one exchange in full.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Checkpoint;
use crate::admin::api::record::{Described, Line};
use crate::admin::{trail, words};

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(in crate::admin::api) struct Records<'a> {
    #[schema(value_type = Vec<Described>)]
    records: Vec<Line<'a>>,
    /// The `before` of the next page; null on the last.
    #[schema(required)]
    next: Option<Uuid>,
}

/// One exchange, or a record that belongs to none.
#[derive(Serialize, ToSchema)]
pub(in crate::admin::api) struct Exchange<'a> {
    id: Uuid,
    /// Oldest first.
    #[schema(value_type = Vec<Described>)]
    records: Vec<Line<'a>>,
    /// Where they are sealed.
    leaves: Vec<Leaf>,
    /// The newest checkpoint.
    #[schema(required)]
    checkpoint: Option<Checkpoint>,
    /// What the client was told; null for what is no exchange.
    #[schema(required)]
    told: Option<Told>,
}

/// Where a record is sealed.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names that exports have")]
struct Leaf {
    id: Uuid,
    leaf_index: u64,
    leaf_hash: String,
    /// Whether the newest checkpoint has it: then there is a proof.
    is_covered: bool,
}

/// What a client was told.
#[derive(Serialize, ToSchema)]
struct Told {
    #[schema(required)]
    status: Option<u16>,
    #[schema(required)]
    errcode: Option<String>,
    text: String,
}

// === impl Records ===

impl<'a> Records<'a> {
    pub(in crate::admin::api) fn new(page: &'a trail::Page) -> Self {
        Self {
            records: page.records.iter().map(Line).collect(),
            next: page.next,
        }
    }
}

// === impl Exchange ===

impl<'a> Exchange<'a> {
    pub(in crate::admin::api) fn new(id: Uuid, exchange: &'a trail::Exchange) -> Self {
        let newest = exchange.checkpoint.as_ref();
        let covered = newest.map_or(0, |(size, _)| *size);
        let leaves = exchange.records.iter().filter_map(|stored| {
            let (index, hash) = exchange.places.get(&stored.record.id)?;
            Some(Leaf {
                id: stored.record.id,
                leaf_index: index.unsigned_abs(),
                leaf_hash: hex::encode(hash),
                is_covered: index.unsigned_abs() < covered,
            })
        });
        Self {
            id,
            records: exchange.records.iter().map(Line).collect(),
            leaves: leaves.collect(),
            checkpoint: newest.map(|(size, one)| Checkpoint::new(*size, one)),
            told: words::told(&exchange.records).map(|told| Told {
                status: told.status,
                errcode: told.errcode,
                text: told.text,
            }),
        }
    }
}
