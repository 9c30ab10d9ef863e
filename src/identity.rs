//! Who is asking: the homeserver's own word for it.
//!
//! # Promise
//!
//! Nobody is named by anything but an answer of the homeserver to the credentials as they came:
//! every `Authorization` line and the whole raw query, unparsed, because homeservers differ in which
//! of several credentials wins. Only answers that name a user are remembered, and under a keyed
//! hash: no token and no digest that could be tested against one is kept. A 401 is never remembered,
//! because a replayed one would log a user out.

mod doubt;
mod metrics;
mod whoami;

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, Request, Response};
use serde::Deserialize;
use sha2::Sha256;

pub use self::metrics::Metrics;
pub use self::whoami::Through;
use crate::client::Client;

/// `[identity]`: how the homeserver is asked who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For how long an answer that names a user is remembered; `0s` for not at all.
    #[serde(with = "crate::duration")]
    pub cache: Duration,
    /// How long whoami may take.
    #[serde(with = "crate::duration")]
    pub deadline: Duration,
    /// Whether reads are asked about as well: beside the read, never before it.
    pub reads: bool,
}

/// Answers whose credentials a request carries.
pub trait Identify: Send + Sync + 'static {
    /// Asks about `credentials`. Ends within a deadline of its own.
    fn identify(
        &self,
        credentials: Credentials,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}

/// Everything in a request by which a homeserver could tell who is asking, as it came.
///
/// `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Credentials {
    fields: HeaderMap,
    query: Option<Box<str>>,
    client: Option<Client>,
}

/// What the homeserver says.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A user's.
    Known(Identity),
    /// Nobody's, or not now: its 401, 403 or 429, to be relayed as the answer; or a 502, if it can
    /// say of others who they are, and fails at these credentials alone.
    Refused(Response<Bytes>),
    /// It could not be had.
    Unavailable(Unavailable),
}

/// Why whoami could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Not within the deadline.
    TimedOut,
    /// No answer, or none that makes sense.
    Failed,
}

/// Whom whoami named. Keeps [Client-Server API,
/// whoami](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The user.
    pub user_id: String,
    /// The device; absent for administrators' tokens and many application services.
    #[serde(default)]
    pub device_id: Option<String>,
    /// Whether it is a guest, if it was said.
    #[serde(default)]
    pub is_guest: Option<bool>,
}

/// What a homeserver is told when it is asked: the credentials, and the fields by which it limits
/// rates and logs.
const SENT: [HeaderName; 6] = [
    AUTHORIZATION,
    HOST,
    USER_AGENT,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
];

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            // A client writes both types 50 ms apart; a revoked token is found within this time.
            cache: Duration::from_secs(30),
            // whoami takes a millisecond; Element X tries a 5xx again within 1.6 s.
            deadline: Duration::from_secs(2),
            reads: false,
        }
    }
}

// === impl Credentials ===

impl Credentials {
    /// What `request` carries. Hop-by-hop fields have been removed before: what `Connection` names
    /// does not reach the homeserver with the write, so it must not with this.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        let mut fields = HeaderMap::new();
        for name in SENT {
            for line in request.headers().get_all(&name) {
                fields.append(name.clone(), line.clone());
            }
        }
        Self {
            fields,
            query: request.uri().query().map(Box::from),
            client: request.extensions().get::<Client>().cloned(),
        }
    }

    /// No credentials at all: whoever asks with these asks whether the homeserver answers.
    fn none() -> Self {
        Self {
            fields: HeaderMap::new(),
            query: None,
            client: None,
        }
    }

    /// A keyed hash of all of it.
    fn digest(&self, key: &[u8; 32]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        let mut part = |bytes: Option<&[u8]>| {
            // What is absent, and what is empty, differ.
            mac.update(
                &bytes
                    .map_or(u64::MAX, |bytes| bytes.len() as u64)
                    .to_be_bytes(),
            );
            mac.update(bytes.unwrap_or_default());
        };
        part(self.query.as_deref().map(str::as_bytes));
        part(
            self.address()
                .map(|address| address.to_string())
                .as_deref()
                .map(str::as_bytes),
        );
        for (name, line) in &self.fields {
            part(Some(name.as_str().as_bytes()));
            part(Some(line.as_bytes()));
        }
        mac.finalize().into_bytes().into()
    }

    fn address(&self) -> Option<IpAddr> {
        self.client.as_ref()?.address
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    /// The digest of a request with these fields and from this address.
    fn digest(query: &str, fields: &[(&str, &str)], address: Option<[u8; 4]>) -> [u8; 32] {
        let mut request = Request::get(format!("/a{query}"));
        for (name, line) in fields {
            request = request.header(*name, *line);
        }
        let mut request = request.body(()).unwrap();
        if let Some(address) = address {
            request.extensions_mut().insert(Client {
                address: Some(address.into()),
                ..Client::default()
            });
        }
        Credentials::of(&request).digest(&KEY)
    }

    #[test]
    fn credentials_that_differ_in_anything_have_different_digests() {
        let all = [
            digest("", &[], None),
            digest("?", &[], None),
            digest("?a", &[], None),
            digest("", &[], Some([192, 0, 2, 1])),
            digest("?192.0.2.1", &[], None),
            digest("", &[("authorization", "")], None),
            digest("", &[("authorization", "a")], None),
            digest("", &[("authorization", "a"), ("authorization", "b")], None),
            digest("", &[("authorization", "b"), ("authorization", "a")], None),
            digest("", &[("authorization", "ab")], None),
            digest("", &[("host", "a")], None),
            digest("", &[("user-agent", "a")], None),
        ];
        assert_eq!(HashSet::from(all).len(), all.len());
    }

    #[test]
    fn what_a_homeserver_is_not_told_makes_no_difference() {
        let cookie = digest("?a", &[("cookie", "b")], None);
        assert_eq!(cookie, digest("?a", &[], None));
    }

    #[test]
    fn a_digest_is_worth_nothing_without_its_key() {
        let credentials = Credentials::of(&Request::get("/a").body(()).unwrap());
        assert_ne!(credentials.digest(&KEY), credentials.digest(&[8; 32]));
    }
}
