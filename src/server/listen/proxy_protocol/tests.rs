use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use proxy_header::{ProxiedAddress, SslInfo, Tlv};
use tokio::io::ReadBuf;

use super::*;

/// Gives a piece a read, then the end.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(into.remaining()));
            into.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The client, and all that is left to be read after the header.
type Read = Result<(Option<IpAddr>, Vec<u8>), io::ErrorKind>;

fn read(pieces: impl IntoIterator<Item = Vec<u8>>) -> Read {
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
    let mut from = Pieces(pieces.collect());
    let mut cx = Context::from_waker(Waker::noop());
    let result = pin!(read_header(&mut from)).poll(&mut cx);
    let Poll::Ready(result) = result else {
        panic!("all is there");
    };
    let (client, beyond) = result.map_err(|error| error.kind())?;
    let mut left = beyond.to_vec();
    left.extend(from.0.into_iter().flatten());
    Ok((client, left))
}

fn read_whole(bytes: &[u8]) -> Read {
    read([bytes.to_vec()])
}

/// `bytes`, and a request that must be left alone.
fn then_request(bytes: &[u8]) -> Vec<u8> {
    [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A block of version 2.
fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[command, family], &length, content].concat()
}

/// For `192.0.2.1:1000` at `198.51.100.1:443`.
const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 3, 232, 1, 187];

fn crc(value: [u8; 4]) -> Vec<u8> {
    [&[CRC32C, 0, 4], &value[..]].concat()
}

/// A block with `before`, a right checksum, and `after`.
fn with_checksum(before: &[u8], after: &[u8]) -> Vec<u8> {
    let content = |value| [&IPV4[..], before, &crc(value), after].concat();
    let zeroed = v2(0x21, 0x11, &content([0; 4]));
    v2(
        0x21,
        0x11,
        &content(CASTAGNOLI.checksum(&zeroed).to_be_bytes()),
    )
}

#[test]
fn whoever_the_proxy_speaks_for_is_the_client() {
    let v6 = |client: &str| {
        let (client, server): (SocketAddr, SocketAddr) = (
            format!("[{client}]:1").parse().unwrap(),
            "[2001:db8::2]:443".parse().unwrap(),
        );
        let mut block = Vec::new();
        let header = ProxyHeader::with_address(ProxiedAddress::stream(client, server));
        header.encode_v2(&mut block).unwrap();
        block
    };
    let full = ["ffff"; 8].join(":");
    let longest = format!("PROXY TCP6 {full} {full} 65535 65535\r\n");
    for (header, expected) in [
        (
            &b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\r\n"[..],
            Some(address("192.0.2.1")),
        ),
        (
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            Some(address("255.255.255.255")),
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 443\r\n",
            Some(address("2001:db8::1")),
        ),
        (
            b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1000 443\r\n",
            Some(address("192.0.2.1")),
        ),
        (longest.as_bytes(), Some(address(&full))),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN 192.0.2.1 198.51.100.1 1000 443\r\n", None),
        (&v2(0x21, 0x11, &IPV4), Some(address("192.0.2.1"))),
        (&v6("2001:db8::1"), Some(address("2001:db8::1"))),
        (&v6("::ffff:192.0.2.1"), Some(address("192.0.2.1"))),
        // A client of HTTP/3.
        (&v2(0x21, 0x12, &IPV4), Some(address("192.0.2.1"))),
        // Unix addresses.
        (&v2(0x21, 0x31, &[0; 216]), None),
        // A family that the proxy does not know.
        (&v2(0x21, 0x00, &[]), None),
        (&v2(0x21, 0x00, b"\x04\0\x03abc"), None),
        // LOCAL: with nothing, with addresses, with anything.
        (&v2(0x20, 0x00, &[]), None),
        (&v2(0x20, 0x11, &IPV4), None),
        (&v2(0x20, 0x11, &[]), None),
        (&v2(0x20, 0xff, b"anything"), None),
    ] {
        let left = then_request(b"");
        let said = String::from_utf8_lossy(header);
        assert_eq!(
            read_whole(&then_request(header)),
            Ok((expected, left)),
            "{said:?}"
        );
    }
}

