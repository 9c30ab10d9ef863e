//! Who did it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use key_backup_gateway::audit::Reads;
use key_backup_gateway::audit::record::Outcome;

use crate::rig::homeserver::{Act, Broken};
use crate::rig::{ALICE, Rig, put, request};

const GOOD: &str = r#"{"enabled":true}"#;
const BAD: &str = r#"{"enabled":"yes"}"#;

fn with_token(token: &str, body: &str) -> http::Request<http_body_util::Full<Bytes>> {
    let mut request = put(body);
    request
        .headers_mut()
        .insert("authorization", token.parse().unwrap());
    request
}

#[tokio::test]
async fn a_bad_body_with_a_bad_token_is_the_homeservers_own_401() {
    let rig = Rig::start().await;
    let answer = rig.send(with_token("Bearer nobody", BAD)).await;
    assert_eq!(
        answer.text(),
        r#"401 {"errcode":"M_UNKNOWN_TOKEN","error":"Unrecognised access token"}"#
    );
    assert!(rig.homeserver.requests().is_empty());
    assert!(rig.records().await.is_empty());
    let counted = rig.metric(r#"keybackup_exchanges_only_counted_total{reason="not_identified"}"#);
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn its_403_and_429_are_relayed_with_their_fields() {
    let rig = Rig::start().await;
    for (status, body) in [
        (
            StatusCode::FORBIDDEN,
            r#"{"errcode":"M_USER_LOCKED","error":"x"}"#,
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            r#"{"errcode":"M_LIMIT_EXCEEDED","error":"x"}"#,
        ),
    ] {
        rig.homeserver
            .whoami(Act::Answer(status, &[("retry-after", "7")], body.into()));
        let answer = rig.put(GOOD).await;
        assert_eq!(answer.text(), format!("{} {body}", status.as_u16()));
        assert_eq!(answer.field("retry-after"), Some("7"));
    }
    assert!(rig.homeserver.requests().is_empty());
    assert!(rig.records().await.is_empty());
}

#[tokio::test]
async fn whoami_gets_every_credential_as_it_came() {
    let rig = Rig::start().await;
    let query = "?access%5Ftoken=%61;access_token=b&user_id=@x:y&&";
    let mut request = request("PUT", &format!("{ALICE}{query}"), GOOD);
    request
        .headers_mut()
        .append("authorization", "bearer  Other".parse().unwrap());
    request
        .headers_mut()
        .insert("user-agent", "Element".parse().unwrap());
    request
        .headers_mut()
        .insert("x-forwarded-for", "192.0.2.7".parse().unwrap());
    request
        .headers_mut()
        .insert("cookie", "stays=here".parse().unwrap());
    rig.send(request).await;
    let [asked] = &rig.homeserver.asked()[..] else {
        panic!("asked once")
    };
    assert_eq!(
        asked.target,
        format!("/_matrix/client/v3/account/whoami{query}")
    );
    let lines: Vec<_> = asked.headers.get_all("authorization").iter().collect();
    assert_eq!(lines, ["Bearer alice", "bearer  Other"]);
    assert_eq!(asked.headers["user-agent"], "Element");
    assert_eq!(asked.headers["x-forwarded-for"], "192.0.2.7");
    assert!(!asked.headers.contains_key("cookie"));
}

#[tokio::test]
async fn a_positive_answer_is_remembered_for_the_same_credentials_only() {
    let rig = Rig::start().await;
    for target in [
        ALICE.to_owned(),
        ALICE.to_owned(),
        format!("{ALICE}?user_id=@x:y"),
    ] {
        rig.send(request("PUT", &target, GOOD)).await;
    }
    assert_eq!(rig.homeserver.asked().len(), 2);
    rig.send(with_token("Bearer bob", GOOD)).await;
    assert_eq!(rig.homeserver.asked().len(), 3);
    let users: Vec<_> = rig
        .records()
        .await
        .iter()
        .filter_map(|it| it.record.facts.authenticated_user.clone())
        .collect();
    assert_eq!(users.iter().filter(|user| *user == "@bob:test").count(), 2);
}

#[tokio::test]
async fn nothing_is_remembered_with_a_cache_of_no_time() {
    let rig = Rig::with(|config| config.identity.cache = Duration::ZERO).await;
    rig.put(GOOD).await;
    rig.put(GOOD).await;
    assert_eq!(rig.homeserver.asked().len(), 2);
}

#[tokio::test]
async fn a_401_is_never_remembered() {
    let rig = Rig::start().await;
    rig.homeserver
        .whoami(Act::Answer(StatusCode::UNAUTHORIZED, &[], "{}".into()));
    assert_eq!(rig.put(GOOD).await.status, 401);
    rig.homeserver.whoami(Act::Normal);
    assert_eq!(rig.put(GOOD).await.status, 200);
}

#[tokio::test]
async fn one_request_is_under_way_for_the_same_credentials() {
    let rig = Rig::start().await;
    rig.homeserver.whoami(Act::Slow(Duration::from_millis(300)));
    let (a, b, c) = tokio::join!(rig.put(GOOD), rig.put(BAD), rig.put(GOOD));
    assert_eq!([a.status, b.status, c.status], [200, 400, 200]);
    assert_eq!(rig.homeserver.asked().len(), 1);
    assert_eq!(rig.records().await.len(), 5);
}

#[tokio::test]
async fn without_whoami_a_good_write_goes_on_and_its_user_is_not_known() {
    for act in [
        Act::Slow(Duration::from_mins(1)),
        Act::Error(Broken::NeverSent),
        Act::Answer(StatusCode::INTERNAL_SERVER_ERROR, &[], "{}".into()),
        Act::Answer(StatusCode::NOT_FOUND, &[], "{}".into()),
        Act::Answer(StatusCode::OK, &[], "{}".into()),
        Act::Answer(StatusCode::OK, &[], r#"{"user_id":5}"#.into()),
        Act::Answer(StatusCode::OK, &[], "<html>".into()),
    ] {
        let rig = Rig::with(|config| config.identity.deadline = Duration::from_millis(100)).await;
        rig.homeserver.whoami(act.clone());
        assert_eq!(rig.put(GOOD).await.text(), "200 {}", "{act:?}");
        let records = rig.records().await;
        assert_eq!(records.len(), 2);
        assert_eq!(records[1].record.facts.outcome, Some(Outcome::Answered));
        for stored in &records {
            assert_eq!(stored.record.facts.authenticated_user, None);
            assert_eq!(
                stored.record.facts.claimed_user.as_deref(),
                Some("@alice:test")
            );
        }
    }
}

#[tokio::test]
async fn credentials_at_which_whoami_alone_fails_are_502_and_only_counted() {
    let rig = Rig::start().await;
    for body in [GOOD, BAD] {
        let answer = rig.send(with_token("Bearer crash", body)).await;
        assert!(
            answer.text().starts_with(r#"502 {"errcode":"M_UNKNOWN""#),
            "{}",
            answer.text()
        );
    }
    assert!(rig.homeserver.requests().is_empty());
    assert!(rig.records().await.is_empty());
    let counted = rig.metric(r#"keybackup_exchanges_only_counted_total{reason="not_identified"}"#);
    assert_eq!(counted, 2);
}

#[tokio::test]
async fn without_whoami_a_bad_body_is_502_or_504_and_only_counted() {
    for (act, status) in [
        (Act::Slow(Duration::from_mins(1)), 504),
        (Act::Error(Broken::Maybe), 502),
    ] {
        let rig = Rig::with(|config| config.identity.deadline = Duration::from_millis(100)).await;
        rig.homeserver.whoami(act);
        let answer = rig.put(BAD).await.text();
        assert!(
            answer.starts_with(&format!(r#"{status} {{"errcode":"M_UNKNOWN""#)),
            "{answer}"
        );
        assert!(rig.homeserver.requests().is_empty());
        assert!(rig.records().await.is_empty());
    }
}

#[tokio::test]
async fn without_whoami_only_so_many_writes_a_second_go_on() {
    let rig = Rig::with(|config| config.limits.unknown_per_second = 3).await;
    rig.homeserver.whoami(Act::Error(Broken::Maybe));
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let answer = rig.put(GOOD).await;
        if answer.status == 503 {
            assert_eq!(answer.field("retry-after"), Some("1"));
        }
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses[..3], [200; 3]);
    assert!(statuses[3..].contains(&503), "{statuses:?}");
    let forwarded = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(rig.homeserver.requests().len(), forwarded);
    assert_eq!(rig.records().await.len(), 2 * forwarded);
}

#[tokio::test]
async fn credentials_show_nothing_of_themselves() {
    let request = request("PUT", &format!("{ALICE}?access_token=planted"), GOOD);
    let credentials = key_backup_gateway::identity::Credentials::of(&request);
    let shown = format!("{credentials:?}");
    assert!(
        !shown.contains("planted") && !shown.contains("alice"),
        "{shown}"
    );
}

/// How many of the whoami requests were without credentials: those that ask whether the homeserver
/// answers at all.
fn doubts(rig: &Rig) -> u64 {
    let asked = rig.homeserver.asked();
    let doubts = asked
        .iter()
        .filter(|seen| !seen.headers.contains_key("authorization"));
    doubts.count() as u64
}

#[tokio::test]
async fn an_outage_of_whoami_costs_one_more_request_a_second() {
    let rig = Rig::start().await;
    rig.homeserver.whoami(Act::Error(Broken::Maybe));
    let began = Instant::now();
    for n in 0..100 {
        rig.send(with_token(&format!("Bearer {n}"), BAD)).await;
    }
    let most = 1 + began.elapsed().as_secs();
    let doubts = doubts(&rig);
    assert!((1..=most).contains(&doubts), "{doubts} in {most} s");
    assert_eq!(rig.homeserver.asked().len() as u64, 100 + doubts);
}

#[tokio::test]
async fn a_flood_of_odd_credentials_costs_one_more_request_a_second() {
    let rig = Rig::start().await;
    let began = Instant::now();
    for n in 0..100 {
        let mut odd = request("PUT", &format!("{ALICE}?{n}"), GOOD);
        let token = "Bearer crash".parse().unwrap();
        odd.headers_mut().insert("authorization", token);
        assert_eq!(rig.send(odd).await.status, 502);
    }
    let most = 1 + began.elapsed().as_secs();
    let doubts = doubts(&rig);
    assert!((1..=most).contains(&doubts), "{doubts} in {most} s");
    assert!(rig.homeserver.requests().is_empty());
}

#[tokio::test]
async fn a_429_of_whoami_is_relayed_to_all_who_wait_for_it_and_asked_for_once() {
    let rig = Rig::start().await;
    rig.homeserver.whoami(Act::Slow(Duration::from_millis(300)));
    let hasty = || rig.send(with_token("Bearer hasty", GOOD));
    let (a, b, c) = tokio::join!(hasty(), hasty(), hasty());
    assert_eq!([a.status, b.status, c.status], [429; 3]);
    assert_eq!(rig.homeserver.asked().len(), 1);
    hasty().await;
    assert_eq!(rig.homeserver.asked().len(), 2, "it is not remembered");
}

#[tokio::test]
async fn whoami_away_is_not_the_gateway_away() {
    let rig = Rig::with(|config| {
        config.identity.deadline = Duration::from_millis(100);
        config.identity.reads = true;
    })
    .await;
    rig.homeserver.whoami(Act::Slow(Duration::from_mins(1)));
    assert_eq!(rig.put(GOOD).await.status, 200);
    assert_eq!(rig.send(request("GET", ALICE, "")).await.status, 200);
    let other = ALICE.replace("m.key_backup", "m.direct");
    assert_eq!(rig.send(request("PUT", &other, "{}")).await.status, 200);
}

#[tokio::test]
async fn nobody_is_asked_about_reads_that_are_not_recorded() {
    for (reads, asked) in [(Reads::None, 0), (Reads::All, 1)] {
        let rig = Rig::with(|config| {
            config.identity.reads = true;
            config.audit.reads = reads;
        })
        .await;
        rig.send(request("GET", ALICE, "")).await;
        rig.layer.idle().await;
        assert_eq!(rig.homeserver.asked().len(), asked);
    }
}
