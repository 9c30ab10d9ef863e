//! A record as one JSON text, with the columns of `audit_record` for members.

use serde_json::{Value, json};

use crate::audit::record::{Judged, Outcome, Phase, Record, Stored};
use crate::audit::row::Row;
use crate::audit::store::Error;
use crate::matrix::{Action, EventType, Preference};

/// The record as JSON.
///
/// # Errors
///
/// If it holds a NUL. SQLite would cut the text there; Postgres would not take it, and what one store
/// takes the other should.
pub(in crate::audit) fn write(record: &Record) -> Result<Value, Error> {
    let facts = &record.facts;
    let line = json!({
        "id": record.id.simple().to_string(),
        "kind": record.kind.as_str(),
        "exchange_id": facts.exchange_id.map(|id| id.simple().to_string()),
        "phase": facts.phase.map(Phase::as_str),
        "recorded_at": record.recorded_at.timestamp_micros(),
        "instance": record.instance,
        "run_id": record.run_id.simple().to_string(),
        "version": record.version,
        "action": facts.action.map(Action::as_str),
        "event_type": facts.event_type.map(EventType::as_str),
        "claimed_user": facts.claimed_user,
        "authenticated_user": facts.authenticated_user,
        "device_id": facts.device_id,
        "is_guest": facts.is_guest,
        "client_address": facts.client_address,
        "client_chain": json!(facts.client_chain).to_string(),
        "user_agent": facts.user_agent,
        "claimed_salt": record.claimed.salt.map(hex::encode),
        "authenticated_salt": record.authenticated.salt.map(hex::encode),
        "client_salt": record.client.salt.map(hex::encode),
        "claimed_commitment": record.claimed.hash.map(hex::encode),
        "authenticated_commitment": record.authenticated.hash.map(hex::encode),
        "client_commitment": record.client.hash.map(hex::encode),
        "preference": facts.preference.map(Preference::as_str),
        "verdict": facts.verdict.map(Judged::as_str),
        "violations": json!(facts.violations).to_string(),
        "outcome": facts.outcome.map(Outcome::as_str),
        "origin_status": facts.origin_status,
        "errcode": facts.errcode,
        "request_id": facts.request_id,
        "traceparent": facts.traceparent,
        "body_sha256": facts.body_sha256.map(hex::encode),
        "duration_us": facts.duration_us,
        "detail": facts.detail.as_ref().map(Value::to_string),
    });
    let lists = json!([facts.client_chain, facts.violations, facts.detail]);
    if holds_nul(&line) || holds_nul(&lists) {
        return Err(Error::unstorable("U+0000 cannot be stored"));
    }
    Ok(line)
}

/// The reverse of [`write`]; `None` if it is no record.
pub(in crate::audit) fn read(line: &[u8]) -> Option<Record> {
    let row: Row = serde_json::from_slice(line).ok()?;
    Stored::try_from(row).ok().map(|stored| stored.record)
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
    }
}
