//! What the trail says of the gateway itself.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::audit::{self, AuditLog, Durability, Reads};
use crate::config::Config;
use crate::policy::{Choice, Mode};

/// Says that this run has begun, and with which policy. Nobody waits for it.
pub(super) fn started(audit: &AuditLog, config: &Config) {
    let policy = policy(config);
    // Equal digests, equal policies: the members are sorted.
    let digest = hex::encode(Sha256::digest(policy.to_string()));
    let detail = json!({ "configuration": policy, "configuration_sha256": digest });
    let audit = audit.clone();
    tokio::spawn(async move { audit.operation("start", detail).await });
}

/// Says that this run has ended in good order.
pub(super) async fn stopped(audit: &AuditLog) {
    audit.operation("stop", json!({})).await;
}

/// What decides about what is refused and what is recorded. No secret, no address.
fn policy(config: &Config) -> Value {
    let choice = |choice: Choice| match choice {
        Choice::Allow => "allow",
        Choice::Refuse => "refuse",
    };
    let policy = &config.policy;
    let trail = &config.audit;
    json!({
        "policy": {
            "mode": match policy.mode {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
            },
            "body_limit": policy.body_limit,
            "extra_members": choice(policy.extra_members),
            "clear": choice(policy.clear),
        },
        "audit": {
            "mode": match trail.mode {
                audit::Mode::Required => "required",
                audit::Mode::BestEffort => "best_effort",
            },
            "durability": trail.durability.map(|durability| match durability {
                Durability::Spool => "spool",
                Durability::Store => "store",
            }),
            "reads": match trail.reads {
                Reads::All => "all",
                Reads::Violations => "violations",
                Reads::None => "none",
            },
        },
        "identity": { "reads": config.identity.reads },
        "limits": {
            "unknown_per_second": config.limits.unknown_per_second,
            "guarded_per_user": config.limits.guarded_per_user,
        },
    })
}
