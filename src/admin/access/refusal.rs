//! Why somebody is not let in, and how that is said: to people by a page, to programs by JSON.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::next::Next;
use crate::admin::page;

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// People, who log in and have a session: under `/audit`.
    Page,
    /// Programs, which send a token with each request: under `/api`, and `/metrics`.
    Api,
}

/// Why a request is not answered with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It brings no token, or no session that is open; the page it wanted.
    Nobody(Next),
    /// It brings a token that is not known.
    WrongToken,
    /// The role is not enough.
    WrongRole,
    /// A page of another site sent it, or nobody knows which.
    Forged,
    /// It cannot be read.
    Malformed,
    /// Too many wrong tokens came from there, or from everywhere: not before that.
    SlowDown(Duration),
}

/// What programs read of an error.
#[derive(Debug, Serialize)]
struct Problem {
    /// For people.
    error: &'static str,
    /// For programs: it never changes.
    code: &'static str,
}

// === impl Refusal ===

impl Refusal {
    /// The answer.
    #[must_use]
    pub(crate) fn answer(&self, audience: Audience) -> Response {
        if let (Self::Nobody(next), Audience::Page) = (self, audience) {
            return Redirect::to(&next.log_in()).into_response();
        }
        let (status, code, error) = self.words();
        let mut answer = match audience {
            Audience::Page => (status, page::refused::html(error)).into_response(),
            Audience::Api => (status, Json(Problem { error, code })).into_response(),
        };
        let headers = answer.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            // > The server generating a 401 response MUST send a WWW-Authenticate header field
            //
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.2
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::SlowDown(wait) = self {
            let seconds = wait.as_millis().div_ceil(1000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, seconds.into());
        }
        answer
    }

    /// Status, code, and what people read.
    pub(crate) const fn words(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Nobody(_) => (
                StatusCode::UNAUTHORIZED,
                "no_token",
                "A token is needed, as `Authorization: Bearer TOKEN`.",
            ),
            Self::WrongToken => (
                StatusCode::UNAUTHORIZED,
                "wrong_token",
                "This token is not known.",
            ),
            Self::WrongRole => (
                StatusCode::FORBIDDEN,
                "wrong_role",
                "Only an auditor may do that.",
            ),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "forged",
                "This form was not sent by the page it belongs to, or is out of date. Go back, load the page again, \
                 and try once more.",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "This request cannot be understood.",
            ),
            Self::SlowDown(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "slow_down",
                "Too many wrong tokens were tried. Wait a little.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_must_wait_is_told_how_long_in_whole_seconds() {
        for (millis, seconds) in [(5001, "6"), (6000, "6"), (60_000, "60")] {
            let refusal = Refusal::SlowDown(Duration::from_millis(millis));
            for audience in [Audience::Page, Audience::Api] {
                let answer = refusal.answer(audience);
                assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
                assert_eq!(answer.headers()[RETRY_AFTER], seconds);
            }
        }
    }
}
