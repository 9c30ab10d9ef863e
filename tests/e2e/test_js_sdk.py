"""matrix-js-sdk, unchanged, through the gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import TOOLS
from support.gateway import Gateway
from support.relay import Listener, Origin
from support.synapse import STABLE, UNSTABLE, Synapse, User

MODULES = TOOLS / "js"
Keep = Callable[[Listener], Listener]


def run_client(base_url: str, user: User) -> dict[str, Any]:
    """Runs the whole script, and returns what it saw."""
    assert (MODULES / "node_modules/matrix-js-sdk").exists(), f"{MODULES}: `tests/run e2e` makes it"
    node = shutil.which("node")
    assert node is not None, "node is missing: `tests/run e2e` installs it"
    script = Path(__file__).parent / "js/client.mjs"
    done = subprocess.run(
        [node, str(script), base_url, user.user_id, user.password],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "JS_MODULES": str(MODULES)},
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)


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
