//! A network to Postgres that stalls, resets and takes its time: every wait has an end, nothing is
//! lost, and the store recovers by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::record::Record;
use key_backup_gateway::audit::store::{DeadRun, Error, Query, Store};
use uuid::Uuid;

use super::bench::{Bench, Gateway, all, config, full};
use crate::chaos::{Mood, Relay};

/// The longest that anything but a page may take; those who wait for a connection first wait for that.
const IN_TIME: Duration = Duration::from_secs(12);

/// A database, a relay before it, and a store over that.
struct Scene {
    relay: Relay,
    store: Arc<PgStore>,
    _bench: Bench,
}

impl Scene {
    async fn new() -> Self {
        let bench = Bench::postgres().await;
        bench.migrated().await.close().await;
        let url = bench.url();
        let relay = Relay::start(port_of(&url)).await;
        let store = Arc::new(PgStore::open(&config(&relay.through(&url))).unwrap());
        Self {
            relay,
            store,
            _bench: bench,
        }
    }

    async fn append(&self, record: &Record) -> Result<(), Error> {
        self.store.append(std::slice::from_ref(record)).await
    }

    /// As many connections as there may be.
    async fn warm(&self) {
        let record = Gateway::new().record(full());
        let appends = (0..4).map(|_| {
            let (store, record) = (Arc::clone(&self.store), record.clone());
            tokio::spawn(async move { store.append(&[record]).await })
        });
        for append in appends.collect::<Vec<_>>() {
            append.await.unwrap().unwrap();
        }
    }
}

pub(super) fn port_of(url: &str) -> u16 {
    let (_, port) = url.rsplit_once(':').unwrap();
    port.split_once('/').unwrap().0.parse().unwrap()
}

/// Every method of the store at once: what each says.
async fn everything(store: &PgStore) -> Vec<(&'static str, Error)> {
    let batch = [Gateway::new().record(full())];
    let dead = DeadRun {
        run_id: Uuid::nil(),
        renewed_at: DateTime::<Utc>::UNIX_EPOCH,
        ended_at: None,
    };
    let query = Query::default();
    let (
        append,
        page,
        exchange,
        migrate,
        check_schema,
        missing,
        renew,
        end,
        dead_runs,
        open_intents,
        bury,
        maintain,
    ) = tokio::join!(
        store.append(&batch),
        store.page(&query),
        store.exchange(Uuid::nil()),
        store.migrate(),
        store.check_schema(),
        store.missing(&[]),
        store.renew(Uuid::nil(), "gateway-1"),
        store.end(Uuid::nil(), false),
        store.dead_runs(),
        store.open_intents(Uuid::nil(), None, 1),
        store.bury(&dead),
        store.maintain(),
    );
    vec![
        ("append", append.unwrap_err()),
        ("page", page.unwrap_err()),
        ("exchange", exchange.unwrap_err()),
        ("migrate", migrate.unwrap_err()),
        ("check_schema", check_schema.unwrap_err()),
        ("missing", missing.unwrap_err()),
        ("renew", renew.unwrap_err()),
        ("end", end.unwrap_err()),
        ("dead_runs", dead_runs.unwrap_err()),
        ("open_intents", open_intents.unwrap_err()),
        ("bury", bury.unwrap_err()),
        ("maintain", maintain.unwrap_err()),
    ]
}

#[tokio::test]
async fn in_a_black_hole_everything_ends_in_time_and_says_so() {
    let scene = Scene::new().await;
    scene.warm().await;
    // With connections that are open, and then without.
    for _ in 0..2 {
        scene.relay.set(Mood::Swallow);
        let begun = Instant::now();
        for (name, error) in everything(&scene.store).await {
            assert_eq!(error.code(), "store_silent", "{name}: {error:?}");
        }
        assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    }
    scene.relay.set(Mood::Pass);

    let record = Gateway::new().record(full());
    scene.append(&record).await.unwrap();
    assert!(all(&*scene.store).await.contains(&record));
}

#[tokio::test]
async fn many_who_wait_are_few_connections() {
    let scene = Scene::new().await;
    scene.relay.set(Mood::Swallow);
    let record = Gateway::new().record(full());
    let appends = (0..50).map(|_| {
        let (store, record) = (Arc::clone(&scene.store), record.clone());
        tokio::spawn(async move { store.append(&[record]).await })
    });
    for append in appends.collect::<Vec<_>>() {
        assert_eq!(append.await.unwrap().unwrap_err().code(), "store_silent");
    }

    // As many as there may be.
    assert_eq!(scene.relay.accepted(), 4);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_stands_and_is_not_made_twice() {
    let scene = Scene::new().await;
    let record = Gateway::new().record(full());
    scene.relay.set(Mood::LoseCommit);
    let lost = scene.append(&record).await.unwrap_err();
    assert_eq!(lost.code(), "store_unreachable", "{lost:?}");
    scene.relay.set(Mood::Pass);
    assert_eq!(all(&*scene.store).await, std::slice::from_ref(&record));

    scene.append(&record).await.unwrap();
    assert_eq!(all(&*scene.store).await, [record]);
}

#[tokio::test]
async fn half_a_second_to_the_database_and_back_is_no_trouble() {
    let scene = Scene::new().await;
    scene.relay.set(Mood::Late(Duration::from_millis(250)));
    let record = Gateway::new().record(full());
    scene.append(&record).await.unwrap();
    scene.store.renew(Uuid::max(), "gateway-1").await.unwrap();
    assert_eq!(all(&*scene.store).await, [record]);
}

#[tokio::test]
async fn of_connections_that_were_reset_only_one_is_a_failure() {
    let scene = Scene::new().await;
    scene.warm().await;
    scene.relay.set(Mood::Reset);
    let record = Gateway::new().record(full());
    let reset = scene.append(&record).await.unwrap_err();
    assert_eq!(reset.code(), "store_unreachable", "{reset:?}");
    scene.relay.set(Mood::Pass);

    scene.append(&record).await.unwrap();
}

#[tokio::test]
async fn a_connection_is_made_for_the_next_one_when_this_one_gives_up() {
    let scene = Scene::new().await;
    scene.relay.set(Mood::Late(Duration::from_millis(200)));
    let record = Gateway::new().record(full());
    let brief = Duration::from_millis(100);
    let append = tokio::time::timeout(brief, scene.append(&record)).await;
    assert!(append.is_err(), "{append:?}");

    let deadline = Instant::now() + IN_TIME;
    while scene.store.connections() != (1, 1) {
        assert!(Instant::now() < deadline, "no connection was made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(scene.relay.accepted(), 1);
}
