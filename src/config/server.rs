//! `[server]`: where the gateway listens, and whom it believes.

use std::net::IpAddr;
use std::num::NonZero;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::listen::{Address, Listen};

/// What a request id must not be written into: these fields say something else already.
const TAKEN: [&str; 20] = [
    "accept",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "host",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// `[server]`: where the gateway listens, and whom it believes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where clients come in.
    pub listen: Vec<Listen>,
    /// Where health and metrics are: never on a public address by default, and always plain HTTP.
    pub admin_listen: Address,
    /// The proxies whose word about a client's address is taken.
    pub trusted_proxies: Vec<Network>,
    /// How long open requests may take to end at shutdown.
    #[serde(with = "crate::duration")]
    pub drain: Duration,
    /// How many threads serve clients; `None` for as many as there are cores, see
    /// [`workers`](Self::workers).
    pub workers: Option<NonZero<usize>>,
    /// The field that carries the request id.
    #[serde(deserialize_with = "request_id")]
    pub request_id: HeaderName,
}

/// A network, or one address as a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

// === impl Server ===

impl Default for Server {
    fn default() -> Self {
        Self {
            // Synapse's usual port is 8008; the gateway stands next to it, and faces nobody until
            // it is told to.
            listen: vec![Listen::plain(Address::Tcp("127.0.0.1:8009".to_owned()))],
            admin_listen: Address::Tcp("127.0.0.1:9009".to_owned()),
            trusted_proxies: vec![
                Network(IpNet::new_assert(IpAddr::from([127, 0, 0, 0]), 8)),
                Network(IpNet::from(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))),
            ],
            // Long enough for any write, and for most uploads; a long poll is cut, and asked again.
            drain: Duration::from_secs(30),
            workers: None,
            request_id: HeaderName::from_static("x-request-id"),
        }
    }
}

impl Server {
    /// How many threads serve clients: as configured, or else as many as this process may use cores, and
    /// no more than eight; no homeserver answers what they could take on.
    #[must_use]
    pub fn workers(&self) -> NonZero<usize> {
        const ENOUGH: NonZero<usize> = NonZero::new(8).expect("not zero");
        self.workers.unwrap_or_else(|| {
            thread::available_parallelism().map_or(NonZero::<usize>::MIN, |cores| cores.min(ENOUGH))
        })
    }
}

fn request_id<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderName, D::Error> {
    let text = String::deserialize(from)?;
    let name: HeaderName = text
        .parse()
        .map_err(|_| de::Error::custom("not the name of an HTTP field"))?;
    if TAKEN.contains(&name.as_str()) {
        return Err(de::Error::custom(
            "this field has a meaning of its own; take another name",
        ));
    }
    Ok(name)
}

// === impl Network ===

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| {
            format!(
                "{text:?} is not a network; write one as in \"10.0.0.0/8\", \"fd00::/8\" or \
                 \"192.0.2.1\""
            )
        })?;
        Ok(Self(network.trunc()))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}
