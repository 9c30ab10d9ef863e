//! Floods: what is counted instead of being recorded, and what is recorded however much there is.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use key_backup_gateway::audit::record::{Facts, Kind, Outcome, Phase, Stored};
use key_backup_gateway::client::Client;
use key_backup_gateway::policy;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::store::Switch;
use crate::rig::{ALICE, Rig, put, request};

const GOOD: &str = r#"{"enabled":true}"#;
const BAD: &str = r#"{"enabled":"yes"}"#;

/// The same request with these credentials, from this address.
fn from(mut request: Request<Full<Bytes>>, token: &str, address: IpAddr) -> Request<Full<Bytes>> {
    request
        .headers_mut()
        .insert("authorization", token.parse().unwrap());
    request.extensions_mut().insert(Client {
        address: Some(address),
        chain: Arc::new([address.to_string()]),
    });
    request
}

/// `count` requests without valid credentials, from as many networks as there are for them.
async fn flood(rig: &Rig, count: u32) {
    for n in 0..count {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + (n << 8)).into();
        let asked = if n % 4 == 0 {
            request("GET", ALICE, "")
        } else {
            put(if n % 4 == 1 { GOOD } else { BAD })
        };
        let answer = rig.send(from(asked, "Bearer nobody", address)).await;
        assert_eq!(answer.status, 401);
    }
}

/// The exchanges of a trail, and what the collapsed records of it say of whom.
fn sorted(records: Vec<Stored>) -> (Vec<Stored>, Vec<(Option<String>, Value)>) {
    let (exchanges, others): (Vec<_>, Vec<_>) = records
        .into_iter()
        .partition(|stored| stored.record.kind == Kind::Exchange);
    let collapsed = others.into_iter().map(|stored| {
        assert_eq!(stored.record.kind, Kind::Collapsed);
        let facts = stored.record.facts;
        (facts.authenticated_user, facts.detail.unwrap())
    });
    (exchanges, collapsed.collect())
}

