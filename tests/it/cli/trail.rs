//! `migrate` and `audit`, over a trail in SQLite.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use key_backup_gateway::audit;
use key_backup_gateway::audit::record::{Facts, Judged, Kind, Outcome, Phase, Stamp};
use key_backup_gateway::audit::store;
use key_backup_gateway::clock::MockClock;
use key_backup_gateway::matrix::{Action, EventType, Preference};
use serde_json::Value;
use uuid::Uuid;

use super::{CONFIG, DONE, Desk};

const FAILED: i32 = 1;

pub(super) const TRAIL: &str = "--database sqlite:trail.db";

/// A minute after the other, from here.
const BEGIN: &str = "2026-11-23T09:00:00Z";

fn write(user: &str, phase: Phase) -> Facts {
    let is_outcome = phase == Phase::Outcome;
    Facts {
        phase: Some(phase),
        action: Some(Action::Write),
        event_type: Some(EventType::Stable),
        claimed_user: Some(user.to_owned()),
        authenticated_user: Some(user.to_owned()),
        device_id: Some("DEVICE".to_owned()),
        preference: Some(Preference::Enabled),
        verdict: Some(Judged::Accept),
        outcome: is_outcome.then_some(Outcome::Answered),
        origin_status: is_outcome.then_some(200),
        ..Facts::default()
    }
}

fn refusal(user: &str) -> Facts {
    Facts {
        verdict: Some(Judged::Refuse),
        preference: None,
        violations: vec!["field_not_boolean".to_owned()],
        outcome: Some(Outcome::Refused),
        origin_status: None,
        ..write(user, Phase::Outcome)
    }
}

/// A trail of exchanges, a minute after the other.
async fn keep(desk: &Desk, facts: Vec<Facts>) {
    let exchange = |facts| (Kind::Exchange, facts);
    keep_kinds(desk, facts.into_iter().map(exchange).collect()).await;
}

/// A trail of records of these kinds, a minute after the other; returns their ids.
pub(super) async fn keep_kinds(desk: &Desk, records: Vec<(Kind, Facts)>) -> Vec<Uuid> {
    let url = format!("sqlite:{}", desk.folder.path().join("trail.db").display());
    let store = audit::open(&store::Config {
        url: url.into(),
        ..store::Config::default()
    })
    .unwrap();
    store.migrate().await.unwrap();
    let clock = Arc::new(MockClock::new(BEGIN.parse::<DateTime<Utc>>().unwrap()));
    let stamp = Stamp::new(Arc::clone(&clock) as _, "gateway-1");
    let records: Vec<_> = records
        .into_iter()
        .map(|(kind, facts)| {
            let record = stamp.record(kind, facts);
            clock.advance(TimeDelta::minutes(1));
            record
        })
        .collect();
    for batch in records.chunks(256) {
        store.append(batch).await.unwrap();
    }
    store.close().await;
    records.iter().map(|record| record.id).collect()
}

/// Alice's write, Bob's refusal, Alice's refusal.
async fn small_trail() -> Desk {
    let desk = Desk::new();
    let id = Some(Uuid::from_u128(1));
    let trail = vec![
        Facts {
            exchange_id: id,
            ..write("@alice:h", Phase::Intent)
        },
        Facts {
            exchange_id: id,
            ..write("@alice:h", Phase::Outcome)
        },
        Facts {
            exchange_id: Some(Uuid::from_u128(2)),
            ..refusal("@bob:h")
        },
        Facts {
            exchange_id: Some(Uuid::from_u128(3)),
            ..refusal("@alice:h")
        },
    ];
    keep(&desk, trail).await;
    desk
}

/// The values of `field` in the lines that `flags` ask for.
fn listed(desk: &Desk, flags: &str, field: &str) -> Vec<Value> {
    let ran = desk
        .run(&format!("audit list {TRAIL} --format jsonl {flags}"))
        .expect(DONE);
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()[field].clone();
    ran.stdout.lines().map(line).collect()
}

#[test]
fn migrate_makes_an_empty_trail_and_needs_no_origin() {
    let desk = Desk::new();
    for _ in 0..2 {
        let ran = desk.run(&format!("migrate {TRAIL}")).expect(DONE);
        assert_eq!(ran.stdout, "the database is up to date\n");
    }
    let ran = desk.run(&format!("audit list {TRAIL}")).expect(DONE);
    assert!(
        ran.stdout.starts_with("TIME (UTC)") && ran.stdout.lines().count() == 1,
        "{ran:?}"
    );
    let ran = desk
        .run(&format!("audit list {TRAIL} --format jsonl"))
        .expect(DONE);
    assert_eq!(ran.stdout, "");
}

#[test]
fn reading_a_trail_that_is_not_there_makes_none() {
    let desk = Desk::new();
    for command in [
        "audit list",
        "audit show 00000000-0000-0000-0000-000000000001",
    ] {
        let ran = desk.run(&format!("{command} {TRAIL}")).expect(CONFIG);
        assert!(
            ran.stderr.contains("trail.db") && ran.stdout.is_empty(),
            "{ran:?}"
        );
    }
    assert_eq!(desk.files(), 0);
}

