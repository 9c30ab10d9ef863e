"""The store goes away while the gateway runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from support.gateway import Gateway, records
from support.http import request
from support.postgres import Postgres
from support.process import eventually
from support.relay import Listener, Origin, Relay, Seen
from support.synapse import Synapse

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]


@pytest.fixture
def relay(postgres: Postgres, listening: Keep) -> Relay:
    """Stands before Postgres."""
    between = Relay(postgres.port)
    listening(between)
    return between


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


def through(relay: Relay, postgres: Postgres, database: str) -> str:
    return database.replace(f":{postgres.port}/", f":{relay.port}/")


def start(gateway: Start, origin: str, relay: Relay, postgres: Postgres, database: str, **config: dict) -> Gateway:
    # With a spool none of this happens: see `faults`.
    config["audit"] = {"durability": "store"} | config.get("audit", {})
    served = gateway(origin, database=through(relay, postgres, database), **config)
    eventually(lambda: served.health("audit") == 200, "health/audit green")
    return served


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_without_the_store_no_write_reaches_the_origin_and_what_is_not_guarded_goes_on(
    synapse: Synapse, gateway: Start, postgres: Postgres, relay: Relay, database: str, how: str
) -> None:
    served = start(gateway, synapse.url, relay, postgres, database)
    alice = synapse.register("alice")
    assert served.put(alice, {"enabled": True}).status == 200
    getattr(relay, how)()
    for _ in range(3):
        started = time.monotonic()
        answered = served.put(alice, {"enabled": False})
        assert (answered.status, answered.errcode) == (503, "M_UNKNOWN")
        assert int(answered.field("retry-after") or 0) >= 1
        assert time.monotonic() - started < 6
    assert synapse.content(alice) == {"enabled": True}
    started = time.monotonic()
    assert served.get(alice).json() == {"enabled": True}
    assert served.request("GET", "/_matrix/client/versions").status == 200
    assert time.monotonic() - started < 1
    eventually(lambda: served.health("audit") == 503, "health/audit red")
    assert (served.health("live"), served.health("ready")) == (200, 200)

    relay.flow() if how == "stall" else relay.mend()
    eventually(lambda: served.health("audit") == 200, "health/audit green again", timeout=40)
    assert served.put(alice, {"enabled": False}).status == 200
    # The read that was queued meanwhile is there as well.
    eventually(lambda: records(database, action="read"), "the read")
    written = [record["outcome"] for record in records(database, action="write")]
    # What never reached the origin is withdrawn, or says so: nothing is left open.
    assert written[:2] == [None, "answered"] and written[-2:] == [None, "answered"]
    assert set(written[2:-2]) <= {None, "failed"}
    assert written.count(None) * 2 == len(written)


def test_best_effort_forwards_without_the_store_and_counts(
    synapse: Synapse, gateway: Start, postgres: Postgres, relay: Relay, database: str
) -> None:
    config = {"mode": "best_effort", "deadline": "500ms"}
    served = start(gateway, synapse.url, relay, postgres, database, audit=config)
    alice = synapse.register("alice")
    relay.cut()
    assert served.put(alice, {"enabled": True}).status == 200
    assert synapse.content(alice) == {"enabled": True}
    refused = served.put(alice, {"enabled": "yes"})
    assert (refused.status, refused.errcode) == (400, "M_BAD_JSON")
    relay.mend()
    eventually(lambda: served.health("audit") == 200, "health/audit green again", timeout=40)


def test_a_store_gone_between_intent_and_outcome_costs_the_client_nothing(
    synapse: Synapse, gateway: Start, postgres: Postgres, relay: Relay, database: str, listening: Keep
) -> None:
    def cuts(seen: Seen) -> None:
        if seen.method == "PUT":
            relay.cut()

    origin = Origin(synapse.port, cuts)
    listening(origin)
    served = start(gateway, origin.url, relay, postgres, database)
    alice = synapse.register("alice")
    answered = served.put(alice, {"enabled": True})
    assert (answered.status, answered.body) == (200, b"{}")
    # One half is there, so it reads as unanswered; the writer goes on trying.
    assert [record["phase"] for record in records(database)] == ["intent"]
    relay.mend()
    eventually(lambda: len(records(database)) == 2, "the outcome", timeout=40)
    intent, outcome = records(database)
    assert (outcome["outcome"], outcome["origin_status"]) == ("answered", 200)
    assert outcome["exchange_id"] == intent["exchange_id"]


def test_a_postgres_that_restarts_is_found_again(synapse: Synapse, gateway: Start) -> None:
    own = Postgres()
    try:
        served = gateway(synapse.url, database=own.database(), audit={"durability": "store"})
        alice = synapse.register("alice")
        assert served.put(alice, {"enabled": True}).status == 200
        own.stop()
        assert served.put(alice, {"enabled": False}).status == 503
        assert request(served.port, "GET", "/_matrix/client/versions").status == 200
        own.start()
        eventually(lambda: served.put(alice, {"enabled": False}).status == 200, "a write", 40)
        assert served.stop() == 0
        assert served.records()[-1]["outcome"] == "answered"
    finally:
        own.remove()
