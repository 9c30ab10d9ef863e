//! The tree: how fast it grows when there is nothing else to do, and how long a proof takes.

use std::time::{Duration, Instant};

use key_backup_gateway::audit::{self, export};
use serde_json::json;
use uuid::Uuid;

use crate::gateway::Gateway;
use crate::load::{median, percentile};
use crate::{Measured, database};

/// How often it is looked at what is sealed. A step takes several times as long.
const LOOK: Duration = Duration::from_millis(5);
/// Proofs that are not measured: the connection is made, and plans are.
const WARM_UP: usize = 20;

/// From the first leaves until there are `records` of them.
pub(crate) async fn seal(url: &str, key: &str, records: u64) -> Measured {
    let gateway = Gateway::start(url, Some(key)).await?;
    let mut first = None;
    let (before, began, after) = loop {
        let sealed = gateway.metric("records_sealed_total")?;
        match first {
            None if sealed > 0 => first = Some((sealed, Instant::now())),
            Some((before, began)) if sealed >= records => break (before, began, sealed),
            Some(_) if gateway.metric("sealing")? == 0 => Err("nothing is sealed any more")?,
            None | Some(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    };
    let took = began.elapsed();
    gateway.stop().await?;
    Ok(json!({ "records": after - before, "seconds": took.as_secs_f64() }))
}

/// One proof after the other; the first do not count.
pub(crate) async fn prove(url: &str, exchanges: &[&str]) -> Measured {
    let store = audit::open_existing(&database(url))?;
    let mut took = Vec::new();
    for exchange in exchanges {
        let id = exchange.parse::<Uuid>()?;
        let started = Instant::now();
        export::prove(&store, id).await?;
        took.push(started.elapsed());
    }
    store.close().await;
    let took = took.split_off(WARM_UP.min(took.len()));
    let p99 = percentile(took.clone(), 99);
    Ok(json!({ "seconds": median(took), "p99": p99 }))
}
