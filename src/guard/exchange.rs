//! One guarded request, from its head to its record.

mod read;
mod write;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use uuid::Uuid;

use super::body::Replay;
use super::inner::{Ask, Guarded, Inner};
use super::metrics::OnlyCounted;
use super::{Shared, facts};
use crate::audit::record::{Facts, Outcome, Phase};
use crate::client::Client;
use crate::matrix::Action;
use crate::matrix::route::Route;
use crate::policy::{Verdict, Violation};

/// One guarded request.
pub(super) struct Exchange {
    shared: Arc<Shared>,
    route: Route,
    id: Uuid,
    started: Instant,
    client: Option<IpAddr>,
    facts: Facts,
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn new<B>(shared: Arc<Shared>, route: Route, request: &Request<B>) -> Self {
        let id = shared.audit.new_id();
        let facts = facts::of_request(id, &route, request);
        let client = request.extensions().get::<Client>();
        Self {
            shared,
            route,
            id,
            started: Instant::now(),
            client: client.and_then(|client| client.address),
            facts,
        }
    }

    /// The facts of a record that is made now.
    fn facts(&self, phase: Phase, outcome: Option<Outcome>) -> Facts {
        self.completed(self.facts.clone(), phase, outcome)
    }

    /// The facts of the only record, when nobody needs them any more.
    fn only_facts(&mut self, outcome: Outcome) -> Facts {
        let facts = std::mem::take(&mut self.facts);
        self.completed(facts, Phase::Outcome, Some(outcome))
    }

    fn completed(&self, facts: Facts, phase: Phase, outcome: Option<Outcome>) -> Facts {
        let took = i64::try_from(self.started.elapsed().as_micros()).ok();
        Facts {
            phase: Some(phase),
            outcome,
            duration_us: took,
            ..facts
        }
    }

    /// The exchange is over: counts it, and says so in one line.
    fn ended(&self, status: Option<StatusCode>, verdict: Option<&Verdict>, outcome: Outcome) {
        let Route {
            action, event_type, ..
        } = self.route;
        let took = self.started.elapsed();
        let violation = verdict.and_then(|verdict| verdict.violations().first().copied());
        self.shared.metrics.ended(action, outcome);
        self.shared.metrics.took(action, took);
        tracing::info!(
            target: "exchange",
            {
                exchange.id = %self.id,
                request.id = self.facts.request_id.as_deref(),
                action = action.as_str(),
                event_type = event_type.as_str(),
                verdict = verdict.map(Verdict::code),
                violation = violation.map(Violation::code),
                outcome = outcome.as_str(),
                http.status = status.map(|status| status.as_u16()),
                elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            },
            "{} {} {}", action.as_str(), event_type.as_str(), outcome.as_str(),
        );
    }

    /// The request is over without a record of its own. Anybody can cause as many as they like, so
    /// the line is for those who look for it.
    fn only_counted(&self, reason: OnlyCounted, status: StatusCode) {
        self.shared.metrics.only_counted(reason);
        self.shared.audit.count(reason.as_str(), self.client);
        tracing::debug!(
            target: "exchange",
            {
                exchange.id = %self.id,
                request.id = self.facts.request_id.as_deref(),
                action = self.route.action.as_str(),
                reason = reason.as_str(),
                http.status = status.as_u16(),
            },
            "guarded request without a record",
        );
    }

    /// Ends in an answer, whatever happens; `Err` is the inner service's own error, untouched.
    pub(super) async fn run<S, B>(
        self,
        inner: Inner<S, S::Error>,
        request: Request<B>,
    ) -> Result<Response<Replay<S::Body>>, S::Error>
    where
        S: Ask<B>,
        B: Guarded,
    {
        let mut request = request.map(Replay::pass);
        // A guarded request is never upgraded.
        request.headers_mut().remove(UPGRADE);
        match self.route.action {
            Action::Write | Action::Clear => self.write(inner, request).await,
            Action::Read => self.read(inner, request).await,
        }
    }
}
