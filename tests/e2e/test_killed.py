"""Gateways that are stopped or killed at the worst moment, and several on one store."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.gateway import Gateway, Record
from support.http import build, connect
from support.leases import make_older
from support.postgres import Postgres
from support.process import eventually
from support.relay import Listener, Origin, reset, slow_writes
from support.synapse import Synapse, User

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]


def outcomes(records: list[Record]) -> list[str | None]:
    return [record["outcome"] for record in records]


def put_bytes(user: User) -> bytes:
    return build("PUT", user.path(), token=user.token, body={"enabled": True})


def stall(connection: socket.socket) -> None:
    connection.settimeout(10)
    connection.recv(1)


def test_sigterm_ends_only_when_the_write_of_a_client_that_has_left_is_recorded(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port, slow_writes(1.5))
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    connection = connect(served.port)
    connection.sendall(put_bytes(alice))
    eventually(origin.writes, "the write at the origin")
    reset(connection)
    assert served.stop(signal.SIGTERM) == 0
    intent, outcome = served.records()
    assert (outcome["outcome"], outcome["origin_status"]) == ("answered", 200)
    assert synapse.content(alice) == {"enabled": True}


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

    make_older(killed.database, postgres)
    later = [gateway(synapse.url, database=killed.database) for _ in range(2)]
    records = later[0].records_when(lambda found: len(found) > 1, timeout=60)
    # The closing record has the intent's time, so either may stand first.
    [closing] = [record for record in records if record["phase"] == "outcome"]
    assert len(records) == 2
    assert closing["outcome"] == "unanswered"
    assert closing["exchange_id"] == intent["exchange_id"]
    assert closing["run_id"] != intent["run_id"]
    assert closing["authenticated_user"] == alice.user_id
    # A third look, by a third run, finds nothing to do.
    make_older(killed.database, postgres)
    third = gateway(synapse.url, database=killed.database)
    eventually(lambda: third.health("audit") == 200, "the third run recording")
    assert third.put(alice, {"enabled": True}).status == 200
    time.sleep(1)
    records = third.records()
    assert len(records) == 4
    assert outcomes(records[2:]) == [None, "answered"]


def test_five_gateways_on_one_postgres_lose_nothing_and_write_nothing_twice(
    synapse: Synapse, gateway: Start, postgres: Postgres
) -> None:
    database = postgres.database()
    # All five find an empty database.
    # No spools: what the killed one had in its own would wait for it to start again.
    audit = {"durability": "store"}
    fleet = [gateway(synapse.url, database=database, audit=audit, wait=False) for _ in range(5)]
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
