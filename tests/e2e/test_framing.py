"""However a request is framed, what Synapse takes for a write is in the trail."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.gateway import Gateway, Record
from support.http import build, connect, read_answer
from support.synapse import STABLE, UNSTABLE, Synapse, User

Start = Callable[..., Gateway]
GOOD = b'{"enabled":true,"disabled":true}'


def head(user: User, *lines: str, first: str = "PUT {path} HTTP/1.1", host: bool = True) -> bytes:
    """The head of a write of `user`, with `lines`."""
    fields = [f"Authorization: Bearer {user.token}", *lines]
    if host:
        fields.insert(0, "Host: localhost")
    text = first.replace("{path}", user.path()) + "\r\n" + "\r\n".join(fields) + "\r\n\r\n"
    return text.encode("latin-1")


def chunked(body: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n0\r\n%s\r\n" % (len(body), extension, body, trailers)


def framings(alice: User, bob: User) -> dict[str, bytes]:
    """Requests of Alice; some of them hide one of Bob in what may be taken for a body."""
    length = f"Content-Length: {len(GOOD)}"
    hidden = build("PUT", bob.path(), token=bob.token, body=GOOD)
    inside = chunked(b"") + hidden
    te = "Transfer-Encoding: "
    chunk = chunked(GOOD)
    disguised = {
        name: head(alice, *lines) + chunk
        for name, lines in {
            "chunked": [te + "chunked"],
            "Chunked": [te + "Chunked"],
            "identity, chunked": [te + "identity, chunked"],
            "chunked, chunked": [te + "chunked, chunked"],
            "chunked, identity": [te + "chunked, identity"],
            "gzip, chunked": [te + "gzip, chunked"],
            "a leading comma": [te + ",chunked"],
            "two lines": [te + "chunked", te + "chunked"],
            "identity, then chunked": [te + "identity", te + "chunked"],
            "an empty line first": [te, te + "chunked"],
            "xchunked": [te + "xchunked"],
            "a vertical tab": [te + "\x0bchunked"],
            "a space before the colon": ["Transfer-Encoding : chunked"],
            "a folded line": ["Transfer-Encoding:\r\n chunked"],
            "named by Connection": [te + "chunked", "Connection: Transfer-Encoding"],
            "with a length": [te + "chunked", f"Content-Length: {len(chunk)}"],
            "with a short length": [te + "chunked", "Content-Length: 1"],
        }.items()
    }
    return disguised | {
        "plain": head(alice, length) + GOOD,
        "HTTP/1.0": head(alice, length, first="PUT {path} HTTP/1.0") + GOOD,
        "HTTP/1.0 without Host": head(alice, length, first="PUT {path} HTTP/1.0", host=False) + GOOD,
        "HTTP/1.1 without Host": head(alice, length, host=False) + GOOD,
        "HTTP/1.2": head(alice, length, first="PUT {path} HTTP/1.2") + GOOD,
        "HTTP/0.9": head(alice, length, first="PUT {path}") + GOOD,
        "two spaces": head(alice, length, first="PUT  {path} HTTP/1.1") + GOOD,
        "a tab": head(alice, length, first="PUT\t{path}\tHTTP/1.1") + GOOD,
        "an empty line before": b"\r\n" + head(alice, length) + GOOD,
        "bare line feeds": (head(alice, length)).replace(b"\r\n", b"\n") + GOOD,
        "Host named by Connection": head(alice, length, "Connection: host") + GOOD,
        "length named by Connection": head(alice, length, "Connection: content-length") + GOOD,
        "two equal lengths": head(alice, length, length) + GOOD,
        "two lengths": head(alice, length, "Content-Length: 0") + GOOD,
        "a signed length": head(alice, f"Content-Length: +{len(GOOD)}") + GOOD,
        "a chunk extension": head(alice, te + "chunked") + chunked(GOOD, b";x=y"),
        "a trailer that names another": head(alice, te + "chunked", "Trailer: Authorization")
        + chunked(GOOD, trailers=b"Authorization: Bearer %s\r\n" % bob.token.encode()),
        "an upgrade": head(alice, length, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                           "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA") + GOOD,
        "expecting": head(alice, length, "Expect: 100-continue") + GOOD,
        "pipelined": head(alice, length) + GOOD + hidden,
        "pipelined after a refusal": head(alice, "Content-Length: 2") + b"[]" + hidden,
        "hidden in a body": head(alice, f"Content-Length: {len(hidden)}") + hidden,
        "hidden behind a chunked end": head(alice, te + "chunked", f"Content-Length: {len(inside)}") + inside,
        "hidden behind an odd chunked end": head(alice, te + "x, chunked", f"Content-Length: {len(inside)}") + inside,
        "hidden behind no body": head(alice, "Content-Length: 0") + hidden,
        "hidden in a GET": head(alice, f"Content-Length: {len(hidden)}", first="GET {path} HTTP/1.1") + hidden,
        "hidden in a chunked GET": head(alice, te + "chunked", first="GET {path} HTTP/1.1") + inside,
        "overridden by a field": head(alice, length, "X-HTTP-Method-Override: PUT",
                                      first="POST {path} HTTP/1.1") + GOOD,
        "another URL in fields": head(alice, length, f"X-Original-URL: {bob.path()}", f"X-Rewrite-URL: {bob.path()}",
                                      first="PUT /_matrix/client/versions HTTP/1.1") + GOOD,
    }  # fmt: skip


def send(port: int, raw: bytes) -> None:
    """Sends all of it, and reads until nothing more comes. Without half-closing: like Synapse, the
    gateway takes that for a client that has left."""
    with connect(port, timeout=10) as connection:
        try:
            connection.sendall(raw)
            connection.settimeout(2)
            while connection.recv(65536):
                pass
        except OSError:
            pass


@pytest.mark.parametrize("version", ["synapse", "synapse_157"])
def test_a_write_changed_something_if_and_only_if_the_trail_says_so_however_it_is_framed(
    gateway: Start, version: str, request: pytest.FixtureRequest
) -> None:
    homeserver: Synapse = request.getfixturevalue(version)
    served = gateway(homeserver.url)
    names = list(framings(homeserver.register("a"), homeserver.register("b")))
    pairs = {name: (homeserver.register("alice"), homeserver.register("bob")) for name in names}
    raw = [framings(*pair)[name] for name, pair in pairs.items()]
    # Most of the time is spent waiting for more answers on connections that stay open.
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda each: send(served.port, each), raw))

    trail = served.records()
    changed_by = {}
    for name, users in pairs.items():
        changed = {user.user_id for user in users if homeserver.content(user) is not None}
        assert all(homeserver.content(user, UNSTABLE) is None for user in users)
        done: list[Record] = [
            record
            for record in trail
            if record["claimed_user"] in {user.user_id for user in users}
            and record["action"] == "write"
            and record["origin_status"] == 200
        ]
        assert {record["claimed_user"] for record in done} == changed, name
        assert all(record["event_type"] == STABLE for record in done)
        assert all(record["claimed_user"] == record["authenticated_user"] for record in done), name
        assert len(done) == len(changed), name
        changed_by[name] = {user.name.rstrip("0123456789") for user in users if user.user_id in changed}

    # What must work, works; what hides in a body stays there.
    for name in ("plain", "chunked", "HTTP/1.0", "two equal lengths", "a chunk extension", "expecting"):
        assert changed_by[name] == {"alice"}, name
    assert changed_by["a trailer that names another"] == {"alice"}
    assert changed_by["pipelined"] == {"alice", "bob"}
    for name in ("hidden in a body", "hidden in a GET", "another URL in fields", "overridden by a field"):
        assert changed_by[name] == set(), name


def test_expect_is_answered_with_100_before_the_body_comes(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    with connect(served.port) as connection:
        connection.sendall(head(alice, f"Content-Length: {len(GOOD)}", "Expect: 100-continue"))
        interim = connection.recv(4096)
        assert interim.startswith(b"HTTP/1.1 100 ")
        connection.sendall(GOOD)
        assert read_answer(connection, "PUT").status == 200


def test_a_refused_write_leaves_the_connection_in_step(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    with connect(served.port) as connection:
        for body, status in ((b"[]", 400), (GOOD, 200), (b"nonsense", 400), (GOOD, 200)):
            connection.sendall(head(alice, f"Content-Length: {len(body)}") + body)
            assert read_answer(connection, "PUT").status == status
