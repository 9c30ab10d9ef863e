//! The filters as flags.

use chrono::{DateTime, Utc};
use clap::Args;
use key_backup_gateway::audit::filters::{When, action, event_type, outcome, verdict};
use key_backup_gateway::audit::record::{Judged, Outcome};
use key_backup_gateway::audit::store::Query;
use key_backup_gateway::matrix::{Action, EventType};

#[derive(Debug, Args)]
pub(super) struct Filters {
    /// Whom the path claimed, or the homeserver named
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The device that the homeserver named
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// The client's address
    #[arg(long, value_name = "ADDR")]
    address: Option<String>,
    /// From here on: RFC 3339, or an age like `7d`
    #[arg(long, value_name = "T")]
    since: Option<When>,
    /// Up to here, exclusive: RFC 3339, or an age
    #[arg(long, value_name = "T")]
    until: Option<When>,
    /// `write`, `read` or `clear`
    #[arg(long, value_name = "A", value_parser = action)]
    action: Option<Action>,
    /// `stable` or `unstable`
    #[arg(long, value_name = "T", value_parser = event_type)]
    event_type: Option<EventType>,
    /// `accept`, `clear` or `refuse`
    #[arg(long, value_name = "V", value_parser = verdict)]
    verdict: Option<Judged>,
    /// A code, as in `field_not_boolean`
    #[arg(long, value_name = "CODE")]
    violation: Option<String>,
    /// `refused`, `answered`, `unanswered` or `failed`
    #[arg(long, value_name = "O", value_parser = outcome)]
    outcome: Option<Outcome>,
    /// What the client's `User-Agent` begins with, as in `Element X/`
    #[arg(long, value_name = "TEXT")]
    client: Option<String>,
}

// === impl Filters ===

impl Filters {
    /// What they ask of the store, an age being that before `now`.
    pub(super) fn query(&self, now: DateTime<Utc>) -> Query {
        Query {
            user: self.user.clone(),
            device: self.device.clone(),
            address: self.address.clone(),
            since: self.since.map(|when| when.before(now)),
            until: self.until.map(|when| when.before(now)),
            action: self.action,
            event_type: self.event_type,
            verdict: self.verdict,
            violation: self.violation.clone(),
            outcome: self.outcome,
            client: self.client.clone(),
            before: None,
            limit: 0,
        }
    }
}
