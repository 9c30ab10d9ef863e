use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::audit::record::{Facts, Kind, Stamp};
use crate::clock::MockClock;

/// ESC, BEL, a C1 control sequence introducer, a right-to-left override, and a new line.
const HOSTILE: &str = "a\u{1b}[31mb\u{7}c\u{9b}2Jd\u{202e}e\nf";

fn stored(facts: Facts) -> Stored {
    let now = "2026-11-23T09:30:00.000042Z".parse().expect("a valid time");
    let stamp = Stamp::new(Arc::new(MockClock::new(now)), "gateway-1");
    Stored {
        record: stamp.record(Kind::Exchange, facts),
        stored_at: now,
    }
}

fn full() -> Facts {
    Facts {
        exchange_id: Some(Uuid::from_u128(7)),
        phase: Some(Phase::Outcome),
        action: Some(Action::Write),
        event_type: Some(EventType::Stable),
        claimed_user: Some("@alice:example.org".to_owned()),
        authenticated_user: Some("@alice:example.org".to_owned()),
        device_id: Some("DEVICE".to_owned()),
        is_guest: Some(false),
        client_address: Some("192.0.2.1".to_owned()),
        client_chain: vec!["192.0.2.1".to_owned(), "10.0.0.1".to_owned()],
        user_agent: Some("Element, \"X\"".to_owned()),
        preference: Some(Preference::Enabled),
        verdict: Some(Judged::Accept),
        violations: Vec::new(),
        outcome: Some(Outcome::Answered),
        origin_status: Some(200),
        errcode: None,
        request_id: Some("r-1".to_owned()),
        traceparent: Some("00-1-2-01".to_owned()),
        body_sha256: Some([0xab; 32]),
        duration_us: Some(1234),
        detail: Some(serde_json::json!({"b": 1, "a": [2]})),
    }
}

/// As a store might give it back after somebody else has written to it.
fn hostile() -> Stored {
    let mut stored = stored(full());
    let facts = &mut stored.record.facts;
    for text in [
        &mut facts.claimed_user,
        &mut facts.device_id,
        &mut facts.user_agent,
        &mut facts.request_id,
        &mut facts.errcode,
    ] {
        *text = Some(HOSTILE.to_owned());
    }
    facts.violations = vec![HOSTILE.to_owned()];
    facts.client_chain = vec![HOSTILE.to_owned()];
    facts.detail = Some(serde_json::json!({ HOSTILE: HOSTILE }));
    HOSTILE.clone_into(&mut stored.record.instance);
    stored
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a Vec takes all");
    String::from_utf8(out).expect("text")
}

fn jsonl(stored: &Stored) -> String {
    text(|out| write_jsonl(out, stored))
}

fn table(page: &[Stored]) -> String {
    text(|out| Table::new(out).write(page))
}

fn acts_on_terminals(text: &str) -> bool {
    text.chars()
        .any(|char| char != '\n' && text::acts_on_terminals(char))
}

#[test]
fn a_line_of_jsonl_has_every_field_in_order() {
    let line = jsonl(&stored(full()));
    let positions: Vec<_> = FIELDS
        .iter()
        .map(|name| line.find(&format!("\"{name}\":")).expect(name))
        .collect();
    assert!(positions.is_sorted(), "{line}");

    let json: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json.as_object().unwrap().len(), FIELDS.len());
    assert_eq!(json["exchange_id"], "00000000-0000-0000-0000-000000000007");
    assert_eq!(json["recorded_at"], "2026-11-23T09:30:00.000042Z");
    assert_eq!(
        json["client_chain"],
        serde_json::json!(["192.0.2.1", "10.0.0.1"])
    );
    assert_eq!(json["violations"], serde_json::json!([]));
    assert_eq!(json["body_sha256"], "ab".repeat(32));
    assert_eq!(json["is_guest"], false);
    assert_eq!(json["detail"], serde_json::json!({"a": [2], "b": 1}));
    assert_eq!(json["claimed_commitment"].as_str().unwrap().len(), 64);
}

