//! What the client reads when the guard answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::identity::Unavailable;
use crate::matrix::EventType;
use crate::matrix::error::{ErrCode, limit_exceeded, response, unavailable};
use crate::policy::{Violation, Violations};

pub(super) const STOPPING: &str = "The gateway is shutting down; try again";
const NOT_RECORDED: &str = "The change could not be recorded, so it was not made; try again";
const TOO_MANY: &str = "The homeserver cannot say who you are just now; try again";
const TOO_MANY_OF_USER: &str = "You change the key-backup preference too often; try again later";
const UNKNOWN_FAILED: &str = "The homeserver could not say who you are";
const UNKNOWN_TIMED_OUT: &str = "The homeserver took too long to say who you are";
const NO_ANSWER: &str = "The homeserver took too long to answer; the change may have been made";
const NO_READ: &str = "The homeserver took too long to answer";
const SLOW_BODY: &str = "The body took too long to arrive";
const BROKEN_BODY: &str = "The body ended before its time";

/// For how many seconds a client is asked to wait before it tries again.
const RETRY_AFTER: u64 = 1;

/// The answer to a body with these violations: the first one picks it.
pub(super) fn of_violations(event_type: EventType, violations: &Violations) -> Response<Bytes> {
    let violation = violations.first();
    let (status, errcode) = match violation {
        Violation::NotJson => (StatusCode::BAD_REQUEST, ErrCode::NotJson),
        Violation::NotAnObject
        | Violation::FieldMissing
        | Violation::FieldNotBoolean
        | Violation::DuplicateMember
        | Violation::UnportableText
        | Violation::UnportableNumber
        | Violation::TooDeep
        | Violation::Encoded
        | Violation::ExtraMember => (StatusCode::BAD_REQUEST, ErrCode::BadJson),
        Violation::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrCode::TooLarge),
        Violation::ClearRefused => (StatusCode::FORBIDDEN, ErrCode::Forbidden),
    };
    let field = event_type.field();
    let text = match violation {
        Violation::NotJson => "The body is not one JSON text in UTF-8".to_owned(),
        Violation::NotAnObject => "The body must be a JSON object".to_owned(),
        Violation::FieldMissing => format!("{field} is missing"),
        Violation::FieldNotBoolean => format!("{field} must be true or false"),
        Violation::DuplicateMember => "A member of the body comes twice".to_owned(),
        Violation::UnportableText => "The body holds a lone surrogate or U+0000".to_owned(),
        Violation::UnportableNumber => {
            "The body holds a number that not every JSON parser can keep".to_owned()
        }
        Violation::TooDeep => "The body is nested too deep".to_owned(),
        Violation::TooLarge => "The body is too large".to_owned(),
        Violation::Encoded => "The body must not have a Content-Encoding".to_owned(),
        Violation::ExtraMember => format!("Only {field} is allowed in the body"),
        Violation::ClearRefused => {
            "This homeserver does not allow clearing the preference".to_owned()
        }
    };
    response(status, errcode, &text)
}

/// The record could not be kept, so nothing happened.
pub(super) fn not_recorded() -> Response<Bytes> {
    unavailable(RETRY_AFTER, NOT_RECORDED)
}

/// More writes without a known user than are taken on.
pub(super) fn too_many_unknown() -> Response<Bytes> {
    unavailable(RETRY_AFTER, TOO_MANY)
}

/// More writes of one user than are taken on: not before `wait` is over.
pub(super) fn too_many_of_user(wait: Duration) -> Response<Bytes> {
    limit_exceeded(wait, TOO_MANY_OF_USER)
}

/// A refusal of somebody whom the homeserver cannot name.
pub(super) fn unknown(why: Unavailable) -> Response<Bytes> {
    match why {
        Unavailable::TimedOut => response(
            StatusCode::GATEWAY_TIMEOUT,
            ErrCode::Unknown,
            UNKNOWN_TIMED_OUT,
        ),
        Unavailable::Failed => response(StatusCode::BAD_GATEWAY, ErrCode::Unknown, UNKNOWN_FAILED),
    }
}

/// The origin did not answer in time, and may have acted.
pub(super) fn no_answer() -> Response<Bytes> {
    response(StatusCode::GATEWAY_TIMEOUT, ErrCode::Unknown, NO_ANSWER)
}

/// The origin did not answer a read in time.
pub(super) fn no_read() -> Response<Bytes> {
    response(StatusCode::GATEWAY_TIMEOUT, ErrCode::Unknown, NO_READ)
}

/// The client's body did not come in time.
pub(super) fn slow_body() -> Response<Bytes> {
    response(StatusCode::REQUEST_TIMEOUT, ErrCode::Unknown, SLOW_BODY)
}

/// The client's body broke off: most likely nobody reads this.
pub(super) fn broken_body() -> Response<Bytes> {
    response(StatusCode::BAD_REQUEST, ErrCode::Unknown, BROKEN_BODY)
}
