//! The only write to the trail.

use serde_json::{Value, json};

use super::SqliteStore;
use crate::audit::record::{Judged, Outcome, Phase, Record};
use crate::audit::store::Error;
use crate::matrix::{Action, EventType, Preference};

/// One statement for the whole batch, which is one JSON text. Appending again after a lost answer is
/// harmless: the id decides. `WHERE true` keeps SQLite from taking `ON` for a join's.
const APPEND: &str = "
    INSERT INTO audit_record (
        id, kind, exchange_id, phase, recorded_at, instance, run_id, version, action, event_type,
        claimed_user, authenticated_user, device_id, is_guest, client_address, client_chain,
        user_agent, claimed_salt, authenticated_salt, client_salt, claimed_commitment,
        authenticated_commitment, client_commitment, preference, verdict, violations, outcome,
        origin_status, errcode, request_id, traceparent, body_sha256, duration_us, detail
    )
    SELECT unhex(value ->> 'id'), value ->> 'kind', unhex(value ->> 'exchange_id'),
        value ->> 'phase', value ->> 'recorded_at', value ->> 'instance', unhex(value ->> 'run_id'),
        value ->> 'version', value ->> 'action', value ->> 'event_type', value ->> 'claimed_user',
        value ->> 'authenticated_user', value ->> 'device_id', value ->> 'is_guest',
        value ->> 'client_address', value ->> 'client_chain', value ->> 'user_agent',
        unhex(value ->> 'claimed_salt'), unhex(value ->> 'authenticated_salt'),
        unhex(value ->> 'client_salt'), unhex(value ->> 'claimed_commitment'),
        unhex(value ->> 'authenticated_commitment'), unhex(value ->> 'client_commitment'),
        value ->> 'preference', value ->> 'verdict', value ->> 'violations', value ->> 'outcome',
        value ->> 'origin_status', value ->> 'errcode', value ->> 'request_id',
        value ->> 'traceparent', unhex(value ->> 'body_sha256'), value ->> 'duration_us',
        value ->> 'detail'
    FROM json_each(?1)
    WHERE true
    ON CONFLICT (id) DO NOTHING
";

/// See [`Store::append`](crate::audit::store::Store::append).
pub(super) async fn append(store: &SqliteStore, batch: &[Record]) -> Result<(), Error> {
    if batch.is_empty() {
        return Ok(());
    }
    let lines = batch
        .iter()
        .map(line)
        .collect::<Result<Vec<Value>, Error>>()?;
    let mut transaction = store.begin_write().await?;
    sqlx::query(APPEND)
        .bind(Value::Array(lines).to_string())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// A record as [`APPEND`] reads it.
///
/// # Errors
///
/// If it holds a NUL. SQLite would cut the text there; Postgres would not take it, and what one store
/// takes the other should.
fn line(record: &Record) -> Result<Value, Error> {
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
