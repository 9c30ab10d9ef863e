//! What waits for a store that is away.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Measured;
use crate::gateway::{self, Failed, Gateway};
use crate::load;

/// Room for any backlog that is made here.
pub(crate) const ROOM: u64 = 64 << 30;
/// So many records wait for the writer at a time.
const IN_FLIGHT: u32 = 1024;
/// As many writes at a time as in the other measures.
const WRITES: u32 = 256;
/// How often it is looked at what is shipped, and what is held.
const LOOK: Duration = Duration::from_millis(20);

/// Puts `records` into the spool, and ends.
pub(crate) async fn fill(url: &str, spool: &str, records: u64) -> Measured {
    let gateway = Gateway::with_spool(url, spool, ROOM)?;
    let audit = gateway.audit();
    let append = move |number| gateway::append(audit.clone(), number);
    let count = || gateway.appended();
    let started = Instant::now();
    load::until(IN_FLIGHT, append, || Ok(count()? >= records), LOOK).await?;
    let (took, records) = (started.elapsed(), count()?);
    gateway.stop().await?;
    Ok(json!({ "records": records, "seconds": took.as_secs_f64() }))
}

/// From the start until nothing is in the spool that the store has not taken.
pub(crate) async fn ship(url: &str, spool: &str) -> Measured {
    let gateway = Gateway::with_spool(url, spool, ROOM)?;
    let started = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        // Both are zero before the spool is opened.
        if gateway.metric("records_shipped_total")? > 0 && gateway.metric("spool_records")? == 0 {
            break;
        }
    }
    let took = started.elapsed();
    let records = gateway.metric("records_shipped_total")?;
    gateway.stop().await?;
    Ok(json!({ "records": records, "seconds": took.as_secs_f64() }))
}

/// Writes until the spool is full, and goes on for `beyond`.
pub(crate) async fn dead(url: &str, spool: &str, limit: u64, beyond: Duration) -> Measured {
    let gateway = Gateway::with_spool(url, spool, limit)?;
    let service = gateway.service();
    // Once the spool is full a write is refused.
    let write = move |number| {
        let service = service.clone();
        async move { gateway::try_to_write(service, number).await.map(drop) }
    };
    let (mut half, mut full, mut most) = (None, None, 0);
    let sample = || -> Result<bool, Failed> {
        let (spooled, memory) = (gateway.metric("spool_bytes")?, resident()?);
        most = most.max(memory);
        if half.is_none() && spooled >= limit / 2 {
            half = Some(memory);
        }
        // The last batch may be larger than the room that is left.
        if full.is_none() && spooled >= limit / 100 * 95 {
            full = Some(Instant::now());
        }
        Ok(full.is_some_and(|since| since.elapsed() >= beyond))
    };
    load::until(WRITES, write, sample, LOOK).await?;
    let spooled = gateway.metric("spool_bytes")?;
    Ok(json!({ "half": half, "most": most, "end": resident()?, "spooled": spooled }))
}

/// The memory of this process, in bytes.
fn resident() -> Result<u64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap_or_default().trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? * 1024)
}