#[test]
fn times_have_six_decimals_even_if_all_are_zero() {
    assert_eq!(
        time("2026-11-23T09:30:00Z".parse().unwrap()),
        "2026-11-23T09:30:00.000000Z"
    );
}

#[test]
fn what_is_not_known_is_null() {
    let json: Value = serde_json::from_str(&jsonl(&stored(Facts::default()))).unwrap();
    for name in [
        "exchange_id",
        "phase",
        "claimed_user",
        "outcome",
        "body_sha256",
        "detail",
    ] {
        assert_eq!(json.get(name), Some(&Value::Null), "{name}");
    }
}

#[test]
fn salts_are_not_shown() {
    let stored = stored(full());
    let salt = hex::encode(stored.record.claimed.salt.unwrap());
    let shown = [
        jsonl(&stored),
        text(|out| exchange(out, std::slice::from_ref(&stored))),
    ];
    for shown in shown {
        assert!(!shown.contains("salt") && !shown.contains(&salt), "{shown}");
    }
}

#[test]
fn no_output_acts_on_a_terminal_whatever_the_database_holds() {
    let stored = hostile();
    let page = std::slice::from_ref(&stored);
    let line = jsonl(&stored);
    for shown in [line.clone(), table(page), text(|out| exchange(out, page))] {
        assert!(!acts_on_terminals(&shown), "{shown:?}");
    }
    assert_eq!(line.lines().count(), 1);
    assert_eq!(table(page).lines().count(), 2, "a header and one row");
    let json: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["user_agent"], HOSTILE, "JSON says the same, escaped");
}

#[test]
fn a_table_names_another_user_than_the_path_does() {
    let other = Facts {
        authenticated_user: Some("@bob:example.org".to_owned()),
        ..full()
    };
    let read = Facts {
        authenticated_user: None,
        action: Some(Action::Read),
        ..full()
    };
    let shown = table(&[stored(full()), stored(other), stored(read)]);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[1].contains(" @alice:example.org  "), "{shown}");
    assert!(
        lines[2].contains(" @bob:example.org for @alice:example.org "),
        "{shown}"
    );
    assert!(
        lines[3].contains(" @alice:example.org (claimed) "),
        "{shown}"
    );
}

