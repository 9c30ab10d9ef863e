//! A record as one JSON text, with the columns of `audit_record` for members.

use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::audit::record::{Judged, Outcome, Phase, Record, Stored};
use crate::audit::row::Row;
use crate::audit::store::Error;
use crate::matrix::{Action, EventType, Preference};

/// The members, with lists and `detail` as JSON texts of their own.
#[derive(Serialize)]
struct Line<'a> {
    id: Hex<'a>,
    kind: &'a str,
    exchange_id: Option<Hex<'a>>,
    phase: Option<&'a str>,
    recorded_at: i64,
    instance: &'a str,
    run_id: Hex<'a>,
    version: &'a str,
    action: Option<&'a str>,
    event_type: Option<&'a str>,
    claimed_user: Option<&'a str>,
    authenticated_user: Option<&'a str>,
    device_id: Option<&'a str>,
    is_guest: Option<bool>,
    client_address: Option<&'a str>,
    client_chain: String,
    user_agent: Option<&'a str>,
    claimed_salt: Option<Hex<'a>>,
    authenticated_salt: Option<Hex<'a>>,
    client_salt: Option<Hex<'a>>,
    claimed_commitment: Option<Hex<'a>>,
    authenticated_commitment: Option<Hex<'a>>,
    client_commitment: Option<Hex<'a>>,
    preference: Option<&'a str>,
    verdict: Option<&'a str>,
    violations: String,
    outcome: Option<&'a str>,
    origin_status: Option<u16>,
    errcode: Option<&'a str>,
    request_id: Option<&'a str>,
    traceparent: Option<&'a str>,
    body_sha256: Option<Hex<'a>>,
    duration_us: Option<i64>,
    detail: Option<String>,
}

/// At most 32 bytes, written in hexadecimal.
struct Hex<'a>(&'a [u8]);

/// Appends the record as JSON to `to`.
///
/// # Errors
///
/// If it holds a NUL. SQLite would cut the text there; Postgres would not take it, and what one store
/// takes the other should.
pub(in crate::audit) fn write(record: &Record, to: &mut Vec<u8>) -> Result<(), Error> {
    let line = Line::of(record);
    let start = to.len();
    let unwritable = |_| Error::unstorable("a record cannot be written as JSON");
    serde_json::to_writer(&mut *to, &line).map_err(unwritable)?;
    // As good as never, so that nobody has to look at every text.
    let may_hold_nul = std::str::from_utf8(&to[start..]).is_ok_and(|it| it.contains(NUL));
    if may_hold_nul {
        let members = serde_json::to_value(&line).map_err(unwritable)?;
        let facts = &record.facts;
        let lists = serde_json::json!([facts.client_chain, facts.violations, facts.detail]);
        if holds_nul(&members) || holds_nul(&lists) {
            return Err(Error::unstorable("U+0000 cannot be stored"));
        }
    }
    Ok(())
}

/// A NUL in JSON.
const NUL: &str = "\\u0000";

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

// === impl Line ===

impl<'a> Line<'a> {
    fn of(record: &'a Record) -> Self {
        let facts = &record.facts;
        Self {
            id: Hex::of(&record.id),
            kind: record.kind.as_str(),
            exchange_id: facts.exchange_id.as_ref().map(Hex::of),
            phase: facts.phase.map(Phase::as_str),
            recorded_at: record.recorded_at.timestamp_micros(),
            instance: &record.instance,
            run_id: Hex::of(&record.run_id),
            version: &record.version,
            action: facts.action.map(Action::as_str),
            event_type: facts.event_type.map(EventType::as_str),
            claimed_user: facts.claimed_user.as_deref(),
            authenticated_user: facts.authenticated_user.as_deref(),
            device_id: facts.device_id.as_deref(),
            is_guest: facts.is_guest,
            client_address: facts.client_address.as_deref(),
            client_chain: list(&facts.client_chain),
            user_agent: facts.user_agent.as_deref(),
            claimed_salt: record.claimed.salt.as_ref().map(|it| Hex(it)),
            authenticated_salt: record.authenticated.salt.as_ref().map(|it| Hex(it)),
            client_salt: record.client.salt.as_ref().map(|it| Hex(it)),
            claimed_commitment: record.claimed.hash.as_ref().map(|it| Hex(it)),
            authenticated_commitment: record.authenticated.hash.as_ref().map(|it| Hex(it)),
            client_commitment: record.client.hash.as_ref().map(|it| Hex(it)),
            preference: facts.preference.map(Preference::as_str),
            verdict: facts.verdict.map(Judged::as_str),
            violations: list(&facts.violations),
            outcome: facts.outcome.map(Outcome::as_str),
            origin_status: facts.origin_status,
            errcode: facts.errcode.as_deref(),
            request_id: facts.request_id.as_deref(),
            traceparent: facts.traceparent.as_deref(),
            body_sha256: facts.body_sha256.as_ref().map(|it| Hex(it)),
            duration_us: facts.duration_us,
            detail: facts.detail.as_ref().map(Value::to_string),
        }
    }
}

fn list(texts: &[String]) -> String {
    serde_json::json!(texts).to_string()
}

// === impl Hex ===

impl<'a> Hex<'a> {
    fn of(id: &'a Uuid) -> Self {
        Self(id.as_bytes())
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut room = [0; 64];
        let text = &mut room[..2 * self.0.len()];
        hex::encode_to_slice(self.0, text).map_err(serde::ser::Error::custom)?;
        to.serialize_str(std::str::from_utf8(text).map_err(serde::ser::Error::custom)?)
    }
}
