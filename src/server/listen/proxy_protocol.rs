//! The PROXY protocol: the line or block by which a proxy says, before anything else, for whom it
//! connects ([the specification](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt)).
//!
//! # Promise
//!
//! Versions 1 and 2. Nothing but a whole and well-formed header is taken, nor more than
//! [`LONGEST_V2`] bytes; a connection without one is an error, never one without a client. What
//! comes out does not depend on how the bytes were split on their way.
//!
//! # Why it is framed here
//!
//! `proxy_header` 0.1.3 reads the addresses. Where a header ends is found here, because that crate
//! takes `PROXY` without the space after it, longer lines of version 1 the more of them comes at once,
//! waits for bytes that belong to the request when the block is too short for its addresses, refuses
//! a `LOCAL` whose addresses are to be ignored, and checks no checksum.

use std::io;
use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use crc::{CRC_32_ISCSI, Crc};
use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line of version 1, with its end (§2.1 of the specification).
const LONGEST_V1: usize = 107;

/// The longest block of version 2 that is taken. A header may say 65,535; what proxies send with the
/// names and certificates of TLS is a few hundred.
const LONGEST_V2: usize = V2_HEAD + 4096;

/// Signature, version and command, family, and the length of what follows.
const V2_HEAD: usize = 16;

/// With these bytes a block of version 2 begins.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, and the proxy speaks for itself: whatever addresses follow are to be ignored.
const V2_LOCAL: u8 = 0x20;

/// With these bytes a line of version 1 begins.
const V1_START: &[u8] = b"PROXY ";

/// The field (TLV) that holds a checksum of the whole block.
const CRC32C: u8 = 0x03;

/// The checksum's kind, CRC-32C.
const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Room for what any header usually takes, so that it is had in one read.
const USUAL: usize = 256;

/// What the bytes read so far are.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The beginning of a header.
    Part,
    /// A header of that length.
    Whole(usize, Option<IpAddr>),
}

/// Why a header is none.
type Wrong = &'static str;

/// Reads the header with which `from` begins: the client's address, and the bytes read beyond the
/// header. There is no address if the proxy speaks for itself (`LOCAL`, as in a health check), does not
/// know it (`UNKNOWN`), or says one that is none of IP's.
///
/// There is no deadline: the caller has one. Dropped, it loses what was read.
///
/// # Errors
///
/// [`InvalidData`](io::ErrorKind::InvalidData) if the connection begins with something else,
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it ends within the header, and those of `from`.
pub(crate) async fn read_header<R>(from: &mut R) -> io::Result<(Option<IpAddr>, Bytes)>
where
    R: AsyncRead + Unpin,
{
    let mut read = BytesMut::with_capacity(USUAL);
    loop {
        match look(&read) {
            Ok(Seen::Whole(length, client)) => {
                let beyond = read.split_off(length);
                return Ok((client, beyond.freeze()));
            }
            Ok(Seen::Part) => {}
            Err(wrong) => return Err(io::Error::new(io::ErrorKind::InvalidData, wrong)),
        }
        if from.read_buf(&mut read).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended within its PROXY protocol header",
            ));
        }
    }
}

/// What `bytes` begin with.
fn look(bytes: &[u8]) -> Result<Seen, Wrong> {
    if begins(bytes, V1_START) {
        look_v1(bytes)
    } else if begins(bytes, V2_SIGNATURE) {
        look_v2(bytes)
    } else {
        Err("the connection does not begin with a PROXY protocol header")
    }
}

/// Whether `bytes` begin with `start`, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes
        .iter()
        .zip(start)
        .all(|(byte, expected)| byte == expected)
}

fn look_v1(bytes: &[u8]) -> Result<Seen, Wrong> {
    const TOO_LONG: Wrong = "the PROXY protocol header has more than 107 bytes";
    const MALFORMED: Wrong = "the PROXY protocol header (version 1) is malformed";
    let line = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return if line.len() == LONGEST_V1 {
            Err(TOO_LONG)
        } else {
            Ok(Seen::Part)
        };
    };
    let length = end + 2;
    // The line is whole: whoever wants more of it says that it is malformed.
    let header = ProxyHeader::parse(&line[..length], ParseConfig::default());
    let (header, _) = header.map_err(|_| MALFORMED)?;
    Ok(Seen::Whole(length, client(&header)))
}

fn look_v2(bytes: &[u8]) -> Result<Seen, Wrong> {
    const TOO_LONG: Wrong =
        "the PROXY protocol header has more than 4,096 bytes of addresses and fields";
    const MALFORMED: Wrong = "the PROXY protocol header (version 2) is malformed";
    let Some(head) = bytes.first_chunk::<V2_HEAD>() else {
        return Ok(Seen::Part);
    };
    let length = V2_HEAD + usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > LONGEST_V2 {
        return Err(TOO_LONG);
    }
    let Some(block) = bytes.get(..length) else {
        return Ok(Seen::Part);
    };
    if head[12] == V2_LOCAL {
        // > When the command is LOCAL the receiver must accept the connection as valid and must use
        // > the real connection endpoints and discard the protocol block including the family which
        // > is ignored.
        return Ok(Seen::Whole(length, None));
    }
    // The block is whole: whoever says that it is too short says that it is malformed.
    let (header, _) = ProxyHeader::parse(block, ParseConfig::default()).map_err(|_| MALFORMED)?;
    check_fields(block).ok_or(MALFORMED)?;
    Ok(Seen::Whole(length, client(&header)))
}

/// The address in `header`, if there is one. A client of HTTP/3 comes as a datagram's sender.
fn client(header: &ProxyHeader<'_>) -> Option<IpAddr> {
    let address = header.proxied_address()?;
    Some(address.source.ip().to_canonical())
}

/// Whether what follows the addresses in `block` is a row of whole fields, and the checksum, if one is
/// among them, right.
///
/// > The checksum is verified by the receiver: \[…\] If it is not \[the same\], the receiver MUST treat
/// > the TCP connection providing the header as invalid.
fn check_fields(block: &[u8]) -> Option<()> {
    let addresses = match block[13] >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    };
    let mut at = V2_HEAD + addresses;
    while at < block.len() {
        let head = block.get(at..at + 3)?;
        let value = at + 3;
        at = value + usize::from(u16::from_be_bytes([head[1], head[2]]));
        let said = block.get(value..at)?;
        if head[0] == CRC32C {
            let said: [u8; 4] = said.try_into().ok()?;
            let mut crc = CASTAGNOLI.digest();
            crc.update(&block[..value]);
            // The checksum's own place counts as zeroes.
            crc.update(&[0; 4]);
            crc.update(&block[at..]);
            (crc.finalize() == u32::from_be_bytes(said)).then_some(())?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
