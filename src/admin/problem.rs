//! Why a question about the trail has no answer.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::audit::store;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Problem {
    /// Something in it cannot be understood.
    Unusable(Vec<Wrong>),
    /// There is no such record.
    NotThere,
    /// It is there, and cannot be had yet: why.
    NotYet(String),
    /// It would take too long.
    TooMuch,
    /// The store cannot be read.
    Store(store::Error),
}

/// What is wrong with one field of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The field.
    pub(super) name: String,
    /// What it must be.
    pub(super) reason: String,
}

/// What programs read of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Said {
    /// For people.
    pub(super) error: String,
    /// For programs: it never changes.
    pub(super) code: &'static str,
}

// === impl Problem ===

impl Problem {
    /// Status, and what is said.
    pub(super) fn words(&self) -> (StatusCode, Said) {
        let (status, code, error) = match self {
            Self::Unusable(wrong) => {
                let wrong = wrong
                    .iter()
                    .map(|one| format!("{}: {}", one.name, one.reason));
                let error = wrong.collect::<Vec<_>>().join("; ");
                (StatusCode::BAD_REQUEST, "unusable", error)
            }
            Self::NotThere => (
                StatusCode::NOT_FOUND,
                "not_found",
                "The trail has no such exchange, and no such record.".to_owned(),
            ),
            Self::NotYet(why) => (StatusCode::CONFLICT, "not_yet", why.clone()),
            Self::TooMuch => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too_much",
                "This is too much to look through in time: narrow it by a user or by a range of time.".to_owned(),
            ),
            Self::Store(error @ store::Error::Unreadable { .. }) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "unreadable", error.to_string())
            }
            Self::Store(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "The trail cannot be read just now; the log says why. Try again.".to_owned(),
            ),
        };
        (status, Said { error, code })
    }

    /// Says in the log what is not for everybody.
    pub(super) fn log(&self) {
        if let Self::Store(error) = self {
            let cause = std::error::Error::source(error);
            tracing::warn!(%error, ?cause, "the auditor's desk cannot read the trail");
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::Unusable(vec![wrong])
    }
}

/// For programs; pages say it in their own way.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let (status, said) = self.words();
        (status, Json(said)).into_response()
    }
}

// === impl Wrong ===

impl Wrong {
    pub(super) fn new(name: &str, reason: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            reason: reason.into(),
        }
    }
}
