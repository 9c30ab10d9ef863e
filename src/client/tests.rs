use std::fmt::Write as _;
use std::net::IpAddr;

use proptest::prelude::*;

use super::{Client, resolve};

/// Loopback, and two networks of proxies.
const TRUSTED: [&str; 4] = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "2001:db8:ffff::/48"];

fn from(peer: Option<&str>, lines: &[&[u8]]) -> Client {
    let trusted = TRUSTED.map(|network| network.parse().unwrap());
    resolve(
        peer.map(|peer| peer.parse().unwrap()),
        lines.iter().copied(),
        &trusted,
    )
}

/// The address that is found, and what the origin is told.
#[track_caller]
fn assert_client(peer: Option<&str>, lines: &[&[u8]], address: Option<&str>, told: Option<&str>) {
    let client = from(peer, lines);
    assert_eq!(
        client.address,
        address.map(|address| address.parse::<IpAddr>().unwrap())
    );
    assert_eq!(client.forwarded_for().as_deref(), told);
}

#[test]
fn a_stranger_is_never_believed() {
    let stranger = Some("198.51.100.7");
    assert_client(stranger, &[], stranger, stranger);
    assert_client(stranger, &[b"127.0.0.1"], stranger, stranger);
    assert_client(
        stranger,
        &[b"10.0.0.1, 127.0.0.1", b"::1"],
        stranger,
        stranger,
    );
}

#[test]
fn a_trusted_peer_names_the_client() {
    let local = Some("127.0.0.1");
    assert_client(local, &[], local, local);
    assert_client(
        local,
        &[b"203.0.113.9"],
        Some("203.0.113.9"),
        Some("203.0.113.9, 127.0.0.1"),
    );
    assert_client(
        None,
        &[b"203.0.113.9"],
        Some("203.0.113.9"),
        Some("203.0.113.9"),
    );
    assert_client(None, &[], None, None);
}

#[test]
fn what_the_client_itself_wrote_is_not_read() {
    assert_client(
        Some("127.0.0.1"),
        &[b"127.0.0.1, 192.0.2.66, 203.0.113.9, 10.1.2.3"],
        Some("203.0.113.9"),
        Some("203.0.113.9, 10.1.2.3, 127.0.0.1"),
    );
}

#[test]
fn several_lines_are_one_list() {
    assert_client(
        Some("::1"),
        &[b"192.0.2.66", b"203.0.113.9,10.1.2.3", b"10.4.5.6"],
        Some("203.0.113.9"),
        Some("203.0.113.9, 10.1.2.3, 10.4.5.6, ::1"),
    );
}

#[test]
fn when_all_hops_are_trusted_the_farthest_is_the_client() {
    assert_client(
        Some("127.0.0.1"),
        &[b"10.1.2.3, 10.4.5.6"],
        Some("10.1.2.3"),
        Some("10.1.2.3, 10.4.5.6, 127.0.0.1"),
    );
}

#[test]
fn ports_and_brackets_are_read_and_not_told() {
    for (entry, address) in [
        (&b"203.0.113.9:4711"[..], "203.0.113.9"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
        (b"\t203.0.113.9 ", "203.0.113.9"),
        (b"203.0.113.9,,", "203.0.113.9"),
    ] {
        let client = from(Some("127.0.0.1"), &[entry]);
        assert_eq!(client.address, Some(address.parse().unwrap()), "{entry:?}");
        assert_eq!(
            client.forwarded_for(),
            Some(format!("{address}, 127.0.0.1")),
            "{entry:?}"
        );
    }
}

#[test]
fn the_chain_keeps_the_entries_as_they_came() {
    let client = from(
        Some("127.0.0.1"),
        &[b"spoofed, [2001:db8::1]:4711,  10.0.0.1:80"],
    );
    assert_eq!(
        *client.chain,
        ["[2001:db8::1]:4711", "10.0.0.1:80", "127.0.0.1"]
    );
}

#[test]
fn garbage_ends_the_list() {
    for garbage in [
        &b"unknown"[..],
        b"_hidden",
        b"203.0.113",
        b"fe80::1%eth0",
        b"\xff",
        b"[::1",
    ] {
        let line = [b"192.0.2.66, ", garbage, b", 10.1.2.3"].concat();
        let client = from(Some("127.0.0.1"), &[&line]);
        assert_eq!(
            client.address,
            Some("10.1.2.3".parse().unwrap()),
            "{garbage:?}"
        );
        assert_eq!(from(None, &[garbage]), Client::default(), "{garbage:?}");
    }
}

#[test]
fn an_ipv4_peer_of_a_dual_stack_socket_is_an_ipv4_address() {
    assert_client(
        Some("::ffff:127.0.0.1"),
        &[b"203.0.113.9"],
        Some("203.0.113.9"),
        Some("203.0.113.9, 127.0.0.1"),
    );
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(octets).to_canonical()),
        any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c])),
    ]
}

proptest! {
    #[test]
    fn any_lines_from_a_stranger_change_nothing(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let client = from(Some("198.51.100.7"), &lines);
        prop_assert_eq!(client, from(Some("198.51.100.7"), &[]));
    }

    #[test]
    fn any_lines_from_a_trusted_peer_do_no_harm(
        lines in prop::collection::vec("[0-9a-f:.,\\[\\] ]{0,40}", 0..4),
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let client = from(Some("127.0.0.1"), &lines);
        let told = client.forwarded_for().unwrap();
        let first = client.address.unwrap().to_string();
        prop_assert_eq!(told.split(", ").next(), Some(first.as_str()));
        prop_assert!(told.ends_with("127.0.0.1"));
    }

    #[test]
    fn whatever_a_client_writes_its_address_is_the_one_its_proxy_saw(
        before in "[ -~]{0,60}",
        seen in address(),
        hops in prop::collection::vec(any::<[u8; 3]>(), 0..4),
    ) {
        let trusted = TRUSTED.map(|network| network.parse::<ipnet::IpNet>().unwrap());
        prop_assume!(!trusted.iter().any(|network| network.contains(&seen)));
        let mut line = format!("{before}, {seen}");
        for [a, b, c] in hops {
            write!(line, ", 10.{a}.{b}.{c}").unwrap();
        }
        let client = from(Some("127.0.0.1"), &[line.as_bytes()]);
        prop_assert_eq!(client.address, Some(seen));
    }
}
