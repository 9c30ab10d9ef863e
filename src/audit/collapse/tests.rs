use chrono::DateTime;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::*;
use crate::audit::record::Facts;
use crate::clock::MockClock;

/// What a round that holds what `count` counts says, a minute later.
async fn said(count: impl FnOnce(&mut Round)) -> Vec<Facts> {
    let mut round = Round::new();
    count(&mut round);
    tokio::time::advance(ROUND).await;
    round.into_facts()
}

#[tokio::test(start_paused = true)]
async fn nothing_to_say_is_no_record() {
    assert_eq!(said(|_| {}).await, []);
    let quiet = said(|round| assert!(round.takes_refusal("@alice:h")));
    assert_eq!(quiet.await, [], "it has its own record");
}

#[tokio::test(start_paused = true)]
async fn a_flood_without_credentials_is_one_record_of_counts_and_networks() {
    let said = said(|round| {
        for n in 0..5000_u32 {
            let client = IpAddr::from(n.to_be_bytes());
            round.count("not_identified", Some(client));
        }
        round.count("body_not_read", None);
        round.dropped_read();
    });
    let [only] = &said.await[..] else {
        panic!("one record")
    };
    let expected = json!({
        "seconds": 60,
        "only_counted": { "body_not_read": 1, "not_identified": 5000 },
        "networks": {
            "seen": 20,
            "is_lower_bound": false,
            "worst": [
                { "network": "0.0.0.0/24", "count": 256 },
                { "network": "0.0.1.0/24", "count": 256 },
                { "network": "0.0.2.0/24", "count": 256 },
                { "network": "0.0.3.0/24", "count": 256 },
                { "network": "0.0.4.0/24", "count": 256 },
            ],
        },
        "dropped_reads": 1,
        "refusals_of_further_users": 0,
    });
    assert_eq!(only.detail, Some(expected.clone()));
    let nobody = Facts {
        detail: Some(expected),
        ..Facts::default()
    };
    assert_eq!(*only, nobody, "personal fields stay empty");
}

#[tokio::test(start_paused = true)]
async fn the_record_of_a_flood_is_small_whatever_the_flood_is_like() {
    let said = said(|round| {
        for n in 0..100_000_u128 {
            let client = IpAddr::from((u128::MAX - (n << 72)).to_be_bytes());
            round.count("a_reason_with_a_long_name", Some(client));
        }
    });
    let bytes = said.await[0].detail.as_ref().map(|it| it.to_string().len());
    assert!(bytes.is_some_and(|bytes| bytes < 2048), "{bytes:?}");
}

#[tokio::test(start_paused = true)]
async fn collapsed_refusals_name_their_user_where_it_can_be_erased() {
    let said = said(|round| {
        for _ in 0..30 {
            round.takes_refusal("@alice:h");
        }
        round.takes_refusal("@bob:h");
    });
    let alice = Facts {
        authenticated_user: Some("@alice:h".to_owned()),
        detail: Some(json!({ "seconds": 60, "refusals": 10 })),
        ..Facts::default()
    };
    assert_eq!(said.await, [alice]);
}

// === keep ===

struct Kept {
    collapse: Arc<Collapse>,
    inbox: mpsc::Receiver<Job>,
    /// The keeper ends when nobody else has one.
    jobs: Option<mpsc::Sender<Job>>,
    keeper: tokio::task::JoinHandle<()>,
    registry: Registry,
}

impl Kept {
    fn new() -> Self {
        let mut registry = Registry::default();
        let collapse = Arc::new(Collapse::new(Counters::new(&mut registry)));
        let stamp = Arc::new(Stamp::new(
            Arc::new(MockClock::new(DateTime::UNIX_EPOCH)),
            "gateway-1",
        ));
        let (jobs, inbox) = mpsc::channel(16);
        let keeper = tokio::spawn(keep(Arc::clone(&collapse), stamp, jobs.downgrade()));
        Self {
            collapse,
            inbox,
            jobs: Some(jobs),
            keeper,
            registry,
        }
    }

    /// Counts one request, lets `time` pass, and takes what was handed in.
    async fn after(&mut self, time: Duration) -> Vec<Job> {
        self.collapse.count("not_identified", None);
        tokio::time::sleep(time).await;
        std::iter::from_fn(|| self.inbox.try_recv().ok()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn one_record_is_handed_in_a_minute() {
    let mut kept = Kept::new();
    assert_eq!(kept.after(ROUND / 2).await.len(), 0);
    assert_eq!(kept.after(ROUND).await.len(), 1);
    assert_eq!(kept.after(ROUND / 2).await.len(), 0);
    assert_eq!(kept.after(ROUND / 2).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_a_record_is_not_durable_no_further_one_waits() {
    let mut kept = Kept::new();
    let waiting = kept.after(ROUND * 2).await;
    assert_eq!(waiting.len(), 1);
    for _ in 0..10 {
        assert_eq!(kept.after(ROUND).await.len(), 0);
    }
    drop(waiting);
    assert_eq!(kept.after(ROUND * 3 / 2).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_keeper_keeps_nobody_waiting_for_the_end() {
    let mut kept = Kept::new();
    kept.collapse.count("not_identified", None);
    kept.jobs = None;
    assert!(kept.inbox.recv().await.is_none(), "nobody can hand in");
    kept.keeper.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_collapsed_is_a_metric_at_once() {
    let kept = Kept::new();
    kept.collapse.count("not_identified", None);
    kept.collapse.count("not_identified", None);
    kept.collapse.dropped_read();
    for _ in 0..21 {
        kept.collapse.takes_refusal("@alice:h");
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &kept.registry).unwrap();
    for (what, count) in [("only_counted", 2), ("dropped_read", 1), ("refusal", 1)] {
        let line = format!("records_collapsed_total{{what=\"{what}\"}} {count}\n");
        assert!(text.contains(&line), "{text}");
    }
}
