"""No secret leaves: tokens are planted wherever they can stand, and then looked for everywhere."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway
from support.http import Fields, build, connect
from support.postgres import Postgres
from support.process import eventually
from support.relay import Listener, Origin, Relay, answer, reset
from support.synapse import Synapse, User

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]
TRACE = {"level": "trace"}


def every_byte(text: str, form: str) -> str:
    return "".join(form.format(byte) for byte in text.encode())


def disguises(token: str) -> Iterator[bytes]:
    """The token, and what gives it away, as bytes to look for."""
    # The part of a Synapse token that is secret alone.
    secret = max(token.split("_"), key=len)
    for text in {token, secret}:
        yield text.encode()
        yield every_byte(text, "%{:02X}").encode()
        yield every_byte(text, "%{:02x}").encode()
        yield ", ".join(str(byte) for byte in text.encode()).encode()
        yield text.encode().hex().encode()
    for text in {token, secret, f"Bearer {token}", f"access_token={token}", f"?access_token={token}"}:
        # Base64 of it at any offset within other text, without what depends on its neighbours.
        for shift in range(3):
            encoded = base64.b64encode(b"x" * shift + text.encode())
            yield encoded[4 if shift else 0 : -4]
        for algorithm in ("sha256", "sha1", "md5", "sha512"):
            digest = hashlib.new(algorithm, text.encode()).digest()
            yield digest
            yield digest.hex().encode()
            yield digest.hex().upper().encode()
            yield base64.b64encode(digest).rstrip(b"=")


class Outputs:
    """Everything that leaves the gateway."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}

    def add(self, name: str, said: bytes | str) -> None:
        self.parts[f"{name} ({len(self.parts)})"] = said.encode() if isinstance(said, str) else said

    def hold_nothing_of(self, tokens: list[str]) -> None:
        for token in tokens:
            for form in disguises(token):
                for name, said in self.parts.items():
                    at = said.find(form)
                    assert at < 0, f"{form!r} in {name}: {said[max(0, at - 200) : at + 200]!r}"


def planted(token: str) -> list[tuple[str, Fields]]:
    """Queries and fields that hold the token: well-made ones, odd ones, and both at once."""
    basic = base64.b64encode(f"user:{token}".encode()).decode()
    encoded = every_byte(token, "%{:02X}")
    header = ("Authorization", f"Bearer {token}")
    return [
        ("", [header]),
        ("", [("Authorization", f"bearer  {token}")]),
        ("", [("Authorization", token)]),
        ("", [("Authorization", f"Basic {basic}")]),
        ("", [("Authorization", f"Basic {token}")]),
        ("", [header, header]),
        ("", [header, ("Connection", "Authorization")]),
        ("", [header, ("Cookie", f"access_token={token}"), ("Proxy-Authorization", f"Bearer {token}")]),
        ("", [header, ("Referer", f"https://app.example/?access_token={token}")]),
        ("", [header, ("X-Forwarded-For", f"{token}"), ("X-Forwarded-Host", token)]),
        ("", [("Sec-WebSocket-Protocol", f"access_token, {token}")]),
        (f"?access_token={token}", []),
        (f"?access%5Ftoken={token}", []),
        (f"?access_token={encoded}", []),
        (f"?x;access_token={token}", []),
        (f"?access_token={token}", [header]),
        (f"?access_token={token}&access_token=other", []),
        (f"?user_id=@x:y&access_token={token}#fragment", []),
    ]


def exchange_or_nothing(gateway: Gateway, raw: bytes) -> bytes:
    """All bytes that come back, if any do."""
    got = b""
    with connect(gateway.port, timeout=10) as connection:
        try:
            connection.sendall(raw)
            while part := connection.recv(65536):
                got += part
        except OSError:
            pass
    return got


