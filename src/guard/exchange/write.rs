//! A write or a clear: identified, read, judged, its intent made durable, forwarded, and its
//! outcome recorded.

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

use super::read::decoded;
use super::{Exchange, facts};
use crate::audit::record::{Facts, Outcome, Phase};
use crate::audit::{Mode, Patience};
use crate::guard::body::{Replay, Seen};
use crate::guard::inner::{Ask, Called, Guarded, Inner};
use crate::guard::metrics::OnlyCounted;
use crate::guard::refusal;
use crate::identity::{Answer, Credentials, Unavailable};
use crate::matrix::Action;
use crate::matrix::error::errcode_of;
use crate::policy::{self, Verdict, Violation, Violations};

impl Exchange {
    pub(super) async fn write<S, B>(
        mut self,
        inner: Inner<S, S::Error>,
        mut request: Request<Replay<B>>,
    ) -> Result<Response<Replay<S::Body>>, S::Error>
    where
        S: Ask<B>,
        B: Guarded,
    {
        // Token problems come before body problems, as in a homeserver.
        let unknown = match self
            .shared
            .identify
            .identify(Credentials::of(&request))
            .await
        {
            Answer::Known(identity) => {
                let taken = self.shared.limiter.takes_write(&identity.user_id).await;
                if let Err(wait) = taken {
                    let answer = refusal::too_many_of_user(wait);
                    self.only_counted(OnlyCounted::TooManyOfUser, answer.status());
                    return Ok(answer.map(Replay::of));
                }
                self.facts = facts::with_identity(self.facts, Some(identity));
                None
            }
            Answer::Refused(response) => {
                self.only_counted(OnlyCounted::NotIdentified, response.status());
                return Ok(response.map(Replay::of));
            }
            Answer::Unavailable(why) => Some(why),
        };
        let verdict = match self.read_and_judge(&mut request).await {
            Ok(verdict) => verdict,
            Err(answer) => {
                self.only_counted(OnlyCounted::BodyNotRead, answer.status());
                return Ok(answer.map(Replay::of));
            }
        };
        self.shared.metrics.judged(self.route.action, &verdict);
        self.facts = self.facts.judged(&verdict);

        let enforced = self.shared.config.policy.mode == policy::Mode::Enforce;
        let answer = match (&verdict, unknown) {
            (Verdict::Refuse(violations), why) if enforced => {
                self.refuse(&verdict, violations, why).await
            }
            (_, Some(_)) if !self.shared.limiter.takes_unknown() => {
                let answer = refusal::too_many_unknown();
                self.only_counted(OnlyCounted::TooManyUnknown, answer.status());
                answer
            }
            _ => return self.forward(inner, request, &verdict).await,
        };
        Ok(answer.map(Replay::of))
    }

    /// Reads the body up to the limit, and judges it. `Err` is the answer to a body that does not
    /// come.
    async fn read_and_judge<B: Guarded>(
        &mut self,
        request: &mut Request<Replay<B>>,
    ) -> Result<Verdict, Response<Bytes>> {
        let config = &self.shared.config;
        let limit = config.policy.body_limit;
        let body = request.body_mut();
        let verdict = match timeout(config.timeout, body.peek(limit)).await {
            Ok(Seen::All) if self.route.action == Action::Clear => self.shared.policy.judge_clear(),
            Ok(Seen::All) => {
                let bytes = body.read();
                self.facts.body_sha256 = Some(Sha256::digest(&bytes).into());
                self.shared.policy.judge(self.route.event_type, &bytes)
            }
            Ok(Seen::TooMuch) => Verdict::refuse(Violation::TooLarge),
            Ok(Seen::Broken) => return Err(refusal::broken_body()),
            Err(_) => return Err(refusal::slow_body()),
        };
        // Homeservers store plain JSON that is labelled as compressed.
        let encoded = self.route.action == Action::Write && facts::is_encoded(request.headers());
        Ok(if encoded {
            verdict.with(Violation::Encoded)
        } else {
            verdict
        })
    }

    /// The record of a refusal, or its place in a count, and then its answer.
    async fn refuse(
        &self,
        verdict: &Verdict,
        violations: &Violations,
        unknown: Option<Unavailable>,
    ) -> Response<Bytes> {
        if let Some(why) = unknown {
            let answer = refusal::unknown(why);
            self.only_counted(OnlyCounted::RefusedUnknown, answer.status());
            return answer;
        }
        let facts = self.facts(Phase::Outcome, Some(Outcome::Refused));
        // Beyond so many of one user a count is recorded.
        let is_single = self.shared.audit.takes_refusal(&facts);
        if is_single && !self.append(facts).await {
            return self.not_recorded();
        }
        let answer = refusal::of_violations(self.route.event_type, violations);
        self.ended(Some(answer.status()), Some(verdict), Outcome::Refused);
        answer
    }

    /// Nothing was done, because it could not be recorded.
    fn not_recorded(&self) -> Response<Bytes> {
        let answer = refusal::not_recorded();
        self.only_counted(OnlyCounted::NotRecorded, answer.status());
        answer
    }

    /// Whether the exchange may go on: its record is durable, or need not be.
    async fn append(&self, facts: Facts) -> bool {
        let (patience, required) = match self.shared.config.audit.mode {
            Mode::Required => (Patience::Withdraw, true),
            Mode::BestEffort => (Patience::Leave, false),
        };
        self.shared.audit.append(facts, patience).await.is_ok() || !required
    }

    /// Intent durable, origin asked, outcome durable, client answered.
    async fn forward<S, B>(
        mut self,
        inner: Inner<S, S::Error>,
        mut request: Request<Replay<B>>,
        verdict: &Verdict,
    ) -> Result<Response<Replay<S::Body>>, S::Error>
    where
        S: Ask<B>,
        B: Guarded,
    {
        if !self.append(self.facts(Phase::Intent, None)).await {
            return Ok(self.not_recorded().map(Replay::of));
        }
        // The 100 was ours: we have asked for the body already.
        request.headers_mut().remove(EXPECT);
        let end = Instant::now() + self.shared.config.timeout;
        let called = inner
            .call(request, end, |status| !status.is_success())
            .await;
        let (outcome, status) = match &called {
            Called::Answered(response, _) => {
                let status = response.status();
                self.facts.origin_status = Some(status.as_u16());
                if !status.is_success() {
                    // A homeserver compresses its errors, too, if it compresses.
                    self.facts.errcode = decoded(response.headers(), response.body().read())
                        .and_then(|content| errcode_of(&content));
                }
                (Outcome::Answered, Some(status))
            }
            Called::NeverSent(_) => (Outcome::Failed, None),
            Called::Failed(_) => (Outcome::Unanswered, None),
            Called::TimedOut => (Outcome::Unanswered, Some(StatusCode::GATEWAY_TIMEOUT)),
        };
        let facts = self.facts(Phase::Outcome, Some(outcome));
        // What the origin did is true, recorded in time or not; the writer goes on trying.
        let patience = match self.shared.config.audit.mode {
            Mode::Required => Patience::Insist,
            Mode::BestEffort => Patience::Leave,
        };
        if let Err(lost) = self.shared.audit.append(facts, patience).await {
            tracing::warn!(exchange.id = %self.id, %lost, "the outcome is not durable yet");
        }
        self.ended(status, Some(verdict), outcome);
        match called {
            Called::Answered(response, _) => Ok(response),
            Called::NeverSent(error) | Called::Failed(error) => Err(error),
            Called::TimedOut => Ok(refusal::no_answer().map(Replay::of)),
        }
    }
}
