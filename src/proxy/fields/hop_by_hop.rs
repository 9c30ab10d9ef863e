//! Fields that concern one connection: removed, but for the little that is said again on the next.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

const KINDS: usize = 6;

/// Hop-by-hop whether or not `Connection` names them: [RFC 9110
/// §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1-7). `Trailer` is not among them.
const HOP_BY_HOP: [HeaderName; KINDS] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What `Connection` may name without effect. They say where the request goes and how long it is;
/// without them it would be another request, or two.
const NEVER_AN_OPTION: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

/// What the `Transfer-Encoding` of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Framing {
    /// There is none.
    Plain,
    /// `chunked`, once.
    Chunked,
    /// Something else. Hyper reads a body in chunks if `chunked` is the last word, and lets the
    /// others pass for nothing: of `gzip, chunked` it would hand on what is still compressed, and
    /// what `identity, chunked` is, parsers do not agree on.
    Odd,
}

/// The hop-by-hop fields that are said again.
pub(super) struct Again {
    trailers: bool,
    upgrade: Vec<HeaderValue>,
}

/// How the message with these `headers` is framed.
pub(in crate::proxy) fn framing(headers: &HeaderMap) -> Framing {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Framing::Plain,
        (Some(line), None) if line.as_bytes().eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (Some(_), _) => Framing::Odd,
    }
}

/// Whether a head with a field of this `name` has to be looked at here.
pub(in crate::proxy) fn concerns(name: &HeaderName) -> bool {
    // By text: that is a comparison, where a look into the map hashes the name first.
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Removes the fields that concern one connection only.
pub(in crate::proxy) fn remove(headers: &mut HeaderMap) {
    // Of a head with none of them, which is most, nothing is hashed.
    let mut present = [false; KINDS];
    for name in headers.keys().filter(|name| concerns(name)) {
        if let Some(index) = HOP_BY_HOP.iter().position(|it| it == name) {
            present[index] = true;
        }
    }
    if !present.contains(&true) {
        return;
    }
    // > Intermediaries MUST parse a received Connection header field before a message is forwarded
    // > and, for each connection-option in this field, remove any header or trailer field(s) from
    // > the message with the same name as the connection-option
    //
    // https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1-5
    //
    // The field may come on several lines: all are read before any is removed.
    let options: Vec<HeaderName> = members(headers, &CONNECTION)
        // What most say, and what goes anyway.
        .filter(|option| !option.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .filter(|option| !NEVER_AN_OPTION.contains(option))
        .collect();
    for name in options {
        headers.remove(name);
    }
    for (name, _) in HOP_BY_HOP.iter().zip(present).filter(|(_, is)| *is) {
        headers.remove(name);
    }
}

/// Names `TE` and `Upgrade` in `Connection`, as whoever sends them must.
pub(in crate::proxy) fn name_options(headers: &mut HeaderMap) {
    let options = match (headers.contains_key(TE), headers.contains_key(UPGRADE)) {
        (false, false) => return,
        (true, false) => "TE",
        (false, true) => "Upgrade",
        (true, true) => "TE, Upgrade",
    };
    headers.insert(CONNECTION, HeaderValue::from_static(options));
}

/// As [`remove`], for a 101, whose `Upgrade` is what it is about.
pub(in crate::proxy) fn keep_upgrade_only(headers: &mut HeaderMap) {
    let upgrade = headers.get_all(UPGRADE).iter().cloned().collect();
    let again = Again {
        trailers: false,
        upgrade,
    };
    remove(headers);
    again.put_into(headers);
    name_options(headers);
}

/// The members of all lines of `name`. Bytes, not text: one odd byte in a line must not hide the
/// members beside it.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(of_line).map(<[u8]>::trim_ascii)
}

fn of_line(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',')
}

/// The `Upgrade` lines that go on: only in HTTP/1.1, only if `Connection` names them ([RFC 9110
/// §7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)), and without what [`carries_http`].
fn upgrade(headers: &HeaderMap, version: Version) -> Vec<HeaderValue> {
    let is_option = version == Version::HTTP_11
        && headers.contains_key(UPGRADE)
        && members(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    if !is_option {
        return Vec::new();
    }
    let lines = headers.get_all(UPGRADE).iter();
    lines.filter_map(without_http).collect()
}

/// `line` as it came, if nothing in it [`carries_http`]; else the rest of it.
fn without_http(line: &HeaderValue) -> Option<HeaderValue> {
    if !of_line(line).any(carries_http) {
        return Some(line.clone());
    }
    let rest = of_line(line).filter(|protocol| !carries_http(protocol));
    let rest: Vec<&[u8]> = rest.map(<[u8]>::trim_ascii).collect();
    HeaderValue::from_bytes(&rest.join(&b", "[..]))
        .ok()
        .filter(|rest| !rest.is_empty())
}

/// Whether HTTP would be spoken after a switch to `protocol`: requests that nobody would look at.
fn carries_http(protocol: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(byte);
    if !protocol.trim_ascii().iter().all(is_token) {
        // Nobody knows what others would make of it.
        return true;
    }
    let name = protocol.split(|byte| *byte == b'/').next();
    let name = name.unwrap_or_default().trim_ascii().to_ascii_lowercase();
    // `h2c` and its drafts, `HTTP/2.0`, and RFC 2817's `TLS/1.0`, in which HTTP goes on.
    name.starts_with(b"h2") || name.starts_with(b"h3") || name == b"http" || name == b"tls"
}

// === impl Again ===

impl Again {
    /// What is to be said again of a request with `headers`.
    pub(super) fn of(headers: &HeaderMap, version: Version) -> Self {
        let trailers = members(headers, &TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
        let upgrade = upgrade(headers, version);
        Self { trailers, upgrade }
    }

    pub(super) fn put_into(self, headers: &mut HeaderMap) {
        if self.trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        for line in self.upgrade {
            headers.append(UPGRADE, line);
        }
        // It says how an `Upgrade: h2c` would be meant.
        headers.remove(HTTP2_SETTINGS);
    }
}
