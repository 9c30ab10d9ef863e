"""Homeservers behind TLS, and on a unix socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.certificates import Authority, Pair
from support.edge import Edge
from support.gateway import Gateway
from support.http import connect
from support.js import run_client
from support.process import eventually, free_port
from support.synapse import Synapse

Start = Callable[..., Gateway]
VERSIONS = "/_matrix/client/versions"

# What an operator has who runs the homeserver on another machine.
NGINX = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {pair.certificate};
    ssl_certificate_key {pair.key};
    client_max_body_size 50m;
    location / {{
        proxy_pass http://127.0.0.1:{homeserver};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
    }}
}}
"""


def listens(port: int) -> bool:
    try:
        connect(port).close()
    except OSError:
        return False
    return True


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def behind_tls(synapse: Synapse, tmp_path: Path) -> Iterator[Callable[[Pair], Edge]]:
    """nginx with a certificate, before Synapse."""
    started: list[Edge] = []

    def start(pair: Pair) -> Edge:
        port = free_port()
        config = NGINX.format(port=port, pair=pair, homeserver=synapse.port)
        started.append(Edge("nginx", config, port, tmp_path / "nginx", listens))
        return started[-1]

    yield start
    for edge in started:
        edge.stop()


def ca_file(authority: Authority) -> str:
    return str(authority.own.certificate)


def test_an_origin_behind_tls_is_reached_and_verified_by_its_ca(
    synapse: Synapse, gateway: Start, authority: Authority, behind_tls: Callable[[Pair], Edge]
) -> None:
    edge = behind_tls(authority.issue("origin"))
    url = f"https://localhost:{edge.port}"
    served = gateway(url, origin={"ca_file": ca_file(authority)})
    alice = synapse.register("alice")
    seen = run_client(served.url, alice)
    assert seen["on"] == [{"enabled": True}, {"disabled": False}]
    assert seen["refused"]["errcode"] == "M_BAD_JSON"
    assert run_client(served.url, alice, "rooms.mjs")["media"] == [200, 300_000, True]
    assert served.health("ready") == 200


@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [
        ("DNS:localhost", "another CA", "UnknownIssuer"),
        ("DNS:localhost", "the system", "UnknownIssuer"),
        ("DNS:other.example.org", "this CA", "other.example.org"),
    ],
)
def test_an_origin_that_is_not_who_it_should_be_hears_nothing(
    synapse: Synapse,
    gateway: Start,
    authority: Authority,
    behind_tls: Callable[[Pair], Edge],
    tmp_path: Path,
    host: str,
    trusted: str,
    reason: str,
) -> None:
    edge = behind_tls(authority.issue("origin", host))
    trust = {
        "this CA": {"ca_file": ca_file(authority)},
        "another CA": {"ca_file": ca_file(Authority(tmp_path / "another", "another"))},
        "the system": {},
    }[trusted]
    served = gateway(f"https://localhost:{edge.port}", origin=trust)
    alice = synapse.register("alice")
    answer = served.request("GET", VERSIONS)
    assert (answer.status, answer.errcode) == (502, "M_UNKNOWN")
    assert served.put(alice, {"enabled": True}).status == 502
    assert synapse.content(alice) is None
    ready = served.admin("/health/ready")
    (why,) = ready.json()["reasons"]
    assert (ready.status, why["code"]) == (503, "origin_unreachable")
    assert reason in why["message"], why
    assert reason in served.log
    # Trouble of this kind is no trouble of the trail's.
    assert served.health("live") == 200


def test_synapse_on_a_unix_socket_is_reached(synapse: Synapse, gateway: Start) -> None:
    served = gateway(f"unix:{synapse.socket}")
    alice = synapse.register("alice")
    seen = run_client(served.url, alice)
    assert seen["on"] == [{"enabled": True}, {"disabled": False}]
    assert synapse.content(alice) == {"enabled": False}
    assert served.health("ready") == 200


def test_a_unix_socket_where_nobody_listens_is_said_and_found_again(
    gateway: Start, tmp_path: Path
) -> None:
    path = tmp_path / "origin.sock"
    served = gateway(f"unix:{path}")
    assert served.request("GET", VERSIONS).status == 502
    (why,) = served.admin("/health/ready").json()["reasons"]
    assert why["code"] == "origin_unreachable"
    assert "No such file" in why["message"], why
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert "refused" in served.admin("/health/ready").json()["reasons"][0]["message"]
        listening.listen()
        with connect(served.port) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
            origin, _ = listening.accept()
            with origin:
                head = eventually(lambda: origin.recv(4096), "a request")
                assert head.startswith(b"GET / HTTP/1.1\r\n")
                assert b"host: example.org\r\n" in head.lower()
                origin.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 204 ")
