//! A record as JSON.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::export::Fields;
use crate::audit::record::Stored;

/// A record, as a line of JSONL has it.
pub(super) struct Line<'a>(pub(super) &'a Stored);

/// One line of the trail. What is not known is null.
#[derive(ToSchema)]
#[schema(as = Record)]
#[expect(
    dead_code,
    reason = "only described: a record is written by its own fields"
)]
pub(super) struct Described {
    /// UUIDv7: the key, and the order.
    id: Uuid,
    /// `exchange`, `heartbeat`, `collapsed`, `tombstone` or `operation`.
    kind: String,
    /// One id for both halves of a write.
    #[schema(required)]
    exchange_id: Option<Uuid>,
    /// `intent` or `outcome`.
    #[schema(required)]
    phase: Option<String>,
    /// When, by the gateway's clock.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// When it was stored, by the database's clock.
    #[schema(format = DateTime)]
    stored_at: String,
    /// Which gateway.
    instance: String,
    /// Which run of it.
    run_id: Uuid,
    /// Which build of it.
    version: String,
    /// `write`, `read` or `clear`.
    #[schema(required)]
    action: Option<String>,
    /// Of which type.
    #[schema(required)]
    event_type: Option<String>,
    /// Whom the path names.
    #[schema(required)]
    claimed_user: Option<String>,
    /// Whom the homeserver named.
    #[schema(required)]
    authenticated_user: Option<String>,
    /// The device that the homeserver named.
    #[schema(required)]
    device_id: Option<String>,
    /// Whether it is a guest.
    #[schema(required)]
    is_guest: Option<bool>,
    /// The client's address behind trusted proxies.
    #[schema(required)]
    client_address: Option<String>,
    /// What that was resolved from.
    client_chain: Vec<String>,
    /// The client's `User-Agent`.
    #[schema(required)]
    user_agent: Option<String>,
    /// To the claimed user.
    #[schema(required)]
    claimed_commitment: Option<String>,
    /// To the authenticated user, the device, and whether it is a guest.
    #[schema(required)]
    authenticated_commitment: Option<String>,
    /// To the client's address, its chain, and the user agent.
    #[schema(required)]
    client_commitment: Option<String>,
    /// `enabled` or `disabled`.
    #[schema(required)]
    preference: Option<String>,
    /// `accept`, `clear` or `refuse`.
    #[schema(required)]
    verdict: Option<String>,
    /// Codes.
    violations: Vec<String>,
    /// `refused`, `answered`, `unanswered` or `failed`.
    #[schema(required)]
    outcome: Option<String>,
    /// The status of the homeserver's answer.
    #[schema(required)]
    origin_status: Option<u16>,
    /// Its errcode.
    #[schema(required)]
    errcode: Option<String>,
    /// The request id.
    #[schema(required)]
    request_id: Option<String>,
    /// The client's `traceparent`.
    #[schema(required)]
    traceparent: Option<String>,
    /// SHA-256 of the body that was judged.
    #[schema(required)]
    body_sha256: Option<String>,
    /// From the request's head to this record, in microseconds.
    #[schema(required)]
    duration_us: Option<i64>,
    /// Whatever other kinds say.
    #[schema(value_type = serde_json::Value, required)]
    detail: Option<serde_json::Value>,
}

// === impl Line ===

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields(self.0).serialize(serializer)
    }
}
