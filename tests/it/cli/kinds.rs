//! Records that are no exchanges, listed and shown.

use key_backup_gateway::audit::record::{Facts, Kind, Phase};
use serde_json::{Value, json};
use uuid::Uuid;

use super::trail::{TRAIL, keep_kinds};
use super::{DONE, Desk};

const EXCHANGE: Uuid = Uuid::from_u128(1);

/// An intent, what was counted, and what was done; with their ids.
async fn trail() -> (Desk, Vec<Uuid>) {
    let desk = Desk::new();
    let detail = |detail| Facts {
        detail: Some(detail),
        ..Facts::default()
    };
    let intent = Facts {
        exchange_id: Some(EXCHANGE),
        phase: Some(Phase::Intent),
        ..Facts::default()
    };
    let collapsed = detail(json!({ "seconds": 60, "only_counted": { "not_identified": 1500 } }));
    let operation = detail(json!({ "operation": "spool_damaged", "lost": 1 }));
    let records = vec![
        (Kind::Exchange, intent),
        (Kind::Collapsed, collapsed),
        (Kind::Operation, operation),
    ];
    let ids = keep_kinds(&desk, records).await;
    (desk, ids)
}

#[tokio::test]
async fn every_kind_is_listed_in_every_format() {
    let (desk, ids) = trail().await;
    let list = |format: &str| {
        let command = format!("audit list {TRAIL} --format {format}");
        desk.run(&command).expect(DONE).stdout
    };
    let table = list("table");
    for (kind, says, id) in [
        ("operation", "spool_damaged", ids[2]),
        ("collapsed", "1500 counted", ids[1]),
        ("exchange", "(intent)", EXCHANGE),
    ] {
        let id = id.to_string();
        let is_it = |line: &str| [kind, says, &id].iter().all(|part| line.contains(part));
        assert!(table.lines().any(is_it), "{kind}: {table}");
    }
    let jsonl = list("jsonl");
    let lines = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["kind"], "operation");
    assert_eq!(lines[1]["kind"], "collapsed");
    assert_eq!(lines[1]["detail"]["only_counted"]["not_identified"], 1500);
    assert_eq!(lines[1]["claimed_user"], Value::Null);
    let csv = list("csv");
    assert_eq!(csv.lines().count(), 4);
    assert!(
        csv.contains(r#""{""only_counted"":{""not_identified"":1500}"#),
        "{csv}"
    );
}

#[tokio::test]
async fn a_record_is_shown_by_its_own_id_and_half_an_exchange_as_a_whole() {
    let (desk, ids) = trail().await;
    let show = |id: Uuid| {
        let command = format!("audit show {id} {TRAIL}");
        desk.run(&command).expect(DONE).stdout
    };
    let collapsed = show(ids[1]);
    assert!(
        collapsed.starts_with("collapsed (1 of 1)\n") && collapsed.contains(r#""seconds":60"#),
        "{collapsed}"
    );
    assert!(!collapsed.contains("unanswered"), "{collapsed}");
    assert!(show(ids[2]).starts_with("operation (1 of 1)\n"));
    assert_eq!(show(ids[0]), show(EXCHANGE));
}
