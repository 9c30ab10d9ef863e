//! The only write to the trail.

use super::{SqliteStore, line};
use crate::audit::record::Record;
use crate::audit::store::Error;

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
    let lines = list(batch)?;
    let mut held = store.hold().await?;
    let mut transaction = store.begin_write(&mut held).await?;
    sqlx::query(APPEND)
        .bind(lines)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(())
}

/// The batch as one JSON text.
fn list(batch: &[Record]) -> Result<String, Error> {
    let mut list = Vec::with_capacity(1024 * batch.len());
    for record in batch {
        list.push(if list.is_empty() { b'[' } else { b',' });
        line::write(record, &mut list)?;
    }
    list.push(b']');
    String::from_utf8(list).map_err(|_| Error::unstorable("a record is no text"))
}
