//! What `benches/audit` and `benches/seal` measure from inside: the guard, the trail, one user's history, the tree.
//!
//! One measurement a process; it prints its figure as one line of JSON. The database is there, and up
//! to date.

mod gateway;
mod load;
mod sealed;
mod spooled;
mod users;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use key_backup_gateway::audit;
use key_backup_gateway::audit::store::{self, Query};
use serde_json::{Value, json};

use self::gateway::Gateway;
use self::load::{Rate, median};

const USAGE: &str = "\
usage: audit guard URL IN_FLIGHT SECONDS    records a second of guarded writes
       audit log URL IN_FLIGHT SECONDS      records a second of the writer alone
       audit idle URL WRITES [SPOOL]        the median of what one idle write takes
       audit history URL USERS              the median of one user's newest 100 records
       audit fill URL SPOOL RECORDS         spools so many records: the store is away
       audit ship URL SPOOL                 the time in which all of them are in the store
       audit dead URL SPOOL BYTES SECONDS   memory, before and after the spool is full of so much
       audit seal URL KEY RECORDS           the time in which so many that wait are sealed
       audit prove URL EXCHANGE...          the median and the 99th percentile of one proof
       audit migrate URL                    makes the tables
       audit sealed KEY guard|log|idle ...  the same with a gateway that seals; KEY is the file of its key";

/// Before a measurement: connections are made, identities remembered, plans and pages in memory.
const WARM_UP: Duration = Duration::from_secs(1);
/// Writes that are not measured, for the same reason.
const WARM_UP_WRITES: u32 = 20;
const HISTORY: u32 = 100;

pub(crate) type Measured = Result<Value, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match measure(&arguments).await {
        Ok(Some(figures)) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!("{USAGE}");
            ExitCode::from(64)
        }
        Err(error) => {
            eprintln!("audit: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None`: wrong usage.
async fn measure(arguments: &[&str]) -> Result<Option<Value>, Box<dyn Error + Send + Sync>> {
    let (key, arguments) = match arguments {
        ["sealed", key, rest @ ..] => (Some(*key), rest),
        all => (None, all),
    };
    let figures = match arguments {
        ["guard", url, in_flight, seconds] => {
            let gateway = Gateway::start(url, key).await?;
            guard(gateway, in_flight.parse()?, seconds.parse()?).await?
        }
        ["log", url, in_flight, seconds] => {
            let gateway = Gateway::start(url, key).await?;
            log(gateway, in_flight.parse()?, seconds.parse()?).await?
        }
        ["idle", url, writes] => idle(Gateway::start(url, key).await?, writes.parse()?).await?,
        ["idle", url, writes, spool] => {
            let gateway = Gateway::with_spool(url, spool, spooled::ROOM)?;
            gateway.is_recording().await?;
            idle(gateway, writes.parse()?).await?
        }
        ["history", url, users] => history(url, users.parse()?).await?,
        ["fill", url, spool, records] => spooled::fill(url, spool, records.parse()?).await?,
        ["ship", url, spool] => spooled::ship(url, spool).await?,
        ["dead", url, spool, bytes, seconds] => {
            let seconds = Duration::from_secs(seconds.parse()?);
            spooled::dead(url, spool, bytes.parse()?, seconds).await?
        }
        ["seal", url, key, records] => sealed::seal(url, key, records.parse()?).await?,
        ["prove", url, exchanges @ ..] => sealed::prove(url, exchanges).await?,
        ["migrate", url] => migrate(url).await?,
        _ => return Ok(None),
    };
    Ok(Some(figures))
}

async fn guard(gateway: Gateway, in_flight: u32, seconds: u64) -> Measured {
    let service = gateway.service();
    let write = move |number| gateway::write(service.clone(), number);
    let rate = rate(&gateway, in_flight, seconds, write).await?;
    gateway.stop().await?;
    Ok(rate)
}

async fn log(gateway: Gateway, in_flight: u32, seconds: u64) -> Measured {
    let audit = gateway.audit();
    let append = move |number| gateway::append(audit.clone(), number);
    let rate = rate(&gateway, in_flight, seconds, append).await?;
    gateway.stop().await?;
    Ok(rate)
}

async fn rate<F>(
    gateway: &Gateway,
    in_flight: u32,
    seconds: u64,
    work: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Measured
where
    F: Future<Output = Result<(), gateway::Failed>> + Send,
{
    let count = || gateway.appended();
    let window = Duration::from_secs(seconds);
    let Rate { records, took } = load::closed_loop(in_flight, WARM_UP, window, work, count).await?;
    let took = took.as_secs_f64();
    let (all, sealed) = (count()?, gateway.metric("records_sealed_total")?);
    Ok(json!({ "records": records, "seconds": took, "all": all, "sealed": sealed }))
}

async fn idle(gateway: Gateway, writes: u32) -> Measured {
    let service = gateway.service();
    let mut took = Vec::new();
    for number in 0..WARM_UP_WRITES + writes {
        let started = Instant::now();
        gateway::write(service.clone(), 0).await?;
        if number >= WARM_UP_WRITES {
            took.push(started.elapsed());
        }
    }
    gateway.stop().await?;
    Ok(json!({ "seconds": median(took) }))
}

async fn history(url: &str, users: u64) -> Measured {
    let store = audit::open_existing(&database(url))?;
    let mut took = Vec::new();
    let mut records = 0;
    for number in 0..users {
        let query = Query {
            user: Some(users::name(users::spread(number))),
            limit: HISTORY,
            ..Query::default()
        };
        let started = Instant::now();
        records += store.page(&query).await?.len();
        took.push(started.elapsed());
    }
    store.close().await;
    Ok(json!({ "seconds": median(took), "records": records }))
}

async fn migrate(url: &str) -> Measured {
    let store = audit::open(&database(url))?;
    store.migrate().await?;
    store.close().await;
    Ok(json!({}))
}

fn database(url: &str) -> store::Config {
    store::Config {
        url: url.into(),
        ..store::Config::default()
    }
}