#[test]
fn fields_after_the_addresses_are_read_over() {
    let (client, server) = (
        "192.0.2.1:1000".parse().unwrap(),
        "198.51.100.1:443".parse().unwrap(),
    );
    let fields = [
        Tlv::Alpn(b"h2"[..].into()),
        Tlv::Authority("matrix.example.org".into()),
        Tlv::Noop(3000),
        Tlv::UniqueId(b"0123456789"[..].into()),
        Tlv::Ssl(SslInfo::new(true, false, false, 0)),
        Tlv::Netns("blue".into()),
        Tlv::Custom(0xe0, b""[..].into()),
    ];
    let header = ProxyHeader::with_tlvs(Some(ProxiedAddress::stream(client, server)), fields);
    let mut block = Vec::new();
    header.encode_v2(&mut block).unwrap();
    let expected = Ok((Some(address("192.0.2.1")), then_request(b"")));
    assert_eq!(read_whole(&then_request(&block)), expected);
}

#[test]
fn a_field_that_is_not_whole_is_refused() {
    for fields in [
        &b"\x04"[..],
        b"\x04\0",
        b"\x04\0\x01",
        b"\x04\0\x02a",
        b"\x04\0\0\x04\xff\xff",
    ] {
        let block = v2(0x21, 0x11, &[&IPV4[..], fields].concat());
        assert_eq!(
            read_whole(&then_request(&block)),
            Err(io::ErrorKind::InvalidData),
            "{fields:?}"
        );
    }
}

#[test]
fn a_checksum_must_be_right_wherever_it_stands() {
    // The check values of CRC-32C (RFC 3720, B.4, and the catalogue of CRCs).
    assert_eq!(CASTAGNOLI.checksum(b"123456789"), 0xe306_9283);
    assert_eq!(CASTAGNOLI.checksum(&[0; 32]), 0x8a91_36aa);

    let field = b"\x04\0\x03abc";
    for (before, after) in [
        (&b""[..], &b""[..]),
        (field, b""),
        (b"", field),
        (field, field),
    ] {
        let block = with_checksum(before, after);
        assert_eq!(
            read_whole(&block),
            Ok((Some(address("192.0.2.1")), Vec::new()))
        );
        // An address that was changed on its way, and a field.
        for at in [V2_HEAD + 3, block.len() - 1] {
            let mut wrong = block.clone();
            wrong[at] ^= 1;
            assert_eq!(read_whole(&wrong), Err(io::ErrorKind::InvalidData), "{at}");
        }
    }
    let short = v2(0x21, 0x11, &[&IPV4[..], b"\x03\0\x02ab"].concat());
    assert_eq!(read_whole(&short), Err(io::ErrorKind::InvalidData));
}

#[test]
fn what_is_no_header_is_refused_at_its_first_wrong_byte() {
    let line_of = |length: usize| {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(length - 2, b'x');
        [&line[..], b"\r\n"].concat()
    };
    assert!(
        read_whole(&line_of(107)).is_ok(),
        "the longest that the specification allows"
    );
    for wrong in [
        &b"G"[..],
        b"\r\nGET",
        b"PROXX",
        // A client that speaks TLS where the header should be.
        b"\x16\x03\x01",
        b"PROXYxTCP4 192.0.2.1 198.51.100.1 1000 443\r\n",
        b"PROXY TCP5 192.0.2.1 198.51.100.1 1000 443\r\n",
        b"PROXY tcp4 192.0.2.1 198.51.100.1 1000 443\r\n",
        b"PROXY TCP4 192.0.2.1  198.51.100.1 1000 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1000\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 443 \r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 1000 443\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.1 1000 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1000 443\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.1 1000 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\rX\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        &line_of(108),
        &line_of(2000),
        &[b'P'; 4096],
        // Version 1 in the manner of version 2, an unknown command, an unknown family.
        &v2(0x11, 0x11, &IPV4),
        &v2(0x22, 0x11, &IPV4),
        &v2(0x21, 0x41, &IPV4),
        // Too short for its addresses, though what follows would do.
        &v2(0x21, 0x11, &IPV4[..11]),
        &v2(0x21, 0x21, &IPV4),
        &v2(0x21, 0x31, &[0; 215]),
        // More than anybody needs.
        &v2(0x21, 0x11, &[0; 4097]),
        &v2(0x20, 0x00, &[0; 4097])[..16],
    ] {
        let said = wrong.escape_ascii();
        assert_eq!(read_whole(wrong), Err(io::ErrorKind::InvalidData), "{said}");
    }
}

