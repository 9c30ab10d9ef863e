//! The client's address, resolved once per request, and carried as a request extension that guard,
//! identity and proxy read.

use std::net::IpAddr;
use std::sync::Arc;

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The address behind all trusted proxies; `None` if it is not known (a unix socket).
    pub address: Option<IpAddr>,
    /// What it was resolved from: the trusted part of `X-Forwarded-For` as it came, then the peer.
    pub chain: Arc<[String]>,
}

/// The request id (`X-Request-Id`, or as configured), as a request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);
