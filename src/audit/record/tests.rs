use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::{Commitment, Facts, Judged, Kind, Outcome, Phase, Stamp, text};
use crate::clock::{Clock, MockClock};
use crate::matrix::Preference;
use crate::policy::{Verdict, Violation};

fn stamp() -> (Arc<MockClock>, Stamp) {
    let now = DateTime::parse_from_rfc3339("2026-11-23T12:00:00.123456Z").unwrap();
    let clock = Arc::new(MockClock::new(now.to_utc()));
    (Arc::clone(&clock), Stamp::new(clock, "here"))
}

#[test]
fn later_records_have_greater_ids_within_the_same_instant_too() {
    let (clock, stamp) = stamp();
    let ids: Vec<_> = (0..1000).map(|_| stamp.new_id()).collect();
    assert!(ids.is_sorted());
    clock.advance(TimeDelta::milliseconds(1));
    assert!(stamp.new_id() > ids[999]);
    assert_eq!(ids[0].get_version_num(), 7);
}

#[test]
fn two_closers_write_one_record() {
    let (_, one) = stamp();
    let (clock, other) = stamp();
    clock.advance(TimeDelta::hours(3));
    let intent = one.record(
        Kind::Exchange,
        Facts {
            phase: Some(Phase::Intent),
            ..Facts::default()
        },
    );
    let closed = one.closing(&intent, Outcome::Unanswered, serde_json::json!({}));
    let again = other.closing(&intent, Outcome::Unanswered, serde_json::json!({}));
    assert_eq!(closed.id, again.id);
    assert_ne!(closed.id, intent.id);
    assert_eq!(closed.id.get_version_num(), 7);
    assert!(closed.id > intent.id, "it comes after its intent");
    assert_eq!(closed.id.as_u128() >> 80, (intent.id.as_u128() >> 80) + 1);
    assert_eq!(closed.facts.outcome, Some(Outcome::Unanswered));
    assert_ne!(
        closed.id,
        one.closing(&intent, Outcome::Failed, serde_json::json!({}))
            .id
    );
}

#[test]
fn a_commitment_is_to_the_fields_of_its_subject() {
    let (_, stamp) = stamp();
    let facts = Facts {
        claimed_user: Some("@a:b".to_owned()),
        authenticated_user: Some("@c:d".to_owned()),
        device_id: Some("DEV".to_owned()),
        client_chain: vec!["10.0.0.1".to_owned()],
        user_agent: Some("x\0y".to_owned()),
        ..Facts::default()
    };
    let record = stamp.record(Kind::Exchange, facts);
    assert_eq!(record.facts.user_agent.as_deref(), Some("x\\u{0}y"));
    for (commitment, hash) in [
        (
            record.claimed,
            Commitment::claimed_hash as fn(&[u8; 16], &Facts) -> [u8; 32],
        ),
        (record.authenticated, Commitment::authenticated_hash),
        (record.client, Commitment::client_hash),
    ] {
        assert_eq!(
            commitment.hash,
            Some(hash(&commitment.salt.unwrap(), &record.facts))
        );
        let other = Facts {
            claimed_user: None,
            device_id: None,
            user_agent: None,
            ..record.facts.clone()
        };
        assert_ne!(
            commitment.hash,
            Some(hash(&commitment.salt.unwrap(), &other))
        );
    }
    assert_ne!(record.claimed.salt, record.client.salt);
}

#[test]
fn a_commitment_keeps_its_format() {
    let facts = Facts {
        authenticated_user: Some("@a:b".to_owned()),
        is_guest: Some(false),
        ..Facts::default()
    };
    // printf 'key-backup-gateway/commitment/v1/authenticated\0' + 16 zero bytes + fields
    let hash = Commitment::authenticated_hash(&[0; 16], &facts);
    assert_eq!(
        hex::encode(hash),
        "71e65fe054d712314f215dc8d69e68f68a8f80cfd862b6da896352f7b3f7b756"
    );
}

#[test]
fn a_record_holds_the_word_of_its_verdict() {
    for verdict in [
        Verdict::Accept(Preference::Enabled),
        Verdict::Clear,
        Verdict::refuse(Violation::NotJson),
    ] {
        let facts = Facts::default().judged(&verdict);
        assert_eq!(facts.verdict.map(Judged::as_str), Some(verdict.code()));
    }
}

#[test]
fn text_is_escaped_and_cut_with_a_mark() {
    assert_eq!(text::made_safe("plain é", 255), "plain é");
    assert_eq!(
        text::made_safe("a\0b\u{1b}[31m\u{202e}\u{61c}", 255),
        "a\\u{0}b\\u{1b}[31m\\u{202e}\\u{61c}"
    );
    assert_eq!(text::made_safe(&"a".repeat(255), 255), "a".repeat(255));
    assert_eq!(
        text::made_safe(&"a".repeat(256), 255),
        format!("{}…", "a".repeat(252))
    );
}

#[test]
fn the_clock_of_a_record_is_the_one_handed_in() {
    let (clock, stamp) = stamp();
    assert_eq!(
        stamp.record(Kind::Exchange, Facts::default()).recorded_at,
        clock.now()
    );
}

proptest! {
    #[test]
    fn safe_text_fits_and_holds_no_controls(text in any::<String>(), limit in 8_usize..64) {
        let safe = text::made_safe(&text, limit);
        prop_assert!(safe.len() <= limit);
        prop_assert!(!safe.chars().any(char::is_control));
    }
}
