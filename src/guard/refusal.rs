//! What the client reads when the guard answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::identity::Unavailable;
use crate::matrix::EventType;
use crate::matrix::error::{ErrCode, limit_exceeded, response, unavailable};
use crate::policy::Violations;

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
    let errcode = violation.errcode();
    response(errcode.status(), errcode, &violation.message(event_type))
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
