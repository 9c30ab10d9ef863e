"""Clients, origins and gateways that go away at the worst moment, and what the trail says then."""

from __future__ import annotations

import signal
import socket
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.gateway import Gateway, Record
from support.http import build, connect, exchange
from support.postgres import Postgres
from support.process import eventually
from support.relay import Listener, Origin, Seen, answer, reset
from support.synapse import Synapse, User

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]


def outcomes(records: list[Record]) -> list[str | None]:
    return [record["outcome"] for record in records]


def put_bytes(user: User, enabled: bool = True, length: int | None = None) -> bytes:
    body = b'{"enabled":true}' if enabled else b'{"enabled":false}'
    fields = [("Content-Length", str(length or len(body)))]
    return build("PUT", user.path(), token=user.token, body=body, fields=fields)


# === the client goes ===


def test_a_client_gone_mid_write_leaves_a_complete_record(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    def slow(seen: Seen) -> None:
        if seen.method == "PUT":
            time.sleep(1)

    origin = Origin(synapse.port, slow)
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
    users = [synapse.register("alice") for _ in range(10)]
    for user in users:
        with connect(served.port) as connection:
            connection.sendall(put_bytes(user))
            connection.shutdown(socket.SHUT_WR)
    records = served.records_when(lambda found: len(found) == 20)
    assert Counter(outcomes(records)) == {None: 10, "answered": 10}
    assert [synapse.content(user) for user in users] == [{"enabled": True}] * 10


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


# === the gateway goes ===


def make_older(served: Gateway, postgres: Postgres | None) -> None:
    """Puts the leases of all runs two minutes back, as if the time had passed."""
    if postgres is not None:
        postgres.query(
            served.database, "UPDATE audit_run SET renewed_at = renewed_at - interval '2 minutes'"
        )
        return
    with sqlite3.connect(served.database.removeprefix("sqlite:"), timeout=20) as database:
        database.execute("UPDATE audit_run SET renewed_at = renewed_at - 120 * 1000000")
    database.close()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_kill_9_leaves_an_intent_that_a_later_run_closes_as_unanswered_once(
    synapse: Synapse,
    gateway: Start,
    listening: Keep,
    database: str,
    request: pytest.FixtureRequest,
) -> None:
    postgres = request.getfixturevalue("postgres") if database == "postgres" else None
    origin = Origin(synapse.port, lambda seen: stall if seen.method == "PUT" else None)
    listening(origin)
    killed = gateway(origin.url, database=database)
    alice = synapse.register("alice")
    connection = connect(killed.port)
    connection.sendall(put_bytes(alice))
    eventually(origin.writes, "the write at the origin")
    killed.stop(signal.SIGKILL)
    connection.close()
    # The intent was durable before the origin heard of the write.
    [intent] = killed.records()
    assert (intent["phase"], intent["verdict"]) == ("intent", "accept")

    make_older(killed, postgres)
    later = [gateway(synapse.url, database=killed.database) for _ in range(2)]
    records = later[0].records_when(lambda found: len(found) > 1, timeout=30)
    assert outcomes(records) == [None, "unanswered"]
    closing = records[1]
    assert closing["exchange_id"] == intent["exchange_id"]
    assert closing["run_id"] != intent["run_id"]
    assert closing["authenticated_user"] == alice.user_id
    # A third look, by a third run, finds nothing to do.
    make_older(killed, postgres)
    third = gateway(synapse.url, database=killed.database)
    eventually(lambda: third.health("audit") == 200, "the third run recording")
    assert third.put(alice, {"enabled": True}).status == 200
    time.sleep(1)
    assert outcomes(third.records()) == [None, "unanswered", None, "answered"]


def test_five_gateways_on_one_postgres_lose_nothing_and_write_nothing_twice(
    synapse: Synapse, gateway: Start, postgres: Postgres
) -> None:
    database = postgres.database()
    # All five find an empty database.
    fleet = [gateway(synapse.url, database=database, wait=False) for _ in range(5)]
    for served in fleet:
        served.wait()
    users = [synapse.register("alice") for _ in range(5)]
    victim = fleet[0]
    acknowledged: dict[str, int] = {}
    sent: set[str] = set()

    def writes(number: int) -> None:
        for turn in range(20):
            request_id = f"fleet-{number}-{turn}"
            sent.add(request_id)
            fields = [("X-Request-Id", request_id)]
            body = {"enabled": turn % 2 == 0, "turn": turn}
            try:
                answered = fleet[number].put(users[number], body, fields=fields)
            except OSError:
                continue
            acknowledged[request_id] = answered.status
            if number == 0 and turn == 10:
                threading.Thread(target=victim.process.child.kill).start()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(writes, range(5)))
    assert set(acknowledged.values()) == {200}
    assert len(acknowledged) >= 80 + 11
    victim.stop(signal.SIGKILL)

    records = fleet[1].records()
    assert len({record["id"] for record in records}) == len(records)
    by_request: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_request[record["request_id"]].append(record)
    assert set(acknowledged) <= set(by_request) <= sent
    for request_id in acknowledged:
        assert outcomes(by_request[request_id]) == [None, "answered"], request_id
    assert len({record["run_id"] for record in records}) == 5
    for number, user in enumerate(users):
        last = max(turn for turn in range(20) if f"fleet-{number}-{turn}" in by_request)
        assert synapse.content(user)["turn"] in (last, last - 1)
