//! Store away, origin away, client gone: what is recorded, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use key_backup_gateway::audit::record::{Facts, Outcome, Phase, Stored};
use key_backup_gateway::audit::{Lost, Mode, Patience};
use tokio::sync::Notify;
use tower::Service;

use crate::rig::homeserver::{Act, Broken};
use crate::rig::store::{SLOW, Switch};
use crate::rig::{ALICE, Rig, put, request};

const GOOD: &str = r#"{"enabled":true}"#;
const BAD: &str = r#"{"enabled":"yes"}"#;
/// Longer than the writer pauses between two attempts.
const MOMENT: Duration = Duration::from_millis(400);

fn story(records: &[Stored]) -> Vec<(Option<Phase>, Option<Outcome>)> {
    records
        .iter()
        .map(|it| (it.record.facts.phase, it.record.facts.outcome))
        .collect()
}

const INTENT: (Option<Phase>, Option<Outcome>) = (Some(Phase::Intent), None);

fn outcome(outcome: Outcome) -> (Option<Phase>, Option<Outcome>) {
    (Some(Phase::Outcome), Some(outcome))
}

#[tokio::test]
async fn without_a_record_the_origin_never_hears_of_the_write() {
    for switch in [Switch::Off, Switch::Hangs] {
        let rig = Rig::with(|config| config.audit.deadline = MOMENT).await;
        rig.store.switch(switch);
        for body in [GOOD, BAD] {
            let answer = rig.put(body).await;
            let text = answer.text();
            assert!(
                text.starts_with(r#"503 {"errcode":"M_UNKNOWN","error":""#),
                "{text}"
            );
            assert_eq!(answer.field("retry-after"), Some("1"));
            assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
        }
        assert!(rig.homeserver.requests().is_empty());
        rig.store.switch(Switch::On);
        assert_eq!(rig.put(GOOD).await.status, 200, "it recovers");
        let records = rig.records().await;
        assert_eq!(
            story(&records[records.len() - 2..]),
            [INTENT, outcome(Outcome::Answered)]
        );
    }
}

#[tokio::test]
async fn an_intent_that_was_stored_behind_our_back_is_closed_as_never_sent() {
    let rig = Rig::with(|config| config.audit.deadline = MOMENT).await;
    rig.store.switch(Switch::Mute);
    assert_eq!(rig.put(GOOD).await.status, 503);
    assert!(rig.homeserver.requests().is_empty());
    assert_eq!(story(&rig.stored().await)[0], INTENT, "the store has it");
    rig.store.switch(Switch::On);
    rig.stored_once(2).await;
    assert_eq!(
        story(&rig.records().await),
        [INTENT, outcome(Outcome::Failed)],
        "once each"
    );
}

#[tokio::test]
async fn best_effort_forwards_and_records_later() {
    let rig = Rig::with(|config| {
        config.audit.deadline = MOMENT;
        config.audit.mode = Mode::BestEffort;
    })
    .await;
    rig.store.switch(Switch::Off);
    assert_eq!(rig.put(GOOD).await.text(), "200 {}");
    assert_eq!(rig.put(BAD).await.status, 400, "a refusal is itself");
    assert_eq!(rig.homeserver.requests().len(), 1);
    let late = rig.metric(r#"keybackup_records_lost_total{reason="deadline"}"#);
    assert_eq!(late, 3);
    rig.store.switch(Switch::On);
    rig.layer.idle().await;
    rig.stored_once(3).await;
    let records = rig.records().await;
    assert_eq!(
        story(&records),
        [
            INTENT,
            outcome(Outcome::Answered),
            outcome(Outcome::Refused)
        ],
        "once each, in order"
    );
}

#[tokio::test]
async fn an_outcome_that_cannot_be_stored_holds_up_no_answer_and_comes_later() {
    let rig = Rig::with(|config| config.audit.deadline = MOMENT).await;
    let told = Arc::new(Notify::new());
    rig.homeserver.other(Act::Waits(Arc::clone(&told)));
    let (answer, ()) = tokio::join!(rig.put(GOOD), async {
        rig.arrival().await;
        rig.store.switch(Switch::Off);
        told.notify_one();
    });
    assert_eq!(
        answer.text(),
        "200 {}",
        "a 200 of the origin's is never turned into an error"
    );
    assert_eq!(story(&rig.stored().await), [INTENT]);
    rig.store.switch(Switch::On);
    rig.stored_once(2).await;
    assert_eq!(
        story(&rig.records().await),
        [INTENT, outcome(Outcome::Answered)]
    );
}

#[tokio::test]
async fn a_store_slower_than_the_deadline_takes_what_is_true_all_the_same() {
    let rig = Rig::with(|config| {
        config.audit.deadline = SLOW / 10;
        config.audit.mode = Mode::BestEffort;
    })
    .await;
    rig.store.switch(Switch::Slow);
    assert_eq!(rig.put(GOOD).await.text(), "200 {}");
    assert_eq!(
        story(&rig.stored_once(2).await),
        [INTENT, outcome(Outcome::Answered)]
    );
}

#[tokio::test]
async fn an_outcome_finds_its_place_however_much_is_waiting() {
    let rig = Rig::with(|config| config.audit.deadline = MOMENT).await;
    let told = Arc::new(Notify::new());
    rig.homeserver.other(Act::Waits(Arc::clone(&told)));
    let (answer, ()) = tokio::join!(rig.put(GOOD), async {
        rig.arrival().await;
        rig.store.switch(Switch::Off);
        // More than the writer holds and its queue takes.
        let crowd = (0..9000).map(|_| {
            let audit = rig.audit.clone();
            tokio::spawn(async move { audit.append(Facts::default(), Patience::Leave).await })
        });
        for one in crowd.collect::<Vec<_>>() {
            assert_eq!(one.await.unwrap(), Err(Lost::Deadline));
        }
        told.notify_one();
    });
    assert_eq!(answer.text(), "200 {}");
    rig.store.switch(Switch::On);
    assert_eq!(
        story(&rig.stored_once(2).await),
        [INTENT, outcome(Outcome::Answered)]
    );
}

#[tokio::test]
async fn a_client_that_leaves_leaves_no_hole() {
    let rig = Rig::start().await;
    rig.homeserver.other(Act::Slow(MOMENT));
    let mut guard = rig.guard.clone();
    // The request is taken on, and its client gone, at once.
    drop(guard.call(put(GOOD)));
    let records = rig.records().await;
    assert_eq!(story(&records), [INTENT, outcome(Outcome::Answered)]);
    assert_eq!(rig.homeserver.requests().len(), 1);

    let mut guard = rig.guard.clone();
    drop(guard.call(request("GET", ALICE, "")));
    assert_eq!(rig.records().await.len(), 3);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_passed_on_and_recorded_for_what_it_means() {
    for (act, expected) in [
        (Act::Error(Broken::NeverSent), Outcome::Failed),
        (Act::Error(Broken::Maybe), Outcome::Unanswered),
        (Act::Vanish, Outcome::Unanswered),
    ] {
        let rig = Rig::start().await;
        rig.homeserver.other(act.clone());
        assert!(rig.try_send(put(GOOD)).await.is_err(), "{act:?}");
        assert_eq!(
            story(&rig.records().await),
            [INTENT, outcome(expected)],
            "{act:?}"
        );
    }
}

#[tokio::test]
async fn an_origin_that_does_not_answer_may_have_acted() {
    let rig = Rig::with(|config| config.timeout = MOMENT).await;
    rig.homeserver.other(Act::Slow(Duration::from_mins(1)));
    let text = rig.put(GOOD).await.text();
    assert!(text.starts_with(r#"504 {"errcode":"M_UNKNOWN""#), "{text}");
    assert_eq!(
        story(&rig.records().await),
        [INTENT, outcome(Outcome::Unanswered)]
    );
}

#[tokio::test]
async fn one_bad_record_costs_only_itself() {
    let rig = Rig::start().await;
    rig.store.switch(Switch::Poisoned);
    let poison = ALICE.replace("alice", "poison");
    let (good, bad, other) = tokio::join!(
        rig.put(GOOD),
        rig.send(request("PUT", &poison, GOOD)),
        rig.put(GOOD),
    );
    assert_eq!([good.status, bad.status, other.status], [200, 503, 200]);
    assert_eq!(rig.records().await.len(), 4);
    assert_eq!(
        rig.metric(r#"keybackup_records_lost_total{reason="refused"}"#),
        1
    );
}

#[tokio::test]
async fn what_waits_together_is_stored_together() {
    let rig = Rig::start().await;
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let mut guard = rig.guard.clone();
        writes.spawn(async move { guard.call(put(GOOD)).await.unwrap().status() });
    }
    assert!(writes.join_all().await.iter().all(StatusCode::is_success));
    assert_eq!(rig.records().await.len(), 128);
    let batches = rig.store.batches();
    assert!(batches.iter().any(|records| *records > 1), "{batches:?}");
    assert!(batches.len() < 128, "{batches:?}");
}

#[tokio::test]
async fn stopping_writes_what_waits_and_ends_the_run() {
    let rig = Rig::start().await;
    rig.put(GOOD).await;
    rig.audit.stop(Duration::from_secs(10)).await;
    assert_eq!(
        rig.put(GOOD).await.status,
        503,
        "nothing goes on without its record"
    );
    assert_eq!(rig.homeserver.requests().len(), 1);
}