#[tokio::test]
async fn a_flood_without_credentials_is_one_record_with_counts() {
    let rig = Rig::start().await;
    flood(&rig, 2000).await;
    let (exchanges, collapsed) = sorted(rig.ended().await);
    assert_eq!(exchanges, []);
    let [(None, detail)] = &collapsed[..] else {
        panic!("{collapsed:?}")
    };
    let counts = json!({ "not_identified": 1500, "read_not_answered": 500 });
    assert_eq!(detail["only_counted"], counts);
    assert_eq!(detail["networks"]["seen"], 1024, "{detail}");
    assert_eq!(detail["networks"]["is_lower_bound"], true);
    let collapsed = rig.metric(r#"keybackup_records_collapsed_total{what="only_counted"}"#);
    assert_eq!(collapsed, 2000);
}

#[tokio::test]
async fn a_greater_flood_makes_no_greater_trail() {
    let [none, small, great] = [0, 200, 4000].map(|count| async move {
        let rig = Rig::start().await;
        flood(&rig, count).await;
        (rig.ended().await.len(), rig.bytes())
    });
    let (none, small, great) = tokio::join!(none, small, great);
    assert_eq!((none.0, small.0, great.0), (0, 1, 1));
    // Indexes and all; SQLite grows by pages.
    assert!(great.1 <= none.1 + (16 << 10), "{none:?} {great:?}");
}

#[tokio::test]
async fn the_worst_networks_are_named() {
    let rig = Rig::start().await;
    for (address, times) in [("192.0.2.77", 3), ("192.0.2.78", 2), ("2001:db8::1", 1)] {
        for _ in 0..times {
            let asked = from(put(GOOD), "Bearer nobody", address.parse().unwrap());
            rig.send(asked).await;
        }
    }
    let (_, collapsed) = sorted(rig.ended().await);
    let worst = json!([
        { "network": "192.0.2.0/24", "count": 5 },
        { "network": "2001:db8::/56", "count": 1 },
    ]);
    assert_eq!(collapsed[0].1["networks"]["worst"], worst);
}

#[tokio::test]
async fn beyond_twenty_refusals_of_one_user_a_count_is_recorded() {
    let rig = Rig::start().await;
    for n in 0..50 {
        assert_eq!(rig.put(BAD).await.status, 400, "the answer is the same");
        if n < 3 {
            let bobs = from(put(BAD), "Bearer bob", Ipv4Addr::LOCALHOST.into());
            assert_eq!(rig.send(bobs).await.status, 400);
        }
    }
    assert_eq!(rig.put(GOOD).await.status, 200);
    assert!(rig.homeserver.requests().len() == 1);
    let (exchanges, collapsed) = sorted(rig.ended().await);
    let refused_of = |user: &str| {
        let of_user = exchanges.iter().filter(|stored| {
            let facts = &stored.record.facts;
            facts.outcome == Some(Outcome::Refused)
                && facts.authenticated_user.as_deref() == Some(user)
        });
        of_user.count()
    };
    assert_eq!(
        (refused_of("@alice:test"), refused_of("@bob:test")),
        (20, 3)
    );
    assert_eq!(exchanges.len(), 20 + 3 + 2);
    let [(Some(user), detail)] = &collapsed[..] else {
        panic!("{collapsed:?}")
    };
    assert_eq!(
        (user.as_str(), &detail["refusals"]),
        ("@alice:test", &json!(30))
    );
    let metric = rig.metric(r#"keybackup_records_collapsed_total{what="refusal"}"#);
    assert_eq!(metric, 30);
}

#[tokio::test]
async fn every_forwarded_write_keeps_its_record() {
    let rig = Rig::with(|config| config.policy.mode = policy::Mode::Observe).await;
    for _ in 0..60 {
        assert_eq!(rig.put(GOOD).await.status, 200);
        assert_eq!(rig.put(BAD).await.status, 200);
    }
    let (exchanges, collapsed) = sorted(rig.ended().await);
    assert_eq!(exchanges.len(), 240);
    let intents = exchanges.iter().filter(|stored| stored.record.is_intent());
    assert_eq!(intents.count(), 120);
    assert_eq!(collapsed, []);
}

#[tokio::test]
async fn reads_that_a_blocked_store_cannot_take_are_counted_and_said() {
    // More than the writer holds and its queue takes.
    const READS: u64 = 12_000;
    let rig = Rig::start().await;
    rig.store.switch(Switch::Hangs);
    for n in 0..READS {
        rig.audit.queue(Facts {
            exchange_id: Some(Uuid::from_u128(n.into())),
            phase: Some(Phase::Outcome),
            ..Facts::default()
        });
    }
    let dropped = rig.metric(r#"keybackup_records_collapsed_total{what="dropped_read"}"#);
    assert!(dropped > 0);
    rig.store.switch(Switch::On);
    let (exchanges, collapsed) = sorted(rig.ended().await);
    assert_eq!(exchanges.len() as u64, READS - dropped);
    let [(None, detail)] = &collapsed[..] else {
        panic!("{collapsed:?}")
    };
    assert_eq!(detail["dropped_reads"], dropped);
    let lost = rig.metric(r#"keybackup_records_lost_total{reason="queue_full"}"#);
    assert_eq!(lost, dropped);
}

#[tokio::test]
async fn beyond_the_limit_of_one_user_is_429_and_the_origin_never_hears_of_it() {
    let rig = Rig::with(|config| config.limits.guarded_per_user = 4).await;
    for body in [GOOD, BAD, GOOD, BAD] {
        let expected = if body == GOOD { 200 } else { 400 };
        assert_eq!(rig.put(body).await.status, expected);
    }
    let cleared = request("PUT", ALICE, "{}");
    for asked in [put(GOOD), put(BAD), cleared] {
        let answer = rig.send(asked).await;
        assert_eq!(answer.status, 429);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
        assert!(body["error"].is_string());
        // A quarter of a minute, less the time that has passed.
        let millis = body["retry_after_ms"].as_u64().unwrap();
        assert!((1..=15_000).contains(&millis), "{millis}");
        let seconds = answer.field("retry-after").unwrap().parse::<u64>();
        assert_eq!(seconds, Ok(millis.div_ceil(1000)));
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    }
    let reads = rig.send(request("GET", ALICE, "")).await;
    assert_eq!(reads.status, 200, "reads are not limited");
    let bobs = from(put(GOOD), "Bearer bob", Ipv4Addr::LOCALHOST.into());
    assert_eq!(rig.send(bobs).await.status, 200, "nor are other users");
    assert_eq!(rig.homeserver.requests().len(), 4);
    let (exchanges, collapsed) = sorted(rig.ended().await);
    assert_eq!(exchanges.len(), 2 * 2 + 2 + 1 + 2);
    let [(None, detail)] = &collapsed[..] else {
        panic!("{collapsed:?}")
    };
    assert_eq!(detail["only_counted"], json!({ "too_many_of_user": 3 }));
}
