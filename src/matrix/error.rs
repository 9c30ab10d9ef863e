//! The specification's [standard error
//! response](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response), with the
//! CORS fields that let a browser read it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// The `errcode`s that we answer with ourselves. `M_UNKNOWN_TOKEN` is not among them: a 401 is only
/// ever the homeserver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrCode {
    /// The body is no JSON.
    NotJson,
    /// The body is JSON, but not of the right shape.
    BadJson,
    /// The body is too large.
    TooLarge,
    /// The policy forbids it.
    Forbidden,
    /// Too many requests.
    LimitExceeded,
    /// Anything else, our own troubles among it.
    Unknown,
}

/// The answer `{"errcode": …, "error": …}` with `status`.
///
/// `error` is for people; no client shows it, so that it is in the trail as a violation as well.
#[must_use]
pub fn response(status: StatusCode, errcode: ErrCode, error: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "errcode": errcode.as_str(), "error": error });
    with_body(status, &body)
}

/// A 429 `M_LIMIT_EXCEEDED` that asks the client to come back after `wait`: to the millisecond for
/// those who read the body, to the next whole second in `Retry-After`.
///
/// Keeps [Client-Server API, rate limiting](https://spec.matrix.org/v1.19/client-server-api/#rate-limiting).
#[must_use]
pub fn limit_exceeded(wait: Duration, error: &str) -> Response<Bytes> {
    let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let body = serde_json::json!({
        "errcode": ErrCode::LimitExceeded.as_str(),
        "error": error,
        "retry_after_ms": millis,
    });
    let mut response = with_body(StatusCode::TOO_MANY_REQUESTS, &body);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
    response
}

fn with_body(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    add_cors_fields(response.headers_mut());
    response
}

/// A 503 `M_UNKNOWN` that asks the client to come back in `seconds`.
///
/// Keeps [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
#[must_use]
pub fn unavailable(seconds: u64, error: &str) -> Response<Bytes> {
    let mut response = response(StatusCode::SERVICE_UNAVAILABLE, ErrCode::Unknown, error);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The `errcode` member of an error answer's body, if it has one.
#[must_use]
pub fn errcode_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Standard {
        errcode: String,
    }
    serde_json::from_slice(body)
        .ok()
        .map(|Standard { errcode }| errcode)
}

/// What Synapse says on every answer: [Web Browser
/// Clients](https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients). Without it a
/// browser sees a lost connection, and tries again for half a minute.
fn add_cors_fields(headers: &mut HeaderMap) {
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            ACCESS_CONTROL_ALLOW_METHODS,
            "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        ),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "X-Requested-With, Content-Type, Authorization, Date",
        ),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "Synapse-Trace-Id, Server"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

// === impl ErrCode ===

impl ErrCode {
    /// The code as it stands in the answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "M_NOT_JSON",
            Self::BadJson => "M_BAD_JSON",
            Self::TooLarge => "M_TOO_LARGE",
            Self::Forbidden => "M_FORBIDDEN",
            Self::LimitExceeded => "M_LIMIT_EXCEEDED",
            Self::Unknown => "M_UNKNOWN",
        }
    }

    /// The status that goes with it where we refuse something.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotJson | Self::BadJson => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::LimitExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_in_the_body_and_in_the_field() {
        for (wait, millis, seconds) in [
            (Duration::from_millis(1), "1", "1"),
            (Duration::from_secs(1), "1000", "1"),
            (Duration::from_micros(1_000_001), "1001", "2"),
            (Duration::from_secs(20), "20000", "20"),
        ] {
            let answer = limit_exceeded(wait, "Wait");
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            let body = format!(
                r#"{{"errcode":"M_LIMIT_EXCEEDED","error":"Wait","retry_after_ms":{millis}}}"#
            );
            assert_eq!(answer.body(), body.as_bytes());
            assert_eq!(answer.headers()[RETRY_AFTER], seconds);
            assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        }
    }
}
