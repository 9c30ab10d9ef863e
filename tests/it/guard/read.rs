//! Reads: relayed as they came, and looked at for the record only.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use key_backup_gateway::audit::Reads;
use key_backup_gateway::audit::record::{Judged, Outcome, Phase};
use key_backup_gateway::matrix::Action;
use tokio::sync::Notify;

use crate::rig::homeserver::{Act, Broken};
use crate::rig::{ALICE, Rig, TOKEN, request};

const NOT_FOUND: &str = r#"{"errcode":"M_NOT_FOUND","error":"Account data not found"}"#;

fn answer(status: u16, body: &str) -> Act {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Act::Answer(
        StatusCode::from_u16(status).unwrap(),
        &[("x-odd", "1")],
        body,
    )
}

#[tokio::test]
async fn a_read_is_recorded_with_what_it_said_and_the_paths_user() {
    let rig = Rig::start().await;
    rig.homeserver.other(answer(200, r#"{"enabled":true}"#));
    let got = rig.send(request("GET", ALICE, "")).await;
    assert_eq!(got.text(), r#"200 {"enabled":true}"#);
    assert_eq!(got.field("x-odd"), Some("1"));
    assert!(
        rig.homeserver.asked().is_empty(),
        "whoami is not asked for a read"
    );
    let [stored] = &rig.records().await[..] else {
        panic!("one record")
    };
    let facts = &stored.record.facts;
    assert_eq!(facts.action, Some(Action::Read));
    assert_eq!(facts.phase, Some(Phase::Outcome));
    assert_eq!(facts.outcome, Some(Outcome::Answered));
    assert_eq!(facts.verdict, Some(Judged::Accept));
    assert_eq!(facts.claimed_user.as_deref(), Some("@alice:test"));
    assert_eq!(
        facts.authenticated_user, None,
        "what is not known is not guessed"
    );
}

#[tokio::test]
async fn what_is_no_answer_to_a_read_is_only_counted() {
    let rig = Rig::start().await;
    let table = [
        (200, r#"{"enabled":"yes"}"#, true),
        (403, r#"{"errcode":"M_FORBIDDEN","error":""}"#, true),
        (404, NOT_FOUND, true),
        (404, r#"{"errcode":"M_UNRECOGNIZED","error":""}"#, false),
        (404, "not found", false),
        (401, r#"{"errcode":"M_UNKNOWN_TOKEN","error":""}"#, false),
        (429, r#"{"errcode":"M_LIMIT_EXCEEDED","error":""}"#, false),
        (500, r#"{"errcode":"M_UNKNOWN","error":""}"#, false),
        (502, "", false),
    ];
    for (status, body, _) in table {
        rig.homeserver.other(answer(status, body));
        let got = rig.send(request("GET", ALICE, "")).await;
        assert_eq!(got.text(), format!("{status} {body}"));
    }
    let recorded: Vec<_> = table
        .iter()
        .filter(|row| row.2)
        .map(|row| Some(row.0))
        .collect();
    let records = rig.records().await;
    let statuses: Vec<_> = records
        .iter()
        .map(|it| it.record.facts.origin_status)
        .collect();
    assert_eq!(statuses, recorded);
    assert_eq!(records[0].record.facts.violations, ["field_not_boolean"]);
    assert_eq!(
        records[2].record.facts.errcode.as_deref(),
        Some("M_NOT_FOUND")
    );
    let counted =
        rig.metric(r#"keybackup_exchanges_only_counted_total{reason="read_not_answered"}"#);
    assert_eq!(counted, 6);
}

#[tokio::test]
async fn a_compressed_answer_is_understood_and_relayed_compressed() {
    let rig = Rig::start().await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(br#"{"enabled":false}"#).unwrap();
    let gzip = Bytes::from(gzip.finish().unwrap());
    let fields = &[("content-encoding", "gzip")];
    rig.homeserver
        .other(Act::Answer(StatusCode::OK, fields, gzip.clone()));
    let got = rig.send(request("GET", ALICE, "")).await;
    assert_eq!(
        (got.body, got.headers["content-encoding"].to_str().unwrap()),
        (gzip, "gzip")
    );
    assert_eq!(
        rig.records().await[0].record.facts.verdict,
        Some(Judged::Accept)
    );
}

#[tokio::test]
async fn an_answer_too_long_to_look_at_is_relayed_whole_and_not_judged() {
    let rig = Rig::start().await;
    let long = format!(r#"{{"enabled":true,"x":"{}"}}"#, "y".repeat(100_000));
    rig.homeserver.other(answer(200, &long));
    assert_eq!(rig.send(request("GET", ALICE, "")).await.body, long);
    assert_eq!(rig.records().await[0].record.facts.verdict, None);
}

#[tokio::test]
async fn a_head_is_a_read_without_a_verdict() {
    let rig = Rig::start().await;
    rig.homeserver.other(answer(200, ""));
    rig.send(request("HEAD", ALICE, "")).await;
    let facts = rig.records().await[0].record.facts.clone();
    assert_eq!((facts.action, facts.verdict), (Some(Action::Read), None));
}

#[tokio::test]
async fn which_reads_are_recorded_is_configured() {
    for (reads, recorded) in [(Reads::All, 2), (Reads::Violations, 1), (Reads::None, 0)] {
        let rig = Rig::with(|config| config.audit.reads = reads).await;
        for body in [r#"{"enabled":"yes"}"#, r#"{"enabled":true}"#] {
            rig.homeserver.other(answer(200, body));
            rig.send(request("GET", ALICE, "")).await;
        }
        assert_eq!(rig.records().await.len(), recorded, "{reads:?}");
    }
}

#[tokio::test]
async fn whoami_is_asked_beside_a_read_and_never_holds_it_up() {
    let rig = Rig::with(|config| {
        config.identity.reads = true;
        // Longer than the rig waits for an answer.
        config.identity.deadline = Duration::from_mins(1);
    })
    .await;
    rig.homeserver.other(answer(200, r#"{"enabled":true}"#));
    let told = Arc::new(Notify::new());
    rig.homeserver.whoami(Act::Waits(Arc::clone(&told)));
    assert_eq!(rig.send(request("GET", ALICE, "")).await.status, 200);
    assert!(
        rig.stored().await.is_empty(),
        "the record waits for whoami, the answer does not"
    );
    told.notify_one();
    let facts = rig.records().await[0].record.facts.clone();
    assert_eq!(facts.authenticated_user.as_deref(), Some("@alice:test"));
    assert_eq!(facts.device_id.as_deref(), Some("DEVICE"));
}

#[tokio::test]
async fn a_read_is_recorded_without_its_user_if_whoami_fails() {
    let rig = Rig::with(|config| config.identity.reads = true).await;
    rig.homeserver.other(answer(200, r#"{"enabled":true}"#));
    rig.homeserver.whoami(Act::Error(Broken::Maybe));
    rig.send(request("GET", ALICE, "")).await;
    let facts = rig.records().await[0].record.facts.clone();
    assert_eq!(facts.authenticated_user, None);
    assert_eq!(facts.claimed_user.as_deref(), Some("@alice:test"));
    let asked = rig.homeserver.asked();
    assert_eq!(asked[0].headers["authorization"], TOKEN, "it was asked");
}

#[tokio::test]
async fn a_read_that_gets_no_answer_ends_in_time() {
    let rig = Rig::with(|config| config.timeout = Duration::from_millis(50)).await;
    rig.homeserver.other(Act::Slow(Duration::from_mins(1)));
    assert_eq!(rig.send(request("GET", ALICE, "")).await.status, 504);
    assert!(rig.records().await.is_empty());
}
