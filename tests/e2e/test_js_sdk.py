"""matrix-js-sdk, unchanged, through the gateway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from support.gateway import Gateway
from support.js import run_client
from support.relay import Listener, Origin
from support.synapse import STABLE, UNSTABLE, Synapse, User

Keep = Callable[[Listener], Listener]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_real_client_turns_backup_on_and_off_and_every_guarded_request_is_in_the_trail_once(
    synapse: Synapse, gateway: Callable[..., Gateway], listening: Keep, database: str
) -> None:
    served = gateway(synapse.url, database=database)
    # Between the client and the gateway, so that we know what the client really sent.
    client = listening(Origin(served.port))
    assert isinstance(client, Origin)
    alice = synapse.register("alice")
    seen = run_client(client.url, alice)

    assert seen["before"] == [None, None]
    assert seen["on"] == [{"enabled": True}, {"disabled": False}]
    assert seen["off"] == [{"enabled": False}, {"disabled": True}]
    assert seen["synced"] == seen["off"]
    assert seen["backup_on"] is not None
    assert seen["backup_off"] is None
    assert (seen["refused"]["status"], seen["refused"]["errcode"]) == (400, "M_BAD_JSON")
    assert "enabled" in seen["refused"]["error"]
    assert synapse.content(alice) == {"enabled": False}

    guarded = [
        (request.method, event_type)
        for request in client.seen
        for event_type in (STABLE, UNSTABLE)
        if request.target.endswith(f"/account_data/{event_type}")
    ]
    assert Counter(method for method, _ in guarded) == {"PUT": 5, "GET": 6}
    # 5 writes, one of them refused: 4 intents and 5 outcomes; and 6 reads.
    trail = served.records_when(lambda records: len(records) == 15)
    outcomes = [record for record in trail if record["phase"] == "outcome"]
    words = {"write": "PUT", "read": "GET"}
    assert Counter((words[each["action"]], each["event_type"]) for each in outcomes) == Counter(guarded)
    assert len({record["exchange_id"] for record in outcomes}) == len(guarded)
    writes = [
        (record["event_type"], record["preference"], record["outcome"], record["origin_status"])
        for record in outcomes
        if record["action"] == "write"
    ]
    assert writes == [
        (STABLE, "enabled", "answered", 200),
        (UNSTABLE, "enabled", "answered", 200),
        (STABLE, None, "refused", None),
        (UNSTABLE, "disabled", "answered", 200),
        (STABLE, "disabled", "answered", 200),
    ]
    for record in trail:
        assert record["claimed_user"] == alice.user_id
        if record["action"] == "write":
            assert record["authenticated_user"] == alice.user_id
            assert record["device_id"] == seen["device_id"]
    statuses = [record["origin_status"] for record in outcomes if record["action"] == "read"]
    assert statuses == [404, 404, 200, 200, 200, 200]
    # The order of the deed: the backup is deleted before the preference is written.
    targets = [(request.method, request.target) for request in client.seen]
    deleted = next(at for at, (method, _) in enumerate(targets) if method == "DELETE")
    assert "/room_keys/version/" in targets[deleted][1]
    assert any(method == "PUT" and STABLE in target for method, target in targets[deleted:])
