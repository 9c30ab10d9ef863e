"""More than anybody should send: counted where it must not fill the trail, and never at the cost of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.gateway import Gateway, Record
from support.http import Answer
from support.js import run_client
from support.synapse import Synapse

Start = Callable[..., Gateway]
GOOD = {"enabled": True}
BAD = {"enabled": "yes"}


def ended(served: Gateway) -> tuple[list[Record], list[Record]]:
    """The exchanges in the trail of a gateway that has ended, and its collapsed records."""
    assert served.stop() == 0
    trail = served.records(kind=None)
    exchanges = [record for record in trail if record["kind"] == "exchange"]
    collapsed = [record for record in trail if record["kind"] == "collapsed"]
    # What the gateway says of itself is no more for all of that.
    others = [record["kind"] for record in trail if record["kind"] not in ("exchange", "collapsed")]
    # A heartbeat is the sealer's, which has a key with SQLite only.
    assert sorted(others) in (["operation"] * 2, ["heartbeat", *["operation"] * 2])
    return exchanges, collapsed


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_flood_without_credentials_is_one_record_and_others_are_served(
    synapse: Synapse, gateway: Start, database: str
) -> None:
    served, alice = gateway(synapse.url, database=database), synapse.register("alice")
    for number in range(300):
        method, body = ("PUT", GOOD) if number % 3 else ("GET", None)
        answer = served.request(
            method,
            alice.path(),
            token=f"nobody-{number}",
            body=body,
            # From two networks, as a trusted proxy says.
            fields=[("X-Forwarded-For", f"{'198.51.100' if number % 10 else '203.0.113'}.{number % 256}")],
        )
        assert (answer.status, answer.errcode) == (401, "M_UNKNOWN_TOKEN")
    assert served.put(alice, GOOD).status == 200
    assert served.metric("keybackup_records_collapsed_total", what="only_counted") == 300

    exchanges, collapsed = ended(served)
    assert [record["phase"] for record in exchanges] == ["intent", "outcome"]
    [record] = collapsed
    detail: dict[str, Any] = record["detail"]
    assert detail["only_counted"] == {"not_identified": 200, "read_not_answered": 100}
    assert detail["networks"] == {
        "seen": 2,
        "is_lower_bound": False,
        "worst": [
            {"network": "198.51.100.0/24", "count": 270},
            {"network": "203.0.113.0/24", "count": 30},
        ],
    }
    personal = ("claimed_user", "authenticated_user", "device_id", "client_address", "user_agent")
    assert [record[name] for name in personal] == [None] * len(personal)


def test_refusals_of_one_user_become_a_count_and_forwarded_writes_never_do(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url)
    alice, bob = synapse.register("alice"), synapse.register("bob")
    for _ in range(30):
        assert served.put(alice, BAD).status == 400
        assert served.put(alice, GOOD).status == 200
    assert served.put(bob, BAD).status == 400
    exchanges, [record] = ended(served)
    refused = [each["authenticated_user"] for each in exchanges if each["outcome"] == "refused"]
    assert (refused.count(alice.user_id), refused.count(bob.user_id)) == (20, 1)
    assert [each["phase"] for each in exchanges].count("intent") == 30
    assert [each["outcome"] for each in exchanges].count("answered") == 30
    assert record["authenticated_user"] == alice.user_id
    assert record["detail"]["refusals"] == 10


def test_beyond_the_limit_of_one_user_is_429_and_the_homeserver_does_not_hear_of_it(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url, limits={"guarded_per_user": 2})
    alice, bob = synapse.register("alice"), synapse.register("bob")
    assert served.put(alice, {"enabled": True}).status == 200
    assert served.put(alice, {"enabled": True}).status == 200
    limited: Answer = served.put(alice, {"enabled": False})
    assert (limited.status, limited.errcode) == (429, "M_LIMIT_EXCEEDED")
    millis = limited.json()["retry_after_ms"]
    assert 0 < millis <= 30_000
    assert int(limited.field("Retry-After") or 0) == -(-millis // 1000)
    assert limited.field("Access-Control-Allow-Origin") == "*"
    assert synapse.content(alice) == {"enabled": True}
    assert served.get(alice).status == 200
    assert served.put(bob, {"enabled": False}).status == 200
    assert served.metric("keybackup_exchanges_only_counted_total", reason="too_many_of_user") == 1


def test_a_real_client_understands_the_limit_and_stays_logged_in(
    synapse: Synapse, gateway: Start
) -> None:
    served, alice = gateway(synapse.url, limits={"guarded_per_user": 2}), synapse.register("alice")
    seen = run_client(served.url, alice, "limited.mjs")
    first, second, third = seen["writes"]
    assert [first, second] == [200, 200]
    assert (third["status"], third["errcode"]) == (429, "M_LIMIT_EXCEEDED")
    assert third["is_limit"] and 0 < third["retry_after_ms"] <= 30_000
    assert seen["user_id"] == alice.user_id
    assert synapse.content(alice) == {"enabled": False}
