//! `[origin]`: the homeserver behind the gateway, and how its address is written.

use std::time::Duration;

use http::HeaderValue;
use http::uri::Authority;
use serde::Deserialize;

/// `[origin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `http://HOST[:PORT]`; see [`Origin::parse`]. There is no default: it is the one thing that
    /// nobody can guess.
    pub url: Option<String>,
    /// Looking the name up and connecting. Five seconds: two lost SYNs (1 s and 2 s on Linux) are
    /// survived, and a client's own patience is not used up.
    #[serde(with = "crate::duration")]
    pub connect_timeout: Duration,
    /// How long the guard waits for the answer to a guarded request. Thirty seconds: Synapse answers
    /// one in milliseconds, and clients give up after a minute at the latest. What is not guarded
    /// has no such deadline.
    #[serde(with = "crate::duration")]
    pub guarded_timeout: Duration,
}

/// Where the origin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    authority: Authority,
    host: HeaderValue,
}

/// Why a text does not say where the origin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// Neither of the schemes we know.
    #[error("must be http://HOST[:PORT]")]
    NotHttp,
    /// `https://`.
    #[error(
        "https is not supported by this version: use http://HOST[:PORT] on the same machine or a private network"
    )]
    Tls,
    /// `unix:`.
    #[error("unix sockets are not supported by this version: use http://HOST[:PORT]")]
    UnixSocket,
    /// Something after the authority.
    #[error(
        "must end after HOST[:PORT]: requests are forwarded with their own path and query, so remove the path, query or fragment (a last \"/\" too)"
    )]
    Path,
    /// `user@` or `user:password@`.
    #[error("must have no user or password: remove what stands before the \"@\"")]
    UserInfo,
    /// Not a host.
    #[error("has no valid HOST: give a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// Not a port.
    #[error(
        "has no valid PORT: give a number from 1 to 65535 after the \":\", or leave both out for 80"
    )]
    Port,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            connect_timeout: Duration::from_secs(5),
            guarded_timeout: Duration::from_secs(30),
        }
    }
}

// === impl Origin ===

impl Origin {
    /// Reads `http://HOST[:PORT]`, and nothing more than that.
    ///
    /// # Errors
    ///
    /// Each says what is wrong and what to write instead.
    pub fn parse(url: &str) -> Result<Self, InvalidOrigin> {
        if url.starts_with("unix:") {
            return Err(InvalidOrigin::UnixSocket);
        }
        let (scheme, rest) = url.split_once("://").ok_or(InvalidOrigin::NotHttp)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(InvalidOrigin::Tls);
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(InvalidOrigin::NotHttp);
        }
        if rest.contains(['/', '?', '#']) {
            return Err(InvalidOrigin::Path);
        }
        if rest.contains('@') {
            return Err(InvalidOrigin::UserInfo);
        }
        let authority: Authority = rest.parse().map_err(|_| InvalidOrigin::Host)?;
        let host = authority.host();
        if host.is_empty() || host == "[]" {
            return Err(InvalidOrigin::Host);
        }
        match authority.as_str().strip_prefix(host) {
            Some("") => {}
            Some(_) if authority.port_u16().is_some_and(|port| port != 0) => {}
            Some(_) | None => return Err(InvalidOrigin::Port),
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidOrigin::Host)?;
        Ok(Self { authority, host })
    }

    /// `HOST[:PORT]`.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same as a `Host` field.
    pub(super) const fn host(&self) -> &HeaderValue {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, InvalidOrigin, Origin};

    #[test]
    fn an_origin_is_a_host_and_perhaps_a_port() {
        for good in [
            "http://localhost",
            "http://localhost:8008",
            "http://127.0.0.1:8008",
            "http://[::1]:8008",
            "http://[::1]",
            "http://synapse.matrix.svc.cluster.local:8008",
        ] {
            let origin = Origin::parse(good).unwrap();
            assert_eq!(format!("http://{}", origin.authority()), good);
        }
        assert!(Origin::parse("HTTP://localhost").is_ok());
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (bad, why) in [
            ("", InvalidOrigin::NotHttp),
            ("localhost:8008", InvalidOrigin::NotHttp),
            ("ftp://localhost", InvalidOrigin::NotHttp),
            ("https://localhost", InvalidOrigin::Tls),
            ("unix:/run/synapse.sock", InvalidOrigin::UnixSocket),
            ("unix:///run/synapse.sock", InvalidOrigin::UnixSocket),
            ("http://localhost/", InvalidOrigin::Path),
            ("http://localhost:8008/_matrix", InvalidOrigin::Path),
            ("http://localhost?x", InvalidOrigin::Path),
            ("http://localhost#x", InvalidOrigin::Path),
            ("http://user:secret@localhost", InvalidOrigin::UserInfo),
            ("http://", InvalidOrigin::Host),
            ("http://:8008", InvalidOrigin::Host),
            ("http://a b", InvalidOrigin::Host),
            ("http://localhost:", InvalidOrigin::Port),
            ("http://localhost:0", InvalidOrigin::Port),
            ("http://localhost:65536", InvalidOrigin::Port),
        ] {
            assert_eq!(Origin::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_configuration_is_strict_and_may_be_empty() {
        let read = |json| serde_json::from_str::<Config>(json);
        assert_eq!(read("{}").unwrap(), Config::default());
        let config = read(r#"{"url":"http://a","connect_timeout":"1s"}"#).unwrap();
        assert_eq!(config.connect_timeout, std::time::Duration::from_secs(1));
        assert!(read(r#"{"connect_timeout":5}"#).is_err());
        assert!(read(r#"{"uri":"http://a"}"#).is_err());
    }
}
