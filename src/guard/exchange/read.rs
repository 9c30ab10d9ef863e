//! A read: forwarded as it came, its answer looked at for the record only, and relayed as it came.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Exchange, facts};
use crate::audit::Reads;
use crate::audit::record::Outcome;
use crate::guard::body::{Replay, Seen};
use crate::guard::inner::{Ask, Called, Guarded, Inner, LOOK};
use crate::guard::metrics::OnlyCounted;
use crate::guard::refusal;
use crate::identity::{Answer, Credentials, Identity};
use crate::matrix::error::errcode_of;
use crate::policy::Verdict;

impl Exchange {
    pub(super) async fn read<S, B>(
        self,
        inner: Inner<S, S::Error>,
        request: Request<Replay<B>>,
    ) -> Result<Response<Replay<S::Body>>, S::Error>
    where
        S: Ask<B>,
        B: Guarded,
    {
        let config = &self.shared.config;
        let is_asked = config.identity.reads && config.audit.reads != Reads::None;
        // Beside the read, never before it: a slow whoami delays the record alone.
        let whoami = is_asked.then(|| {
            let identify = Arc::clone(&self.shared.identify);
            let credentials = Credentials::of(&request);
            tokio::spawn(async move { identify.identify(credentials).await })
        });
        let is_head = request.method() == Method::HEAD;
        let end = Instant::now() + self.shared.config.timeout;
        let (response, seen) = match inner.call(request, end, |_| true).await {
            Called::Answered(response, seen) => (response, seen),
            Called::NeverSent(error) | Called::Failed(error) => {
                self.only_counted(OnlyCounted::ReadNotAnswered, StatusCode::BAD_GATEWAY);
                return Err(error);
            }
            Called::TimedOut => {
                let answer = refusal::no_read();
                self.only_counted(OnlyCounted::ReadNotAnswered, answer.status());
                return Ok(answer.map(Replay::of));
            }
        };
        let content = (seen == Seen::All && !is_head)
            .then(|| decoded(response.headers(), response.body().read()))
            .flatten();
        self.record(response.status(), content, whoami);
        Ok(response)
    }

    /// Queues the record, if there is to be one.
    fn record(
        mut self,
        status: StatusCode,
        content: Option<Bytes>,
        whoami: Option<JoinHandle<Answer>>,
    ) {
        let errcode = match &content {
            Some(content) if !status.is_success() => errcode_of(content),
            _ => None,
        };
        let is_answer = status.is_success()
            || status == StatusCode::FORBIDDEN
            || status == StatusCode::NOT_FOUND && errcode.as_deref() == Some("M_NOT_FOUND");
        if !is_answer {
            self.only_counted(OnlyCounted::ReadNotAnswered, status);
            return;
        }
        let verdict = content
            .filter(|_| status.is_success())
            .map(|content| self.shared.policy.judge(self.route.event_type, &content));
        if let Some(verdict) = &verdict {
            self.shared.metrics.judged(self.route.action, verdict);
            self.facts = self.facts.judged(verdict);
        }
        self.facts.origin_status = Some(status.as_u16());
        self.facts.errcode = errcode;
        self.ended(Some(status), verdict.as_ref(), Outcome::Answered);
        let wanted = match self.shared.config.audit.reads {
            Reads::All => true,
            Reads::Violations => matches!(verdict, Some(Verdict::Refuse(_))),
            Reads::None => false,
        };
        if !wanted {
            return;
        }
        let facts = self.only_facts(Outcome::Answered);
        let audit = &self.shared.audit;
        match whoami {
            None => audit.queue(facts),
            Some(whoami) => {
                let audit = audit.clone();
                let under_way = self.shared.under_way.one();
                tokio::spawn(async move {
                    audit.queue(facts::with_identity(facts, named(whoami.await.ok())));
                    drop(under_way);
                });
            }
        }
    }
}

/// Whom whoami named, if it named anybody.
fn named(answer: Option<Answer>) -> Option<Identity> {
    match answer? {
        Answer::Known(identity) => Some(identity),
        Answer::Refused(_) | Answer::Unavailable(_) => None,
    }
}

/// The content of an answer, its coding undone; `None` if it is too long, or in a coding that no
/// homeserver uses.
pub(super) fn decoded(headers: &HeaderMap, bytes: Bytes) -> Option<Bytes> {
    let coding = headers
        .get(CONTENT_ENCODING)
        .map_or(&b"identity"[..], |it| it.as_bytes());
    if coding.eq_ignore_ascii_case(b"identity") {
        return Some(bytes);
    }
    if !coding.eq_ignore_ascii_case(b"gzip") {
        return None;
    }
    let mut content = Vec::new();
    let limit = LOOK as u64 + 1;
    MultiGzDecoder::new(&bytes[..])
        .take(limit)
        .read_to_end(&mut content)
        .ok()?;
    (content.len() <= LOOK).then(|| content.into())
}

#[cfg(test)]
mod tests;
