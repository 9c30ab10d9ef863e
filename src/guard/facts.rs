//! What a request says of itself, for its record.

use http::header::{CONTENT_ENCODING, USER_AGENT};
use http::{HeaderMap, Request};
use uuid::Uuid;

use crate::audit::record::Facts;
use crate::client::{Client, RequestId};
use crate::identity::Identity;
use crate::matrix::route::Route;

/// What is known before anything has been asked.
pub(super) fn of_request<B>(id: Uuid, route: &Route, request: &Request<B>) -> Facts {
    let client = request.extensions().get::<Client>();
    Facts {
        exchange_id: Some(id),
        action: Some(route.action),
        event_type: Some(route.event_type),
        claimed_user: route
            .claimed_user
            .as_ref()
            .map(|user| user.as_str().to_owned()),
        client_address: client.and_then(|client| Some(client.address?.to_string())),
        client_chain: client
            .map(|client| client.chain.to_vec())
            .unwrap_or_default(),
        user_agent: text(request.headers(), USER_AGENT.as_str()),
        request_id: request
            .extensions()
            .get::<RequestId>()
            .map(|RequestId(id)| id.to_string()),
        traceparent: text(request.headers(), "traceparent"),
        ..Facts::default()
    }
}

/// The same with whom whoami named.
pub(super) fn with_identity(facts: Facts, identity: Option<Identity>) -> Facts {
    let Some(Identity {
        user_id,
        device_id,
        is_guest,
    }) = identity
    else {
        return facts;
    };
    Facts {
        authenticated_user: Some(user_id),
        device_id,
        is_guest,
        ..facts
    }
}

/// Whether the body has a coding that we do not see through, and some homeservers ignore.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// A field's first line as text; bytes that are no UTF-8 are replaced.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
}