#[test]
fn a_connection_that_ends_within_its_header_is_no_client() {
    let headers = [
        &b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\r\n"[..],
        &with_checksum(b"", b""),
    ];
    for header in headers {
        for length in 0..header.len() {
            let result = read_whole(&header[..length]);
            assert_eq!(result, Err(io::ErrorKind::UnexpectedEof), "{length}");
        }
    }
}

/// Headers, near misses and noise.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let block = (
        0x1f_u8..0x23,
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(command, family, content)| v2(command, family, &content));
    let field = (0_u8..6, prop::collection::vec(any::<u8>(), 0..6));
    let fields = prop::collection::vec(field, 0..5).prop_map(|fields| {
        let bytes = fields.into_iter().flat_map(|(kind, value)| {
            let length = u8::try_from(value.len()).unwrap();
            [vec![kind, 0, length], value].concat()
        });
        bytes.collect::<Vec<_>>()
    });
    let with_fields =
        (fields.clone(), fields).prop_map(|(before, after)| with_checksum(&before, &after));
    let header = prop_oneof![
        "PROXY (TCP[46]|UNKNOWN)( [0-9a-f.:]{1,40}){0,3}( [0-9]{1,6}){0,3}\r\n"
            .prop_map(String::into_bytes),
        "PROXY.{0,130}\r?\n?".prop_map(String::into_bytes),
        block,
        with_fields,
        prop::collection::vec(any::<u8>(), 0..64),
    ];
    let changed = (header.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut header, at, byte)| {
            if !header.is_empty() {
                let at = at.index(header.len());
                header[at] = byte;
            }
            header
        },
    );
    let rest = prop::collection::vec(any::<u8>(), 0..64);
    (prop_oneof![header, changed], rest).prop_map(|(header, rest)| [header, rest].concat())
}

proptest! {
    #[test]
    fn how_the_bytes_are_split_makes_no_difference(
        bytes in bytes(),
        sizes in prop::collection::vec(1_usize..40, 1..40),
    ) {
        let whole = read_whole(&bytes);
        prop_assert_eq!(&read(bytes.iter().map(|byte| vec![*byte])), &whole);
        let mut rest = &bytes[..];
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*size));
            pieces.push(piece.to_vec());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read(pieces), whole);
    }

    #[test]
    fn what_is_read_beyond_is_what_came(bytes in bytes()) {
        if let Ok((_, left)) = read_whole(&bytes) {
            prop_assert!(bytes.ends_with(&left));
            prop_assert!(bytes.len() - left.len() <= LONGEST_V2);
        }
    }

    #[test]
    fn every_address_comes_through_both_versions(client: IpAddr, port: u16, fields in "[a-z]{0,20}") {
        let peer = |address: IpAddr| SocketAddr::new(address, port);
        let server = match client {
            IpAddr::V4(_) => peer([192, 0, 2, 9].into()),
            IpAddr::V6(_) => peer([9; 16].into()),
        };
        let address = ProxiedAddress::stream(peer(client), server);
        let mut headers = [Vec::new(), Vec::new()];
        ProxyHeader::with_address(address.clone()).encode_v1(&mut headers[0]).unwrap();
        let authority = Tlv::Authority(fields.into());
        ProxyHeader::with_tlvs(Some(address), [authority]).encode_v2(&mut headers[1]).unwrap();
        for header in headers {
            prop_assert_eq!(read_whole(&header), Ok((Some(client.to_canonical()), Vec::new())));
        }
    }
}
