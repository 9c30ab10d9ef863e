//! The only write to the trail.

use sqlx::Connection;
use sqlx::types::Json;

use super::PgStore;
use crate::audit::record::{Commitment, Judged, Outcome, Phase, Record};
use crate::audit::store::Error;
use crate::matrix::{Action, EventType, Preference};

/// A commit that waits for a synchronous standby is not cut short by `statement_timeout`, which would
/// make a success of it: we give up on it ourselves.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '5s';
    SET LOCAL lock_timeout = '1s';
";

/// One statement for the whole batch. The function raises `synchronous_commit` where it is too low,
/// and skips what is there already.
const APPEND: &str = "
    SELECT audit_append(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34
    )
";

/// See [`Store::append`](crate::audit::store::Store::append).
pub(super) async fn append(store: &PgStore, batch: &[Record]) -> Result<(), Error> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut held = store.hold().await?;
    // The statement is encoded while the server begins.
    let (transaction, statement) = tokio::join!(held.begin_with(BEGIN), async { bound(batch) });
    let mut transaction = transaction?;
    statement.execute(&mut *transaction).await?;
    transaction.commit().await?;
    held.release();
    Ok(())
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// [`APPEND`] with an array for each column.
fn bound(batch: &[Record]) -> Statement<'_> {
    sqlx::query(APPEND)
        .persistent(false)
        .bind(column(batch, |record| record.id))
        .bind(column(batch, |record| record.kind.as_str()))
        .bind(column(batch, |record| record.facts.exchange_id))
        .bind(column(batch, |record| {
            record.facts.phase.map(Phase::as_str)
        }))
        .bind(column(batch, |record| record.recorded_at))
        .bind(column(batch, |record| record.instance.as_str()))
        .bind(column(batch, |record| record.run_id))
        .bind(column(batch, |record| record.version.as_str()))
        .bind(column(batch, |record| {
            record.facts.action.map(Action::as_str)
        }))
        .bind(column(batch, |record| {
            record.facts.event_type.map(EventType::as_str)
        }))
        .bind(column(batch, |record| record.facts.claimed_user.as_deref()))
        .bind(column(batch, |record| {
            record.facts.authenticated_user.as_deref()
        }))
        .bind(column(batch, |record| record.facts.device_id.as_deref()))
        .bind(column(batch, |record| record.facts.is_guest))
        .bind(column(batch, |record| {
            record.facts.client_address.as_deref()
        }))
        .bind(column(batch, |record| Json(&record.facts.client_chain)))
        .bind(column(batch, |record| record.facts.user_agent.as_deref()))
        .bind(column(batch, |record| salt(&record.claimed)))
        .bind(column(batch, |record| salt(&record.authenticated)))
        .bind(column(batch, |record| salt(&record.client)))
        .bind(column(batch, |record| hash(&record.claimed)))
        .bind(column(batch, |record| hash(&record.authenticated)))
        .bind(column(batch, |record| hash(&record.client)))
        .bind(column(batch, |record| {
            record.facts.preference.map(Preference::as_str)
        }))
        .bind(column(batch, |record| {
            record.facts.verdict.map(Judged::as_str)
        }))
        .bind(column(batch, |record| Json(&record.facts.violations)))
        .bind(column(batch, |record| {
            record.facts.outcome.map(Outcome::as_str)
        }))
        .bind(column(batch, |record| {
            record.facts.origin_status.map(i32::from)
        }))
        .bind(column(batch, |record| record.facts.errcode.as_deref()))
        .bind(column(batch, |record| record.facts.request_id.as_deref()))
        .bind(column(batch, |record| record.facts.traceparent.as_deref()))
        .bind(column(batch, |record| {
            record.facts.body_sha256.as_ref().map(<[u8; 32]>::as_slice)
        }))
        .bind(column(batch, |record| record.facts.duration_us))
        .bind(column(batch, |record| {
            record.facts.detail.as_ref().map(Json)
        }))
}

fn column<'a, T>(batch: &'a [Record], field: impl Fn(&'a Record) -> T) -> Vec<T> {
    batch.iter().map(field).collect()
}

fn salt(commitment: &Commitment) -> Option<&[u8]> {
    commitment.salt.as_ref().map(<[u8; 16]>::as_slice)
}

fn hash(commitment: &Commitment) -> Option<&[u8]> {
    commitment.hash.as_ref().map(<[u8; 32]>::as_slice)
}