def plant(gateway: Gateway, user: User, token: str, outputs: Outputs) -> None:
    """Sends the token in every way, on every kind of request."""
    bodies = [b'{"enabled":true}', b'{"enabled":"yes"}', b"nonsense", b'{"x":"' + b"y" * 70_000 + b'"}']
    for query, fields in planted(token):
        for body in bodies:
            raw = build("PUT", user.path() + query, body=body, fields=fields)
            outputs.add("answer", exchange_or_nothing(gateway, raw))
        for method, path in (
            ("GET", user.path()),
            ("HEAD", user.path()),
            ("DELETE", user.path(version="unstable/org.matrix.msc3391")),
            ("GET", "/_matrix/client/v3/account/whoami"),
            ("GET", "/_matrix/client/versions"),
            ("OPTIONS", user.path()),
        ):
            raw = build(method, path + query, fields=fields)
            outputs.add("answer", exchange_or_nothing(gateway, raw))
    where = user.path()
    malformed = [
        # The token where no user ID is, and where a host is.
        build("PUT", f"/_matrix/client/v3/user/{token}/account_data/m.key_backup", body={}, token=token),
        build("PUT", f"http://{token}{where}?access_token={token}", body={"enabled": True}),
        build("PUT", where, body={"enabled": True}, token=token, host=None),
        build("PUT", where, body={"enabled": True}, token=token, fields=[("Host", "other")]),
        build("PUT", where, body={"enabled": True}, token=token, fields=[("Content-Length", "x")]),
        build("PUT", where, body=b"zz\r\n", token=token, fields=[("Transfer-Encoding", "chunked")]),
        build("PUT", where, token=token, fields=[("X", "y" * 1_000_000)]),
        build("PUT", where, token=token, fields=[("Bad name", f"Bearer {token}")]),
        build("PUT", f"{where} ?access_token={token}", token=token),
        build("CONNECT", f"{token}:443", token=token),
        f"Authorization: Bearer {token}\r\n\r\n".encode(),
        f"GET {where}?access_token={token}\r\n\r\n".encode(),
    ]
    for raw in malformed:
        outputs.add("answer to something malformed", exchange_or_nothing(gateway, raw))


def gather(gateway: Gateway, outputs: Outputs) -> None:
    for path in ("/metrics", "/health/live", "/health/ready", "/health/audit"):
        outputs.add(path, gateway.admin(path).body)


def tokens_of(synapse: Synapse, *users: User) -> list[str]:
    return [*(user.token for user in users), f"planted{secrets.token_hex(16)}", synapse.as_token]


@pytest.mark.parametrize("format_", ["json", "text"])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_no_token_is_in_any_log_record_metric_health_or_answer(
    synapse: Synapse,
    gateway: Start,
    database: str,
    format_: str,
    request: pytest.FixtureRequest,
) -> None:
    served = gateway(
        synapse.url, database=database, log={**TRACE, "format": format_}, identity={"reads": True}
    )
    alice = synapse.register("alice")
    tokens = tokens_of(synapse, alice)
    outputs = Outputs()
    for token in tokens:
        plant(served, alice, token, outputs)
    gather(served, outputs)
    records = served.records_when(lambda found: len(found) > 20)
    outputs.add("records", repr(records))
    assert served.stop() == 0
    outputs.add("log", served.log)
    if database == "sqlite":
        path = Path(served.database.removeprefix("sqlite:"))
        for file in path.parent.glob(path.name + "*"):
            outputs.add(file.name, file.read_bytes())
        dump = "\n".join(sqlite3.connect(path).iterdump())
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        dump = postgres.dump(served.database)
    assert alice.user_id in dump
    outputs.add("dump", dump)
    outputs.hold_nothing_of(tokens)


def test_no_token_is_in_what_is_said_when_things_are_broken(
    synapse: Synapse, gateway: Start, postgres: Postgres, listening: Keep
) -> None:
    origin = Origin(synapse.port)
    relay = Relay(postgres.port)
    listening(origin), listening(relay)
    database = postgres.database()
    served = gateway(
        origin.url,
        database=database.replace(f":{postgres.port}/", f":{relay.port}/"),
        log=TRACE,
        audit={"deadline": "200ms"},
        identity={"deadline": "200ms"},
        limits={"unknown_per_second": 1000},
    )
    eventually(lambda: served.health("audit") == 200, "health/audit green")
    alice = synapse.register("alice")
    tokens = tokens_of(synapse, alice)
    outputs = Outputs()
    breaks: list[Callable[[], None]] = [
        lambda: setattr(origin, "script", lambda _: reset),
        lambda: setattr(origin, "script", lambda _: b"nonsense\r\n\r\n"),
        lambda: setattr(origin, "script", lambda _: answer(500)),
        origin.cut,
        lambda: (origin.mend(), setattr(origin, "script", lambda _: None), relay.cut()),
    ]
    for break_ in breaks:
        break_()
        plant(served, alice, tokens[0], outputs)
        gather(served, outputs)
    relay.mend()
    eventually(lambda: served.health("audit") == 200, "health/audit green again", timeout=40)
    outputs.add("records", repr(served.records()))
    served.stop()
    outputs.add("dump", postgres.dump(database))
    outputs.add("log", served.log)
    outputs.hold_nothing_of(tokens)


def test_the_search_would_find_a_token() -> None:
    token = "syt_dXNlcg_AbCdEfGhIjKlMnOpQrSt_0abcde"
    for leak in (
        f"log: {token}!",
        f"AbCdEfGhIjKlMnOpQrSt",
        hashlib.sha256(token.encode()).hexdigest(),
        base64.b64encode(f"user:{token}".encode()).decode(),
        every_byte(token, "%{:02X}"),
    ):
        outputs = Outputs()
        outputs.add("leak", leak)
        with pytest.raises(AssertionError):
            outputs.hold_nothing_of([token])