#[test]
fn a_table_tells_intent_outcome_and_refusal_apart() {
    let intent = Facts {
        phase: Some(Phase::Intent),
        outcome: None,
        origin_status: None,
        ..full()
    };
    let refusal = Facts {
        verdict: Some(Judged::Refuse),
        preference: None,
        violations: vec!["field_not_boolean".to_owned()],
        outcome: Some(Outcome::Refused),
        origin_status: None,
        ..full()
    };
    insta::assert_snapshot!(table(&[stored(refusal), stored(full()), stored(intent)]), @"
    TIME (UTC)           ACTION  TYPE    USER                DEVICE  VERDICT                   OUTCOME       ID
    2026-11-23 09:30:00  write   stable  @alice:example.org  DEVICE  refuse field_not_boolean  refused       00000000-0000-0000-0000-000000000007
    2026-11-23 09:30:00  write   stable  @alice:example.org  DEVICE  accept enabled            answered 200  00000000-0000-0000-0000-000000000007
    2026-11-23 09:30:00  write   stable  @alice:example.org  DEVICE  accept enabled            (intent)      00000000-0000-0000-0000-000000000007
    ");
}

#[test]
fn what_is_no_exchange_says_what_it_counts_or_did() {
    let other = |kind, user: Option<&str>, detail| {
        let mut stored = stored(Facts {
            authenticated_user: user.map(str::to_owned),
            detail: Some(detail),
            ..Facts::default()
        });
        stored.record.kind = kind;
        stored.record.id = Uuid::from_u128(9);
        stored
    };
    let flood = serde_json::json!({
        "only_counted": { "not_identified": 1500, "body_not_read": 2 },
        "dropped_reads": 3,
        "refusals_of_further_users": 0,
    });
    let refusals = serde_json::json!({ "refusals": 30 });
    let damaged = serde_json::json!({ "operation": "spool_damaged", "lost": 1 });
    insta::assert_snapshot!(table(&[
        other(Kind::Collapsed, None, flood),
        other(Kind::Collapsed, Some("@alice:example.org"), refusals),
        other(Kind::Operation, None, damaged),
        other(Kind::Operation, None, Value::Null),
    ]), @"
    TIME (UTC)           ACTION     TYPE  USER                DEVICE  VERDICT                  OUTCOME  ID
    2026-11-23 09:30:00  collapsed  -     -                   -       1502 counted, 3 dropped  -        00000000-0000-0000-0000-000000000009
    2026-11-23 09:30:00  collapsed  -     @alice:example.org  -       30 refusals              -        00000000-0000-0000-0000-000000000009
    2026-11-23 09:30:00  operation  -     -                   -       spool_damaged            -        00000000-0000-0000-0000-000000000009
    2026-11-23 09:30:00  operation  -     -                   -       -                        -        00000000-0000-0000-0000-000000000009
    ");
}

#[test]
fn a_typical_line_fits_a_wide_terminal() {
    let shown = table(&[stored(full())]);
    assert!(
        shown.lines().all(|line| line.chars().count() <= 140),
        "{shown}"
    );
}

#[test]
fn an_empty_trail_is_a_header() {
    assert_eq!(table(&[]).lines().count(), 1);
}

#[test]
fn an_exchange_without_an_outcome_says_that_it_may_have_happened() {
    let intent = Facts {
        phase: Some(Phase::Intent),
        outcome: None,
        ..full()
    };
    let shown = |records: &[Stored]| text(|out| exchange(out, records));
    let alone = shown(&[stored(intent.clone())]);
    assert!(alone.contains("unanswered"), "{alone}");
    let both = shown(&[stored(intent), stored(full())]);
    assert!(
        both.contains("intent (1 of 2)") && both.contains("outcome (2 of 2)"),
        "{both}"
    );
    assert!(!both.contains("unanswered"), "{both}");
    assert!(
        both.contains("client_chain              192.0.2.1, 10.0.0.1\n"),
        "{both}"
    );
}

#[cfg(feature = "gateway")]
mod csv_tests {
    use super::*;

    fn rows(records: &[Stored]) -> Vec<Vec<String>> {
        let written = text(|out| {
            let mut csv = Csv::new(out)?;
            records.iter().try_for_each(|one| csv.write(one))?;
            csv.flush()
        });
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(written.as_bytes());
        reader
            .records()
            .map(|row| row.unwrap().iter().map(str::to_owned).collect())
            .collect()
    }

    fn column<'a>(rows: &'a [Vec<String>], name: &str) -> &'a str {
        let index = FIELDS.iter().position(|field| *field == name).unwrap();
        &rows[1][index]
    }

    #[test]
    fn csv_has_the_columns_of_jsonl() {
        let rows = rows(&[stored(full())]);
        assert_eq!(rows[0], FIELDS);
        assert_eq!(rows[1].len(), FIELDS.len());
        assert_eq!(column(&rows, "user_agent"), "Element, \"X\"");
        assert_eq!(column(&rows, "client_chain"), r#"["192.0.2.1","10.0.0.1"]"#);
        assert_eq!(column(&rows, "origin_status"), "200");
        assert_eq!(column(&rows, "errcode"), "");
    }

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(
            column(&rows(&[stored(full())]), "claimed_user"),
            "'@alice:example.org"
        );
        for start in FORMULA {
            let mut stored = stored(full());
            stored.record.facts.user_agent = Some(format!("{start}1+1"));
            let rows = rows(&[stored]);
            let cell = column(&rows, "user_agent");
            assert!(cell.starts_with('\''), "{cell:?}");
        }
    }

    #[test]
    fn no_cell_acts_on_a_terminal() {
        let cells = rows(&[hostile()]).concat();
        assert!(
            !cells.iter().any(|cell| acts_on_terminals(cell)),
            "{cells:?}"
        );
    }
}
