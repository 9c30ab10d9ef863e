//! Writes and clears.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use insta::assert_snapshot;
use key_backup_gateway::audit::record::{Judged, Outcome, Phase};
use key_backup_gateway::client::{Client, RequestId};
use key_backup_gateway::matrix::{Action, EventType, Preference};
use key_backup_gateway::policy::{Choice, Mode};
use sha2::{Digest, Sha256};

use crate::rig::homeserver::Act;
use crate::rig::{ALICE, Rig, put, request};

#[tokio::test]
async fn a_string_is_not_a_preference() {
    let rig = Rig::start().await;
    let answer = rig.put(r#"{"enabled":"yes"}"#).await;

    assert_snapshot!(answer.text(), @r#"400 {"errcode":"M_BAD_JSON","error":"enabled must be true or false"}"#);
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    assert!(rig.homeserver.requests().is_empty());
    let [stored] = &rig.records().await[..] else {
        panic!("one record")
    };
    let facts = &stored.record.facts;
    assert_eq!(facts.phase, Some(Phase::Outcome));
    assert_eq!(facts.outcome, Some(Outcome::Refused));
    assert_eq!(facts.verdict, Some(Judged::Refuse));
    assert_eq!(facts.violations, ["field_not_boolean"]);
    assert_eq!(facts.authenticated_user.as_deref(), Some("@alice:test"));
}

#[tokio::test]
async fn an_accepted_write_is_an_intent_and_then_an_outcome() {
    let rig = Rig::start().await;
    let body = r#" {"enabled": false} "#;
    let mut request = put(body);
    request
        .headers_mut()
        .insert("user-agent", "Element".parse().unwrap());
    request
        .headers_mut()
        .insert("traceparent", "00-abc-def-01".parse().unwrap());
    request.extensions_mut().insert(RequestId("r-1".into()));
    request.extensions_mut().insert(Client {
        address: Some([192, 0, 2, 7].into()),
        chain: ["192.0.2.7".to_owned(), "127.0.0.1".to_owned()].into(),
    });
    let answer = rig.send(request).await;

    assert_eq!(answer.text(), "200 {}");
    let [asked] = &rig.homeserver.requests()[..] else {
        panic!("one request")
    };
    assert_eq!(
        asked.body, body,
        "the bytes that were judged are the bytes that were sent"
    );

    let records = rig.records().await;
    let [intent, outcome] = &records[..] else {
        panic!("two records")
    };
    assert_eq!(
        intent.record.facts.exchange_id,
        outcome.record.facts.exchange_id
    );
    assert_eq!(intent.record.facts.phase, Some(Phase::Intent));
    assert_eq!(intent.record.facts.outcome, None);
    let facts = &outcome.record.facts;
    assert_eq!(facts.phase, Some(Phase::Outcome));
    assert_eq!(facts.outcome, Some(Outcome::Answered));
    assert_eq!(facts.origin_status, Some(200));
    for facts in [&intent.record.facts, facts] {
        assert_eq!(facts.action, Some(Action::Write));
        assert_eq!(facts.event_type, Some(EventType::Stable));
        assert_eq!(facts.claimed_user.as_deref(), Some("@alice:test"));
        assert_eq!(facts.authenticated_user.as_deref(), Some("@alice:test"));
        assert_eq!(facts.device_id.as_deref(), Some("DEVICE"));
        assert_eq!(facts.is_guest, Some(false));
        assert_eq!(facts.client_address.as_deref(), Some("192.0.2.7"));
        assert_eq!(facts.client_chain, ["192.0.2.7", "127.0.0.1"]);
        assert_eq!(facts.user_agent.as_deref(), Some("Element"));
        assert_eq!(facts.preference, Some(Preference::Disabled));
        assert_eq!(facts.verdict, Some(Judged::Accept));
        assert_eq!(facts.request_id.as_deref(), Some("r-1"));
        assert_eq!(facts.traceparent.as_deref(), Some("00-abc-def-01"));
        assert_eq!(facts.body_sha256, Some(Sha256::digest(body).into()));
        assert!(facts.duration_us.is_some());
    }
    assert_eq!(
        rig.metric(r#"keybackup_outcomes_total{action="write",outcome="answered"}"#),
        1
    );
}

#[tokio::test]
async fn every_violation_has_its_answer_and_reaches_no_homeserver() {
    let rig = Rig::with(|config| {
        config.policy.extra_members = Choice::Refuse;
        config.policy.clear = Choice::Refuse;
        config.policy.body_limit = 400;
    })
    .await;
    let deep = format!(
        r#"{{"enabled":true,"x":{}{}}}"#,
        "[".repeat(40),
        "]".repeat(40)
    );
    let large = format!(r#"{{"enabled":true}}{}"#, " ".repeat(400));
    let table = [
        ("", "400", "M_NOT_JSON", &["not_json"][..]),
        ("\u{feff}{}", "400", "M_NOT_JSON", &["not_json"]),
        ("[]", "400", "M_BAD_JSON", &["not_an_object"]),
        (
            r#"{"x":1}"#,
            "400",
            "M_BAD_JSON",
            &["field_missing", "extra_member"],
        ),
        (
            r#"{"enabled":1}"#,
            "400",
            "M_BAD_JSON",
            &["field_not_boolean"],
        ),
        (
            r#"{"enabled":true,"\u0065nabled":1}"#,
            "400",
            "M_BAD_JSON",
            &["field_not_boolean", "duplicate_member"],
        ),
        (
            r#"{"enabled":true,"x":"\ud800"}"#,
            "400",
            "M_BAD_JSON",
            &["unportable_text", "extra_member"],
        ),
        (
            r#"{"enabled":true,"x":1e999}"#,
            "400",
            "M_BAD_JSON",
            &["unportable_number", "extra_member"],
        ),
        (&deep, "400", "M_BAD_JSON", &["too_deep", "extra_member"]),
        (&large, "413", "M_TOO_LARGE", &["too_large"]),
        (
            r#"{"enabled":true,"x":1}"#,
            "400",
            "M_BAD_JSON",
            &["extra_member"],
        ),
        ("{}", "403", "M_FORBIDDEN", &["clear_refused"]),
    ];
    for (body, status, errcode, _) in &table {
        let answer = rig.put(body).await.text();
        let start = format!(r#"{status} {{"errcode":"{errcode}","error":""#);
        assert!(answer.starts_with(&start), "{body}: {answer}");
    }
    let mut encoded = put(r#"{"enabled":true}"#);
    encoded
        .headers_mut()
        .append("content-encoding", "identity".parse().unwrap());
    encoded
        .headers_mut()
        .append("content-encoding", "x, GZIP".parse().unwrap());
    assert_snapshot!(rig.send(encoded).await.text(), @r#"400 {"errcode":"M_BAD_JSON","error":"The body must not have a Content-Encoding"}"#);

    assert!(rig.homeserver.requests().is_empty());
    let records = rig.records().await;
    let codes = table.iter().map(|row| row.3).chain([&["encoded"][..]]);
    assert_eq!(records.len(), table.len() + 1);
    for (stored, codes) in records.iter().zip(codes) {
        assert_eq!(stored.record.facts.violations, codes);
        assert_eq!(stored.record.facts.outcome, Some(Outcome::Refused));
    }
}

#[tokio::test]
async fn identity_is_no_encoding() {
    let rig = Rig::start().await;
    let mut request = put(r#"{"enabled":true}"#);
    request
        .headers_mut()
        .insert("content-encoding", "Identity".parse().unwrap());
    assert_eq!(rig.send(request).await.status, 200);
}

#[tokio::test]
async fn observe_records_the_verdict_and_forwards_all_the_same() {
    let rig = Rig::with(|config| {
        config.policy.mode = Mode::Observe;
        config.policy.body_limit = 20;
    })
    .await;
    let large = format!(r#"{{"enabled":true,"x":"{}"}}"#, "y".repeat(100_000));
    for body in [r#"{"enabled":"yes"}"#, &large] {
        assert_eq!(rig.put(body).await.text(), "200 {}");
    }
    let bodies: Vec<Bytes> = rig
        .homeserver
        .requests()
        .into_iter()
        .map(|it| it.body)
        .collect();
    assert_eq!(bodies, [r#"{"enabled":"yes"}"#.to_owned(), large]);
    let records = rig.records().await;
    let seen: Vec<_> = records
        .iter()
        .map(|it| {
            (
                it.record.facts.violations[0].as_str(),
                it.record.facts.outcome,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("field_not_boolean", None),
            ("field_not_boolean", Some(Outcome::Answered)),
            ("too_large", None),
            ("too_large", Some(Outcome::Answered)),
        ]
    );
}

#[tokio::test]
async fn an_empty_object_and_a_delete_are_clears() {
    let rig = Rig::start().await;
    assert_eq!(rig.put("{}").await.status, 200);
    let delete =
        "/_matrix/client/unstable/org.matrix.msc3391/user/@alice:test/account_data/m.key_backup";
    assert_eq!(rig.send(request("DELETE", delete, "")).await.status, 200);
    let records = rig.records().await;
    let seen: Vec<_> = records
        .iter()
        .map(|it| (it.record.facts.action, it.record.facts.verdict))
        .collect();
    assert_eq!(seen[1], (Some(Action::Write), Some(Judged::Clear)));
    assert_eq!(seen[3], (Some(Action::Clear), Some(Judged::Clear)));

    let rig = Rig::with(|config| config.policy.clear = Choice::Refuse).await;
    assert_snapshot!(rig.send(request("DELETE", delete, "")).await.text(), @r#"403 {"errcode":"M_FORBIDDEN","error":"This homeserver does not allow clearing the preference"}"#);
}

#[tokio::test]
async fn a_homeservers_own_refusal_is_relayed_and_recorded_as_an_answer() {
    let rig = Rig::start().await;
    let error = r#"{"errcode":"M_FORBIDDEN","error":"Cannot add account data for other users."}"#;
    rig.homeserver.other(Act::Answer(
        StatusCode::FORBIDDEN,
        &[("x-odd", "1")],
        error.into(),
    ));
    let answer = rig.put(r#"{"enabled":true}"#).await;
    assert_eq!(answer.text(), format!("403 {error}"));
    assert_eq!(answer.field("x-odd"), Some("1"));
    let facts = rig.records().await[1].record.facts.clone();
    assert_eq!(facts.outcome, Some(Outcome::Answered));
    assert_eq!(facts.origin_status, Some(403));
    assert_eq!(facts.errcode.as_deref(), Some("M_FORBIDDEN"));
}

#[tokio::test]
async fn the_errcode_of_a_compressed_refusal_is_recorded() {
    let rig = Rig::start().await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(br#"{"errcode":"M_FORBIDDEN","error":""}"#)
        .unwrap();
    let gzip = Bytes::from(gzip.finish().unwrap());
    rig.homeserver.other(Act::Answer(
        StatusCode::FORBIDDEN,
        &[("content-encoding", "gzip")],
        gzip.clone(),
    ));
    assert_eq!(rig.put(r#"{"enabled":true}"#).await.body, gzip);
    let facts = rig.records().await[1].record.facts.clone();
    assert_eq!(facts.errcode.as_deref(), Some("M_FORBIDDEN"));
}

#[tokio::test]
async fn expect_and_upgrade_are_not_forwarded_with_a_guarded_write() {
    let rig = Rig::start().await;
    let mut request = put(r#"{"enabled":true}"#);
    request
        .headers_mut()
        .insert("expect", "100-continue".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "websocket".parse().unwrap());
    request
        .headers_mut()
        .insert("x-other", "stays".parse().unwrap());
    assert_eq!(rig.send(request).await.status, 200);
    let [seen] = &rig.homeserver.requests()[..] else {
        panic!("one request")
    };
    assert!(!seen.headers.contains_key("expect") && !seen.headers.contains_key("upgrade"));
    assert_eq!(seen.headers["x-other"], "stays");
}

#[tokio::test]
async fn what_is_not_guarded_passes_without_a_word() {
    let rig = Rig::start().await;
    let other = ALICE.replace("m.key_backup", "m.push_rules");
    assert_eq!(
        rig.send(request("PUT", &other, "no json")).await.text(),
        "200 {}"
    );
    assert_eq!(
        rig.send(request("POST", ALICE, "no json")).await.status,
        404
    );
    assert!(rig.homeserver.asked().is_empty());
    assert!(rig.records().await.is_empty());
}

#[tokio::test]
async fn an_invented_user_in_the_path_is_guarded_and_not_known() {
    let rig = Rig::start().await;
    let target = ALICE.replace("@alice:test", "nobody");
    assert_eq!(
        rig.send(request("PUT", &target, r#"{"enabled":true}"#))
            .await
            .status,
        200
    );
    let facts = rig.records().await[1].record.facts.clone();
    assert_eq!(facts.claimed_user, None);
    assert_eq!(facts.authenticated_user.as_deref(), Some("@alice:test"));
}
