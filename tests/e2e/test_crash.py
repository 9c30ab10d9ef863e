"""Clients and origins that go away at the worst moment, and what the trail says then."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable

import pytest

from support.gateway import Gateway, Record
from support.http import build, connect, exchange
from support.process import eventually
from support.relay import Listener, Origin, Seen, answer, reset, slow_writes
from support.synapse import Synapse, User

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]


def outcomes(records: list[Record]) -> list[str | None]:
    return [record["outcome"] for record in records]


def put_bytes(user: User, length: int | None = None) -> bytes:
    body = b'{"enabled":true}'
    fields = [("Content-Length", str(length or len(body)))]
    return build("PUT", user.path(), token=user.token, body=body, fields=fields)


# === the client goes ===


def test_a_client_gone_mid_write_leaves_a_complete_record(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port, slow_writes(1))
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    connection = connect(served.port)
    connection.sendall(put_bytes(alice))
    eventually(origin.writes, "the write at the origin")
    reset(connection)
    records = served.records_when(lambda found: len(found) == 2)
    assert outcomes(records) == [None, "answered"]
    assert records[1]["origin_status"] == 200
    assert synapse.content(alice) == {"enabled": True}


def test_a_client_gone_right_after_sending_has_written_all_the_same(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url)
    users = [synapse.register("alice") for _ in range(20)]
    for user in users:
        with connect(served.port) as connection:
            connection.sendall(put_bytes(user))
    served.records_when(lambda found: outcomes(found).count("answered") == len(users))
    assert served.stop() == 0
    records = served.records()
    assert Counter(outcomes(records)) == {None: len(users), "answered": len(users)}
    assert all(synapse.content(user) is not None for user in users)


def test_a_client_gone_mid_body_has_written_nothing(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    for ends in (reset, socket.socket.close):
        connection = connect(served.port)
        connection.sendall(put_bytes(alice, length=1000))
        time.sleep(0.3)
        ends(connection)
    only_counted = "keybackup_exchanges_only_counted_total"
    eventually(lambda: served.metric(only_counted, reason="body_not_read") == 2, "both counted")
    assert served.records() == []
    assert synapse.content(alice) is None


# === the origin goes ===


def half_an_answer(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    time.sleep(0.2)
    reset(connection)


def nothing(_: socket.socket) -> None:
    """Closes without a word."""


def stall(connection: socket.socket) -> None:
    connection.settimeout(10)
    connection.recv(1)


GONE = {
    # What the origin does, the status that the client sees, and the outcome.
    "reset": (reset, 502, "unanswered"),
    "closed without an answer": (nothing, 502, "unanswered"),
    "no HTTP": (lambda connection: connection.sendall(b"nonsense\r\n\r\n"), 502, "unanswered"),
    "no answer in time": (stall, 504, "unanswered"),
}


@pytest.mark.parametrize("how", GONE)
def test_an_origin_gone_during_a_write_is_unanswered_and_asked_once(
    synapse: Synapse, gateway: Start, listening: Keep, how: str
) -> None:
    ends, status, outcome = GONE[how]
    origin = Origin(synapse.port, lambda seen: ends if seen.method == "PUT" else None)
    listening(origin)
    served = gateway(origin.url, origin={"guarded_timeout": "1s"})
    alice = synapse.register("alice")
    answered = served.put(alice, {"enabled": True})
    assert (answered.status, answered.errcode) == (status, "M_UNKNOWN")
    records = served.records()
    assert outcomes(records) == [None, outcome]
    assert records[1]["origin_status"] is None
    assert records[1]["authenticated_user"] == alice.user_id
    assert len(origin.writes()) == 1


def test_an_origin_gone_in_the_middle_of_its_answer_has_answered(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port, lambda seen: half_an_answer if seen.method == "PUT" else None)
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    with connect(served.port) as connection:
        connection.sendall(put_bytes(alice))
        got = b""
        try:
            while part := connection.recv(4096):
                got += part
        except ConnectionResetError:
            pass
    # It ends as it ended: cut, not made whole.
    assert got.startswith(b"HTTP/1.1 200 ") and not got.endswith(b"}")
    records = served.records()
    assert outcomes(records) == [None, "answered"]
    assert records[1]["origin_status"] == 200


def test_an_origin_gone_after_it_acted_is_unanswered_although_stored(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port)

    def acts_and_goes(seen: Seen) -> Callable[[socket.socket], None] | None:
        if seen.method != "PUT":
            return None
        exchange(synapse.port, seen.raw + seen.body)
        return reset

    origin.script = acts_and_goes
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    assert served.put(alice, {"enabled": True}).status == 502
    assert synapse.content(alice) == {"enabled": True}
    assert outcomes(served.records()) == [None, "unanswered"]


def test_an_origin_gone_before_a_write_has_failed(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port)
    listening(origin)
    served = gateway(origin.url)
    alice, bob = synapse.register("alice"), synapse.register("bob")
    # Alice is remembered; nobody has asked about Bob.
    assert served.put(alice, {"enabled": True}).status == 200
    origin.cut()
    for user, named in ((alice, alice.user_id), (bob, None)):
        answered = served.put(user, {"enabled": False})
        assert (answered.status, answered.errcode) == (502, "M_UNKNOWN")
        intent, outcome = served.records()[-2:]
        assert (intent["outcome"], outcome["outcome"]) == (None, "failed")
        assert outcome["authenticated_user"] == named
        assert outcome["claimed_user"] == user.user_id
    read = served.get(alice)
    assert (read.status, read.errcode) == (502, "M_UNKNOWN")
    assert served.put(bob, {"enabled": "yes"}).status == 502
    assert len(served.records()) == 6
    origin.mend()
    assert served.put(alice, {"enabled": False}).status == 200
    assert synapse.content(alice) == {"enabled": False}


def test_an_origins_error_to_a_write_is_relayed_and_recorded(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    body = b'{"errcode":"M_LIMIT_EXCEEDED","error":"Too many","retry_after_ms":100}'
    origin = Origin(synapse.port, lambda seen: answer(429, body) if seen.method == "PUT" else None)
    listening(origin)
    served = gateway(origin.url)
    answered = served.put(synapse.register("alice"), {"enabled": True})
    assert (answered.status, answered.body) == (429, body)
    last = served.records()[-1]
    assert (last["origin_status"], last["errcode"]) == (429, "M_LIMIT_EXCEEDED")
