//! The client's address, resolved once per request, and carried as a request extension that guard,
//! identity and proxy read.
//!
//! # Promise
//!
//! Nobody can choose the address we take them for: a line of `X-Forwarded-For` is believed only as
//! far as it was written by hops that the operator trusts, read from the nearest one outwards.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

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

/// Whether what `peer` says of others is believed; `None` is a unix socket, which is trusted: whoever
/// may open it has been let in by the file's mode.
#[must_use]
pub fn is_trusted(peer: Option<IpAddr>, trusted: &[IpNet]) -> bool {
    peer.is_none_or(|peer| {
        let peer = peer.to_canonical();
        trusted.iter().any(|network| network.contains(&peer))
    })
}

/// Finds the client behind all trusted proxies.
///
/// `peer` is the other end of the connection, `None` on a unix socket. `forwarded_for` are the values of all lines of
/// `X-Forwarded-For`, in their order; several lines are one list ([RFC 9110
/// §5.3](https://www.rfc-editor.org/rfc/rfc9110#section-5.3)).
///
/// The list is read from its right end, which the nearest hop wrote, for as long as the hop that
/// wrote the entry is in `trusted`. What is no address ends it: then the client is the last hop that
/// has one.
pub fn resolve<'a>(
    peer: Option<IpAddr>,
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> Client {
    let peer = peer.map(|peer| peer.to_canonical());
    let believed = |hop: IpAddr| trusted.iter().any(|network| network.contains(&hop));
    let mut chain: Vec<String> = peer.iter().map(ToString::to_string).collect();
    let mut address = peer;
    let entries = forwarded_for
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','));
    for entry in entries
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
    {
        if address.is_some_and(|hop| !believed(hop)) {
            break;
        }
        let Some((hop, entry)) = parse(entry) else {
            break;
        };
        address = Some(hop);
        chain.push(entry.to_owned());
    }
    chain.reverse();
    Client {
        address,
        chain: chain.into(),
    }
}

/// One entry of `X-Forwarded-For`: the address in it, and itself as text.
///
/// Beside plain addresses, `v4:port`, `[v6]` and `[v6]:port`, which load balancers write. An IPv4
/// address inside an IPv6 one (a dual-stack socket) is that IPv4 address.
fn parse(entry: &[u8]) -> Option<(IpAddr, &str)> {
    let text = str::from_utf8(entry).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => text
            .parse::<IpAddr>()
            .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
            .ok()?,
    };
    Some((address.to_canonical(), text))
}

// === impl RequestId ===

impl From<&str> for RequestId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

// === impl Client ===

impl Client {
    /// The value of `X-Forwarded-For` that tells the origin this client: its plain address first
    /// (the one that Synapse believes), then the trusted hops. `None` if no address is known.
    #[must_use]
    pub fn forwarded_for(&self) -> Option<String> {
        let mut value = String::new();
        for (address, _) in self
            .chain
            .iter()
            .filter_map(|entry| parse(entry.as_bytes()))
        {
            if !value.is_empty() {
                value.push_str(", ");
            }
            value.push_str(&address.to_string());
        }
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests;
