//! What was counted in one round, and the records that say so.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::json;
use tokio::time::Instant;

use super::networks::Networks;
use super::users::Users;
use crate::audit::record::Facts;

/// The counts of one round.
pub(super) struct Round {
    began: Instant,
    only_counted: BTreeMap<&'static str, u64>,
    networks: Networks,
    dropped_reads: u64,
    users: Users,
}

// === impl Round ===

impl Round {
    /// A round that begins now.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            only_counted: BTreeMap::new(),
            networks: Networks::default(),
            dropped_reads: 0,
            users: Users::default(),
        }
    }

    pub(super) fn count(&mut self, reason: &'static str, client: Option<IpAddr>) {
        *self.only_counted.entry(reason).or_default() += 1;
        if let Some(client) = client {
            self.networks.count(client);
        }
    }

    pub(super) fn dropped_read(&mut self) {
        self.dropped_reads += 1;
    }

    pub(super) fn takes_refusal(&mut self, user: &str) -> bool {
        self.users.takes(user)
    }

    /// What is recorded of the round: at most one record about the gateway, and one for each user
    /// whose refusals were collapsed. Users are named in fields that can be erased, never in the
    /// detail.
    pub(super) fn into_facts(self) -> Vec<Facts> {
        let millis = self.began.elapsed().as_millis();
        let seconds = u64::try_from((millis + 500) / 1000).unwrap_or(u64::MAX);
        let of_others = self.users.of_others();
        let mut facts = Vec::new();
        if !self.only_counted.is_empty() || self.dropped_reads > 0 || of_others > 0 {
            let networks = self.networks.worst();
            let worst = networks
                .iter()
                .map(|(network, count)| json!({ "network": network.to_string(), "count": count }));
            facts.push(Facts {
                detail: Some(json!({
                    "seconds": seconds,
                    "only_counted": self.only_counted,
                    "networks": {
                        "seen": self.networks.seen(),
                        "is_lower_bound": self.networks.is_lower_bound(),
                        "worst": worst.collect::<Vec<_>>(),
                    },
                    "dropped_reads": self.dropped_reads,
                    "refusals_of_further_users": of_others,
                })),
                ..Facts::default()
            });
        }
        let of_users = self.users.into_collapsed();
        facts.extend(of_users.into_iter().map(|(user, refusals)| Facts {
            authenticated_user: Some(user),
            detail: Some(json!({ "seconds": seconds, "refusals": refusals })),
            ..Facts::default()
        }));
        facts
    }
}
