//! Brings a store up to date, and says so in the trail.

use serde_json::json;

use super::record::{Facts, Kind, Stamp};
use super::store::{Error, Store};

/// Brings the schema of `store` up to date. If it was at an earlier version, a record says from which to which.
///
/// # Errors
///
/// As [`Store::migrate`] and [`Store::append`](super::store::Store::append).
pub async fn migrate(store: &dyn Store, stamp: &Stamp) -> Result<(), Error> {
    let before = store.check_schema().await;
    store.migrate().await?;
    // A new database was made, not migrated.
    if let Err(Error::Outdated { found, expected }) = before
        && found > 0
    {
        let facts = Facts {
            detail: Some(json!({ "operation": "migration", "from": found, "to": expected })),
            ..Facts::default()
        };
        store
            .append(&[stamp.record(Kind::Operation, facts)])
            .await?;
    }
    Ok(())
}
