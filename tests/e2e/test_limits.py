"""Heads and streams have a limit, and whoever goes beyond it is told so."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from support import h2
from support.gateway import Gateway
from support.http import Answer, build, connect, exchange, request
from support.load import Load, ordinary
from support.process import memory
from support.synapse import Synapse

Start = Callable[..., Gateway]
VERSIONS = "/_matrix/client/versions"


@pytest.fixture
def served(synapse: Synapse, gateway: Start) -> Gateway:
    return gateway(synapse.url)


def many(count: int) -> list[tuple[str, str]]:
    """So many fields, with those that `build` sends."""
    return [(f"X-{number}", "y") for number in range(count - 2)]


def ask(served: Gateway, fields: list[tuple[str, str]]) -> Answer:
    return exchange(served.port, build("GET", VERSIONS, fields=fields))


def test_more_fields_than_the_limit_are_431_and_fewer_are_the_homeservers_business(
    served: Gateway, synapse: Synapse
) -> None:
    assert ask(served, many(450)).status == 200
    assert ask(served, many(501)).status == 431
    assert ask(served, many(5000)).status == 431
    assert ask(served, []).status == 200


def test_a_larger_head_than_the_limit_is_431(served: Gateway) -> None:
    # Synapse reads no line of 16 KiB, but it reads many of 8.
    assert ask(served, [(f"X-{number}", "y" * 8000) for number in range(8)]).status in (200, 400, 431)
    for size in (140_000, 1_000_000):
        assert ask(served, [("X-Large", "y" * size)]).status == 431
    assert ask(served, []).status == 200


def cut_off_after(connection: socket.socket, piece: bytes) -> float:
    """Sends `piece` again and again. How many seconds until the server has had enough?"""
    started = time.monotonic()
    with pytest.raises(ConnectionError):
        while time.monotonic() - started < 10:
            connection.sendall(piece)
    return time.monotonic() - started


def test_a_head_without_an_end_is_cut_off(served: Gateway) -> None:
    with connect(served.port) as connection:
        connection.sendall(f"GET {VERSIONS} HTTP/1.1\r\nHost: localhost\r\n".encode())
        before = memory(served.process.pid)
        # It goes on reading for 2 seconds, so that the 431 arrives; it keeps nothing of that.
        assert cut_off_after(connection, b"X-Y: " + b"z" * 8000 + b"\r\n") < 4
        assert memory(served.process.pid) - before < 8 << 20
    assert ask(served, []).status == 200


def test_a_limit_of_the_operators_own_holds(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url, limits={"fields": 20, "heads": 16384})
    assert ask(served, many(20)).status == 200
    assert ask(served, many(21)).status == 431
    assert ask(served, [("X-Large", "y" * 17000)]).status == 431


# === HTTP/2 ===


def test_rapid_resets_end_in_goaway_and_others_are_served(served: Gateway) -> None:
    # CVE-2023-44487: a stream costs its sender nothing if it is taken back at once.
    def attack() -> int | None:
        with connect(served.port) as connection:
            connection.sendall(h2.opening())
            try:
                for stream in range(1, 20_001, 2):
                    connection.sendall(
                        h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, h2.get(VERSIONS.encode()))
                        + h2.frame(h2.RST_STREAM, 0, stream, h2.CANCEL.to_bytes(4, "big"))
                    )
            except ConnectionError:
                pass
            return h2.goaway(connection)

    with Load() as load:
        ordinary(load, served.port)
        said = [attack() for _ in range(20)]
        time.sleep(1)
    # One that was still sending may lose it with the reset.
    assert h2.ENHANCE_YOUR_CALM in said and set(said) <= {h2.ENHANCE_YOUR_CALM, None}
    assert len(load.said) > 20
    assert [said for said in load.said if said.status != 200] == []
    assert max(said.seconds for said in load.said) < 5


def test_a_head_in_continuations_without_an_end_is_cut_off(served: Gateway) -> None:
    # CVE-2024-27316
    with connect(served.port) as connection:
        fields = h2.get(VERSIONS.encode())
        connection.sendall(h2.opening() + h2.frame(h2.HEADERS, h2.END_STREAM, 1, fields))
        before = memory(served.process.pid)
        lines = [b"\x00" + h2.literal(b"x-%d" % number) + h2.literal(b"y" * 100) for number in range(100)]
        assert cut_off_after(connection, h2.frame(h2.CONTINUATION, 0, 1, b"".join(lines))) < 4
        assert memory(served.process.pid) - before < 8 << 20
    assert ask(served, []).status == 200


def test_a_head_over_the_limit_is_431_in_http_2_too(synapse: Synapse, gateway: Start) -> None:
    # curl itself sends no more than 60 KiB.
    served = gateway(synapse.url, limits={"heads": 16384, "fields": 30})

    def status(*fields: str) -> str:
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]
        command += [part for field in fields for part in ("-H", field)]
        command += ["--http2-prior-knowledge", served.url + VERSIONS]
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout

    assert status() == "2 200"
    assert status(*[f"x-{number}: {'y' * 7000}" for number in range(3)]) == "2 431"
    assert status(*[f"x-{number}: y" for number in range(40)]) == "2 431"
    assert status() == "2 200"


def test_many_streams_of_one_connection_are_served(served: Gateway) -> None:
    command = ["h2load", "-n", "2000", "-c", "4", "-m", "100", served.url + VERSIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed" in done.stdout, done.stdout
    assert "status codes: 2000 2xx" in done.stdout, done.stdout
    assert request(served.port, "GET", VERSIONS).status == 200
