//! Where the gateway listens: how an address is written, and what else a listener may be told.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// One listener: `"ADDRESS"`, or a table with more to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// The permissions of a unix socket's file; [`DEFAULT_MODE`](Self::DEFAULT_MODE) if not given.
    pub mode: Option<u32>,
    /// What it takes to speak TLS; without it the listener speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Whether every connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
}

/// Files in PEM, read at start and again on SIGHUP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those that lead to a root.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`. The host is not looked up here, and port 0 is any free one.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `fd:NAME`: all sockets of that name that systemd passed (`FileDescriptorName=`).
    Inherited(String),
}

/// The keys of a listener's table.
const KEYS: [&str; 4] = ["address", "mode", "tls", "proxy_protocol"];

/// The longest path of a unix socket: Linux takes 107 bytes, and the name under which the file is made
/// ready before it takes its place has 7 more.
const LONGEST_PATH: usize = 100;

// === impl Listen ===

impl Listen {
    /// The user and the group that the gateway runs as: whoever may connect is a trusted proxy.
    pub const DEFAULT_MODE: u32 = 0o660;

    /// Plain HTTP.
    #[must_use]
    pub const fn plain(address: Address) -> Self {
        Self {
            address,
            mode: None,
            tls: None,
            proxy_protocol: false,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// As it is written; what makes no sense together is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    address: Address,
    #[serde(default, deserialize_with = "mode")]
    mode: Option<u32>,
    tls: Option<Tls>,
    #[serde(default)]
    proxy_protocol: bool,
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = Listen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an address, or a table of {}", KEYS.join(", "))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listen, E> {
                text.parse().map(Listen::plain).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Listen, A::Error> {
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Listen::try_from(table).map_err(de::Error::custom)
            }
        }

        from.deserialize_any(TextOrTable)
    }
}

impl TryFrom<Table> for Listen {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let Table {
            address,
            mode,
            tls,
            proxy_protocol,
        } = table;
        if mode.is_some() && !matches!(address, Address::Unix(_)) {
            return Err(format!(
                "{address}: only a unix socket (`unix:PATH`) has a `mode`"
            ));
        }
        Ok(Self {
            address,
            mode,
            tls,
            proxy_protocol,
        })
    }
}

/// `"0660"`, or TOML's `0o660`.
fn mode<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Mode {
        Text(String),
        Number(u32),
    }
    let mode = match Mode::deserialize(from) {
        Ok(Mode::Text(text)) => u32::from_str_radix(&text, 8).ok(),
        Ok(Mode::Number(number)) => Some(number),
        Err(_) => None,
    };
    let mode = mode.filter(|mode| *mode <= 0o777);
    mode.map(Some)
        .ok_or_else(|| de::Error::custom("`mode` must be permissions in octal, as in \"0660\""))
}

// === impl Address ===

impl Address {
    /// Whether any free port will do.
    #[must_use]
    pub fn is_any_port(&self) -> bool {
        match self {
            Self::Tcp(address) => address
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse() == Ok(0_u16)),
            Self::Unix(_) | Self::Inherited(_) => false,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_file = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
            return if is_file && path.len() <= LONGEST_PATH {
                Ok(Self::Unix(path.into()))
            } else {
                Err(format!(
                    "{text:?}: write \"unix:PATH\" with a file's whole path from \"/\", of at \
                     most {LONGEST_PATH} bytes"
                ))
            };
        }
        if let Some(name) = text.strip_prefix("fd:") {
            // As systemd has it: no control characters and no colon.
            let is_name = !name.is_empty()
                && name.len() <= 255
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b':');
            return if is_name {
                Ok(Self::Inherited(name.to_owned()))
            } else {
                Err(format!(
                    "{text:?}: write \"fd:NAME\" with the FileDescriptorName= of a systemd socket"
                ))
            };
        }
        let is_name = |host: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            !host.is_empty() && host.bytes().all(allowed)
        };
        let is_port = |port: &str| !port.starts_with('+') && port.parse::<u16>().is_ok();
        let is_host_and_port = text
            .rsplit_once(':')
            .is_some_and(|(host, port)| is_name(host) && is_port(port));
        if text.parse::<SocketAddr>().is_ok() || is_host_and_port {
            Ok(Self::Tcp(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is not an address; write \"HOST:PORT\", as in \"127.0.0.1:8009\" or \
                 \"[::1]:8009\", \"unix:PATH\" or \"fd:NAME\""
            ))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(name) => write!(f, "fd:{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}
