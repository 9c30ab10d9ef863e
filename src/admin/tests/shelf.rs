//! A trail for the page and the API to show.

use uuid::Uuid;

use super::Desk;
use crate::audit::record::{Facts, Judged, Kind, Outcome, Phase, Record, Stamp};
use crate::clock::MockClock;
use crate::matrix::{Action, EventType, Preference};

/// What harms whoever believes it: HTML, an attribute, a formula, escape sequences, and text that runs backwards.
pub(super) const HOSTILE: &str =
    "<script>alert(1)</script>\" onmouseover=\"x' =cmd()\u{1b}[31m\u{202e}\u{9b}2J&amp;";

/// `count` records that differ in all that can be filtered, in the same order each time.
pub(super) fn records(count: u64) -> Vec<Record> {
    let clock = std::sync::Arc::new(MockClock::new("2026-11-20T12:00:00Z".parse().unwrap()));
    let stamp = Stamp::new(std::sync::Arc::<MockClock>::clone(&clock), "shelf");
    // A generator that is good enough to mix: Knuth's.
    let mut state = 42_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let record = |_| {
        clock.advance(chrono::TimeDelta::minutes(7));
        let verdict = Judged::ALL[next(3)];
        let user = ["@alice:h", "@bob:h", "@a\"<b>:h"][next(3)];
        let facts = Facts {
            exchange_id: Some(stamp.new_id()),
            phase: Some(Phase::Outcome),
            action: Some(Action::ALL[next(3)]),
            event_type: Some(EventType::ALL[next(2)]),
            claimed_user: Some(user.to_owned()),
            authenticated_user: (next(4) > 0).then(|| user.to_owned()),
            device_id: Some(["D1", "D2"][next(2)].to_owned()),
            client_address: Some(["192.0.2.1", "192.0.2.2", "2001:db8::1"][next(3)].to_owned()),
            user_agent: Some(["Element X/1.9.0", "Element/1.12", "curl/8"][next(3)].to_owned()),
            preference: (verdict == Judged::Accept).then(|| Preference::ALL[next(2)]),
            verdict: Some(verdict),
            violations: match verdict {
                Judged::Refuse => vec![["field_not_boolean", "not_json"][next(2)].to_owned()],
                Judged::Accept | Judged::Clear => Vec::new(),
            },
            outcome: Some(Outcome::ALL[next(4)]),
            origin_status: Some([200, 500][next(2)]),
            ..Facts::default()
        };
        stamp.record(Kind::Exchange, facts)
    };
    (0..count).map(record).collect()
}

/// A record as a store might give it back after somebody else has written to it: every text is [`HOSTILE`].
pub(super) fn hostile() -> Record {
    let mut record = records(1).remove(0);
    let facts = &mut record.facts;
    let text = || Some(HOSTILE.to_owned());
    facts.claimed_user = text();
    facts.authenticated_user = text();
    facts.device_id = text();
    facts.client_address = text();
    facts.user_agent = text();
    facts.errcode = text();
    facts.request_id = text();
    facts.traceparent = text();
    facts.client_chain = vec![HOSTILE.to_owned()];
    facts.violations = vec![HOSTILE.to_owned()];
    facts.verdict = Some(Judged::Refuse);
    facts.outcome = Some(Outcome::Refused);
    facts.detail = Some(serde_json::json!({ HOSTILE: HOSTILE }));
    HOSTILE.clone_into(&mut record.instance);
    HOSTILE.clone_into(&mut record.version);
    record
}

impl Desk {
    /// Puts `records` into the trail.
    pub(super) async fn fill(&self, records: &[Record]) {
        let mut health = self.audit.health();
        drop(health.wait_for(|health| !health.is_starting()).await);
        self.admin.trail.store().append(records).await.unwrap();
    }

    /// The exchange ids that `query` lets through, as the store itself says.
    pub(super) async fn stored(&self, query: &crate::audit::store::Query) -> Vec<Uuid> {
        let found = self.admin.trail.store().page(query).await.unwrap();
        let id = |stored: &crate::audit::record::Stored| stored.record.facts.exchange_id;
        found.iter().filter_map(id).collect()
    }
}
