"""The PROXY protocol, as HAProxy and curl speak it: the trail names the true client."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Authority
from support.curl import curl, put
from support.edge import Edge
from support.gateway import Gateway
from support.http import build, connect, read_answer
from support.process import free_port
from support.synapse import Synapse, User

Start = Callable[..., Gateway]
PLAIN = "127.0.0.1:0"
PROXY = {"address": PLAIN, "proxy_protocol": True}
VERSIONS = "/_matrix/client/versions"

# Passes bytes on and looks at none of them. Its health check says that it speaks for itself (LOCAL).
HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen clients
    bind 127.0.0.1:{port}
    server gateway {gateway} {send} check inter 200ms
"""


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    started: list[Edge] = []

    def start(gateway: str, send: str, ready: Callable[[int], bool]) -> Edge:
        port = free_port()
        config = HAPROXY.format(port=port, gateway=gateway, send=send)
        started.append(Edge("haproxy", config, port, tmp_path / "haproxy", ready))
        return started[-1]

    yield start
    for edge in started:
        edge.stop()


def write(port: int, user: User, source: str, **rest: Any) -> bytes:
    """A guarded write that comes from `source`."""
    raw = build("PUT", user.path(), token=user.token, body={"enabled": True}, **rest)
    with connect(port, source=source) as connection:
        connection.sendall(raw)
        answer = read_answer(connection, "PUT")
        assert answer.status == 200, answer
        return answer.body


def answers(port: int) -> bool:
    return curl(f"http://127.0.0.1:{port}{VERSIONS}")[0] == "1.1 200"


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_the_trail_names_the_client_that_haproxy_names(
    synapse: Synapse, gateway: Start, haproxy: Callable[..., Edge], tmp_path: Path, send: str, way: str
) -> None:
    # Clients come from 127.0.0.2 and 127.0.0.3: HAProxy is to be believed, they are not.
    unix = PROXY | {"address": f"unix:{tmp_path}/gateway.sock"}
    trust = {"listen": [PROXY, unix], "trusted_proxies": ["127.0.0.1"]}
    served = gateway(synapse.url, server=trust)
    there = f"127.0.0.1:{served.port}" if way == "tcp" else f"unix@{tmp_path}/gateway.sock"
    edge = haproxy(there, send, answers)
    alice = synapse.register("alice")
    write(edge.port, alice, "127.0.0.2")
    write(edge.port, alice, "127.0.0.3", fields=[("X-Forwarded-For", "203.0.113.9")])
    told = [record["client_address"] for record in served.records()]
    assert told == ["127.0.0.2"] * 2 + ["127.0.0.3"] * 2
    # The header goes before HTTP/2, too.
    assert curl(f"http://127.0.0.1:{edge.port}{VERSIONS}", "--http2-prior-knowledge")[0] == "2 200"


def test_the_header_goes_before_tls(
    synapse: Synapse, gateway: Start, haproxy: Callable[..., Edge], tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority")
    both = PROXY | {"tls": authority.issue("gateway").tls()}
    served = gateway(synapse.url, server={"listen": [both]})
    trusting = ["--cacert", str(authority.own.certificate)]
    edge = haproxy(
        f"127.0.0.1:{served.port}",
        "send-proxy-v2",
        lambda port: curl(f"https://127.0.0.1:{port}{VERSIONS}", *trusting)[0] == "2 200",
    )
    alice = synapse.register("alice")
    url = f"https://127.0.0.1:{edge.port}"
    assert put(url, alice, {"enabled": True}, *trusting, "--interface", "127.0.0.4")[0] == "2 200"
    assert {record["client_address"] for record in served.records()} == {"127.0.0.4"}
    # TLS without the header before it is not TLS to this listener.
    with connect(served.port) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        ssl._create_unverified_context().wrap_socket(connection)


def test_curl_speaks_it_too(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url, server={"listen": [PROXY]})
    alice = synapse.register("alice")
    options = ["--haproxy-protocol", "--interface", "127.0.0.5"]
    assert put(served.url, alice, {"enabled": True}, *options) == ("1.1 200", "{}")
    assert {record["client_address"] for record in served.records()} == {"127.0.0.5"}


def refused(port: int, opening: bytes) -> None:
    """The connection is closed, and nobody says anything on it."""
    with connect(port, timeout=10) as connection:
        try:
            connection.sendall(opening)
            assert connection.recv(1) == b""
        except ConnectionError:
            pass


V1 = b"PROXY TCP4 203.0.113.9 127.0.0.1 1234 8009\r\n"


def test_a_stranger_that_speaks_it_is_dropped(synapse: Synapse, gateway: Start) -> None:
    strict = {"listen": [PROXY, PLAIN], "trusted_proxies": ["192.0.2.1"]}
    served = gateway(synapse.url, server=strict)
    alice = synapse.register("alice")
    ask = build("PUT", alice.path(), token=alice.token, body={"enabled": True})
    refused(served.ports[0], V1 + ask)
    refused(served.ports[0], ask)
    # A listener that was not told to expect it takes it for what it is: no HTTP.
    with connect(served.ports[1]) as connection:
        connection.sendall(V1 + ask)
        assert read_answer(connection).status == 400
    assert synapse.content(alice) is None
    assert served.records() == []


def test_a_connection_without_a_whole_header_is_dropped(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url, server={"listen": [PROXY]})
    ask = build("GET", VERSIONS)
    for opening in (
        ask,
        b"PROXY TCP4 203.0.113.9\r\n" + ask,
        b"PROXY TCP4 203.0.113.999 127.0.0.1 1234 8009\r\n" + ask,
        b"PROXY " + b"x" * 200 + b"\r\n" + ask,
        b"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c" + b"\x00" * 12 + ask,
        # Nothing more comes: five seconds.
        b"PROXY TCP4 203.0.113.9 127.0",
    ):
        refused(served.port, opening)
    with connect(served.port) as connection:
        connection.sendall(V1 + ask)
        assert read_answer(connection).status == 200
