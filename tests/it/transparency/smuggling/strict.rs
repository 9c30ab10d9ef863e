//! Reads a request the only way that RFC 9112 leaves, and refuses whatever another parser might read
//! otherwise. It shares nothing with hyper, with the gateway, or with the origin double.

/// A request with exactly one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strict {
    pub(super) method: String,
    pub(super) target: String,
    /// Names lower-cased.
    pub(super) fields: Vec<Field>,
    pub(super) body: Vec<u8>,
}

/// What the next bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole request, and where it ends.
    Request(Strict, usize),
    /// The beginning of one.
    Part,
    /// Something that may mean two things, or none.
    Ambiguous(String),
}

type Found<T> = Result<Option<T>, String>;
type Field = (String, Vec<u8>);

/// Reads the request that `bytes` begin with.
pub(super) fn next(bytes: &[u8]) -> Next {
    match request(bytes) {
        Ok(Some((request, end))) => Next::Request(request, end),
        Ok(None) => Next::Part,
        Err(why) => Next::Ambiguous(why),
    }
}

fn request(bytes: &[u8]) -> Found<(Strict, usize)> {
    let Some((line, mut at)) = line(bytes, 0)? else {
        return Ok(None);
    };
    let line = str::from_utf8(line).map_err(|_| "a request line of other bytes")?;
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("the request line {line:?}"));
    };
    if !is_token(method.as_bytes()) || target.is_empty() {
        return Err(format!("the request line {line:?}"));
    }
    let is_asterisk = target == "*" && method == "OPTIONS";
    if !(is_asterisk || target.starts_with('/')) || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("the target {target:?}"));
    }
    let Some((fields, end)) = fields(bytes, at)? else {
        return Ok(None);
    };
    at = end;
    one_host(&fields)?;
    let Some((body, end)) = body(bytes, at, &fields)? else {
        return Ok(None);
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let request = Strict {
        method,
        target,
        fields,
        body,
    };
    Ok(Some((request, end)))
}

/// The line that begins at `from`, and where the next one does.
fn line(bytes: &[u8], from: usize) -> Found<(&[u8], usize)> {
    let rest = &bytes[from..];
    let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let Some(line) = rest[..at].strip_suffix(b"\r") else {
        return Err(format!("a bare LF after {}", rest[..at].escape_ascii()));
    };
    if let Some(odd) = line.iter().find(|byte| b"\r\0".contains(byte)) {
        return Err(format!("the byte {odd:#x} in {}", line.escape_ascii()));
    }
    Ok(Some((line, from + at + 1)))
}

fn fields(bytes: &[u8], mut at: usize) -> Found<(Vec<Field>, usize)> {
    let mut fields = Vec::new();
    loop {
        let Some((line, next)) = line(bytes, at)? else {
            return Ok(None);
        };
        at = next;
        if line.is_empty() {
            return Ok(Some((fields, at)));
        }
        let odd = || format!("the field line {}", line.escape_ascii());
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(odd)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        if !is_token(name) || !value.iter().all(is_text) {
            return Err(odd());
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        fields.push((name, value.to_vec()));
    }
}

fn one_host(fields: &[Field]) -> Result<(), String> {
    let hosts: Vec<_> = fields.iter().filter(|(name, _)| name == "host").collect();
    let [(_, host)] = hosts[..] else {
        return Err(format!("{} Hosts", hosts.len()));
    };
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]%".contains(byte);
    if host.iter().all(fits) {
        Ok(())
    } else {
        Err(format!("the Host {}", host.escape_ascii()))
    }
}

/// The body that begins at `at`, by the only framing there is.
fn body(bytes: &[u8], at: usize, fields: &[Field]) -> Found<(Vec<u8>, usize)> {
    let framing = |(name, _): &&Field| name == "transfer-encoding" || name == "content-length";
    let framing: Vec<_> = fields.iter().filter(framing).collect();
    match framing[..] {
        [] => Ok(Some((Vec::new(), at))),
        [(name, value)] if name == "content-length" => {
            if value.is_empty() || value.len() > 15 || !value.iter().all(u8::is_ascii_digit) {
                return Err(format!("the length {}", value.escape_ascii()));
            }
            let length: usize = String::from_utf8_lossy(value).parse().unwrap();
            let body = bytes.get(at..at + length);
            Ok(body.map(|body| (body.to_vec(), at + length)))
        }
        [(name, value)] if name == "transfer-encoding" && value == b"chunked" => chunks(bytes, at),
        _ => Err(format!("the framing {framing:?}")),
    }
}

fn chunks(bytes: &[u8], mut at: usize) -> Found<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let Some((size, next)) = line(bytes, at)? else {
            return Ok(None);
        };
        if size.is_empty() || size.len() > 8 || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("the chunk size {}", size.escape_ascii()));
        }
        let size = usize::from_str_radix(&String::from_utf8_lossy(size), 16).unwrap();
        if size == 0 {
            let Some((trailers, end)) = fields(bytes, next)? else {
                return Ok(None);
            };
            let framing = |(name, _): &(String, _)| {
                ["content-length", "transfer-encoding", "host"].contains(&&**name)
            };
            if trailers.iter().any(framing) {
                return Err(format!("the trailers {trailers:?}"));
            }
            return Ok(Some((body, end)));
        }
        let Some(chunk) = bytes.get(next..next + size + 2) else {
            return Ok(None);
        };
        let Some(data) = chunk.strip_suffix(b"\r\n") else {
            return Err(format!("the chunk {}", chunk.escape_ascii()));
        };
        body.extend_from_slice(data);
        at = next + size + 2;
    }
}

fn is_token(bytes: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(fits)
}

/// The judge must be able to say no: else all the tables prove nothing.
#[test]
fn the_strict_parser_refuses_what_has_two_meanings() {
    let good = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
    assert!(matches!(next(good), Next::Request(_, end) if end == good.len()));
    assert_eq!(next(&good[..good.len() - 1]), Next::Part);
    let bad: &[&[u8]] = &[
        b"POST /a HTTP/1.0\r\n",
        b"POST  /a HTTP/1.1\r\n",
        b"POST http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nPOST /a HTTP/1.1\r\n",
        b"POST /a HTTP/1.1\nHost: a\n\n",
        b"POST /a HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST /a HTTP/1.1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nX: a\0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\na\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n",
    ];
    for bytes in bad {
        let next = next(bytes);
        assert!(
            matches!(next, Next::Ambiguous(_)),
            "{}: {next:?}",
            bytes.escape_ascii()
        );
    }
    assert_eq!(bad.len(), 18);
}