#[tokio::test]
async fn the_newest_comes_first_in_every_format() {
    let desk = small_trail().await;
    let users = listed(&desk, "", "claimed_user");
    assert_eq!(users, ["@alice:h", "@bob:h", "@alice:h", "@alice:h"]);

    let table = desk.run(&format!("audit list {TRAIL}")).expect(DONE).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[1].contains("refuse field_not_boolean") && lines[1].contains("refused"));
    assert!(
        lines[3].contains("answered 200") && lines[4].contains("(intent)"),
        "{table}"
    );

    let csv = desk
        .run(&format!("audit list {TRAIL} --format csv"))
        .expect(DONE)
        .stdout;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("id,kind,exchange_id,phase,"), "{csv}");
    assert!(lines.len() == 5 && lines[2].contains(",'@bob:h,"), "{csv}");
}

#[tokio::test]
async fn each_filter_leaves_out_what_it_says() {
    let desk = small_trail().await;
    let count = |flags: &str| listed(&desk, flags, "id").len();
    assert_eq!(count(""), 4);
    assert_eq!(count("--user @bob:h"), 1);
    assert_eq!(count("--user @carol:h"), 0);
    assert_eq!(count("--action write"), 4);
    assert_eq!(count("--action read"), 0);
    assert_eq!(count("--verdict refuse"), 2);
    assert_eq!(count("--outcome answered"), 1);
    assert_eq!(count("--outcome refused --user @alice:h"), 1);
    assert_eq!(count("--since 2026-11-23T09:01:00Z"), 3, "inclusive");
    assert_eq!(count("--until 2026-11-23T09:01:00Z"), 1, "exclusive");
    assert_eq!(
        count("--since 2026-11-23T10:01:00+01:00 --until 2026-11-23T09:02:00Z"),
        1
    );
    assert_eq!(count("--since 1000years"), 4, "an age");
    assert_eq!(count("--until 1000years"), 0, "an age");
    assert_eq!(count("--limit 3"), 3);
}

#[tokio::test]
async fn a_hundred_are_listed_unless_told_and_all_page_by_page() {
    let desk = Desk::new();
    keep(
        &desk,
        (0..1101).map(|n| refusal(&format!("@u{n}:h"))).collect(),
    )
    .await;
    assert_eq!(listed(&desk, "", "id").len(), 100);
    assert_eq!(listed(&desk, "--limit 1000", "id").len(), 1000);
    let newest_first: Vec<_> = (0..1101).rev().map(|n| format!("@u{n}:h")).collect();
    let users = listed(&desk, "--limit 1001", "claimed_user");
    assert_eq!(users, newest_first[..1001]);
    let users = listed(&desk, "--limit 0", "claimed_user");
    assert_eq!(users, newest_first, "each once, none left out");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let desk = Desk::new();
    keep(
        &desk,
        (0..1101).map(|n| refusal(&format!("@u{n}:h"))).collect(),
    )
    .await;
    for format in ["table", "jsonl", "csv"] {
        let mut command = desk.command(&format!("audit list {TRAIL} --limit 0 --format {format}"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        // Read one line, and close the pipe with most of the trail unread.
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(first.len() > 50, "{format}: {first}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(DONE), "{format}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}

#[tokio::test]
async fn one_exchange_is_shown_with_both_halves() {
    let desk = small_trail().await;
    let show = |id: u128| format!("audit show {} {TRAIL}", Uuid::from_u128(id));
    let shown = desk.run(&show(1)).expect(DONE).stdout;
    let intent = shown.find("intent (1 of 2)").expect(&shown);
    let outcome = shown.find("outcome (2 of 2)").expect(&shown);
    assert!(intent < outcome, "{shown}");
    assert!(
        shown.contains("@alice:h") && !shown.contains("@bob:h"),
        "{shown}"
    );

    let ran = desk.run(&show(9)).expect(FAILED);
    assert!(ran.stdout.is_empty(), "{ran:?}");
    assert!(
        ran.stderr
            .contains("no exchange and no record 00000000-0000-0000-0000-000000000009"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn the_database_of_the_configuration_is_read_if_none_is_given() {
    let desk = small_trail()
        .await
        .with_file("gateway.toml", "[database]\nurl = \"sqlite:trail.db\"\n");
    let ran = desk.run("audit list --config gateway.toml").expect(DONE);
    assert_eq!(ran.stdout.lines().count(), 5, "{ran:?}");

    let desk = small_trail()
        .await
        .with_variable("KEY_BACKUP_GATEWAY__DATABASE__URL", "sqlite:trail.db");
    let ran = desk.run("audit list").expect(DONE);
    assert_eq!(ran.stdout.lines().count(), 5, "{ran:?}");
}
