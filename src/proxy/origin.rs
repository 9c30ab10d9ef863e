//! `[origin]`: the homeserver behind the gateway, and how its address is written.

use std::fmt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme};
use serde::Deserialize;

/// `[origin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:PATH`; see [`Origin::parse`]. There is no
    /// default: it is the one thing that nobody can guess.
    pub url: Option<String>,
    /// The CA certificates (PEM) that an `https://` origin's certificate is verified by. Without it,
    /// those of the system.
    pub ca_file: Option<PathBuf>,
    /// Looking the name up, connecting, and the TLS handshake. Five seconds: two lost SYNs (1 s and
    /// 2 s on Linux) are survived, and a client's own patience is not used up.
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
    place: Place,
    authority: Authority,
    host: HeaderValue,
}

/// How the origin is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp,
    Tls,
    /// The socket's path; absolute.
    Unix(Arc<Path>),
}

/// Why a text does not say where the origin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// None of the schemes we know.
    #[error("must be http://HOST[:PORT], https://HOST[:PORT] or unix:PATH")]
    Scheme,
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
        "has no valid PORT: give a number from 1 to 65535 after the \":\", or leave both out for 80 (https: 443)"
    )]
    Port,
    /// Not the path of a socket.
    #[error(
        "has no valid PATH: write unix:/PATH, absolute (not unix://) and no longer than 107 bytes"
    )]
    Socket,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            guarded_timeout: Duration::from_secs(30),
        }
    }
}

// === impl Origin ===

impl Origin {
    /// Reads `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:PATH`, and nothing more than that.
    ///
    /// # Errors
    ///
    /// Each says what is wrong and what to write instead.
    pub fn parse(url: &str) -> Result<Self, InvalidOrigin> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Self::parse_socket(path);
        }
        let (scheme, rest) = url.split_once("://").ok_or(InvalidOrigin::Scheme)?;
        let place = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => Place::Tcp,
            _ if scheme.eq_ignore_ascii_case("https") => Place::Tls,
            _ => return Err(InvalidOrigin::Scheme),
        };
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
        Ok(Self {
            place,
            authority,
            host,
        })
    }

    /// Reads `http://HOST[:PORT]/PATH` or `https://…`: an origin, and what is asked of it.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_with_path(url: &str) -> Result<(Self, PathAndQuery), InvalidOrigin> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidOrigin::Scheme)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let origin = Self::parse(&format!("{scheme}://{authority}"))?;
        let path = if path.is_empty() { "/" } else { path };
        // A fragment is never sent.
        if path.contains('#') {
            return Err(InvalidOrigin::Path);
        }
        let path = path.parse().map_err(|_| InvalidOrigin::Path)?;
        Ok((origin, path))
    }

    fn parse_socket(path: &str) -> Result<Self, InvalidOrigin> {
        // `unix://run/x` would be read as a host by some and as a path by others.
        let is_socket = path.starts_with('/')
            && !path.starts_with("//")
            && SocketAddr::from_pathname(path).is_ok();
        if !is_socket {
            return Err(InvalidOrigin::Socket);
        }
        Ok(Self {
            place: Place::Unix(Path::new(path).into()),
            authority: Authority::from_static("localhost"),
            host: HeaderValue::from_static("localhost"),
        })
    }

    /// `HOST[:PORT]`; `localhost` for a unix socket.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same as a `Host` field.
    pub(super) const fn host(&self) -> &HeaderValue {
        &self.host
    }

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// The scheme of the URIs that are asked for.
    pub(super) const fn scheme(&self) -> Scheme {
        match self.place {
            Place::Tcp | Place::Unix(_) => Scheme::HTTP,
            Place::Tls => Scheme::HTTPS,
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for Origin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp => write!(to, "http://{}", self.authority),
            Place::Tls => write!(to, "https://{}", self.authority),
            Place::Unix(path) => write!(to, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, InvalidOrigin, Origin};

    #[test]
    fn an_origin_is_a_host_and_perhaps_a_port_or_a_socket() {
        for good in [
            "http://localhost",
            "http://localhost:8008",
            "http://127.0.0.1:8008",
            "http://[::1]:8008",
            "http://[::1]",
            "http://synapse.matrix.svc.cluster.local:8008",
            "https://localhost",
            "https://[::1]:8448",
            "unix:/run/matrix-synapse/client.sock",
        ] {
            assert_eq!(Origin::parse(good).unwrap().to_string(), good);
        }
        assert!(Origin::parse("HTTP://localhost").is_ok());
        assert!(Origin::parse("HTTPS://localhost").is_ok());
        let socket = Origin::parse("unix:/run/synapse.sock").unwrap();
        assert_eq!(socket.authority().as_str(), "localhost");
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let too_long = format!("unix:/{}", "x".repeat(107));
        for (bad, why) in [
            ("", InvalidOrigin::Scheme),
            ("localhost:8008", InvalidOrigin::Scheme),
            ("ftp://localhost", InvalidOrigin::Scheme),
            ("unix", InvalidOrigin::Scheme),
            ("unix:", InvalidOrigin::Socket),
            ("unix:synapse.sock", InvalidOrigin::Socket),
            ("unix://run/synapse.sock", InvalidOrigin::Socket),
            ("unix:///run/synapse.sock", InvalidOrigin::Socket),
            ("unix:/run/\0", InvalidOrigin::Socket),
            (too_long.as_str(), InvalidOrigin::Socket),
            ("http://localhost/", InvalidOrigin::Path),
            ("http://localhost:8008/_matrix", InvalidOrigin::Path),
            ("https://localhost/", InvalidOrigin::Path),
            ("http://localhost?x", InvalidOrigin::Path),
            ("http://localhost#x", InvalidOrigin::Path),
            ("http://user:secret@localhost", InvalidOrigin::UserInfo),
            ("http://", InvalidOrigin::Host),
            ("http://:8008", InvalidOrigin::Host),
            ("http://a b", InvalidOrigin::Host),
            ("http://localhost:", InvalidOrigin::Port),
            ("http://localhost:0", InvalidOrigin::Port),
            ("https://localhost:65536", InvalidOrigin::Port),
        ] {
            assert_eq!(Origin::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_configuration_is_strict_and_may_be_empty() {
        let read = |json| serde_json::from_str::<Config>(json);
        assert_eq!(read("{}").unwrap(), Config::default());
        let config =
            read(r#"{"url":"http://a","connect_timeout":"1s","ca_file":"/etc/ca.pem"}"#).unwrap();
        assert_eq!(config.connect_timeout, std::time::Duration::from_secs(1));
        assert_eq!(config.ca_file.as_deref(), Some("/etc/ca.pem".as_ref()));
        assert!(read(r#"{"connect_timeout":5}"#).is_err());
        assert!(read(r#"{"uri":"http://a"}"#).is_err());
    }
}
