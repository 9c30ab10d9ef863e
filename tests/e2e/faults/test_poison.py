"""Records that no database likes to hold, among those that all do."""

from __future__ import annotations

import json
import time

import pytest

from support.http import build, exchange
from support.process import eventually
from support.synapse import STABLE

from .ledger import Told
from .scene import Scene
from .stage import codes

# In the path, as bytes of percent-encoding.
USERS = {
    "NUL": "@nul%00:localhost",
    "8 KiB": "@" + "a" * 8192 + ":localhost",
    "no UTF-8": "@%FF%FE%80:localhost",
    "a surrogate": "@%ED%A0%80:localhost",
    "direction": "@%E2%80%AEgpj:localhost",
    "a terminal": "@%1B%5D0;x%07:localhost",
    "quotes": "@'\"%0D%0A;--:localhost".replace('"', "%22"),
}


@pytest.mark.parametrize("store", ["sqlite", "postgres", "spool"])
def test_poisonous_record(scene: Scene, store: str) -> None:
    """What no database likes to hold, among what all do."""
    scene.keep_trail_in(store)
    served = scene.start()
    token = scene.users[0].token
    body = b'{"enabled":true}'
    with scene.crowd() as crowd:
        for number, name in enumerate(USERS):
            crowd.wait_for(10)
            path = f"/_matrix/client/v3/user/{USERS[name]}/account_data/{STABLE}"
            fields = [("X-Request-Id", f"poison-{number}"), ("User-Agent", "\xff\xfe" + "x" * 4000)]
            answered = exchange(served.port, build("PUT", path, token=token, body=body, fields=fields))
            # The homeserver's own word: it is another user's, or nobody's.
            assert 400 <= answered.status < 500 and answered.status != 401, (name, answered)
        crowd.wait_for(30)
    poisoned = {f"poison-{number}" for number in range(len(USERS))}
    asked = {each.request_id for each in scene.origin.asked}
    assert poisoned <= asked
    found = scene.reconcile("poisonous-record", ignoring=poisoned)
    assert set(found.told) <= {200, 400} and found.closed == 0
    theirs = [record for record in scene.trail() if record["request_id"] in poisoned]
    assert len(theirs) == 2 * len(USERS)
    for record in theirs:
        text = (record["claimed_user"] or "") + record["user_agent"]
        assert text.isprintable() and len(record["claimed_user"] or "") <= 255
    assert {record["outcome"] for record in theirs} == {None, "answered"}


@pytest.mark.parametrize("store", ["postgres", "spool"])
def test_poisonous_record_that_is_refused(scene: Scene, store: str) -> None:
    """As no database of ours does; but one that somebody has added a rule to."""
    scene.keep_trail_in(store)
    served = scene.start()
    rule = "ALTER TABLE audit_record ADD CONSTRAINT poison CHECK (request_id NOT LIKE 'poison%') NOT VALID"
    scene.cluster.query(scene.database, rule)
    user = scene.users[0]
    tolds = []
    with scene.crowd() as crowd:
        for number in range(10):
            crowd.wait_for(10)
            body = json.dumps({"enabled": True, "serial": -1 - number}).encode()
            told = Told(f"poison-{number}", user.user_id, "write", body, began=time.monotonic())
            fields = [("X-Request-Id", told.request_id)]
            request = build("PUT", user.path(), token=user.token, body=body, fields=fields)
            told.status = exchange(served.port, request).status
            told.ended = time.monotonic()
            tolds.append(told)
        if store == "spool":
            eventually(lambda: codes(served) == {"records_set_aside"}, "records_set_aside", 20)
            aside = lambda: served.metric("keybackup_records_set_aside")
            eventually(lambda: aside() == 2 * len(tolds), "both records of each set aside", 20)
        crowd.wait_for(30)
    expected = 200 if store == "spool" else 503
    assert {told.status for told in tolds} == {expected}
    scene.cluster.query(scene.database, "ALTER TABLE audit_record DROP CONSTRAINT poison")
    # The next start finds a store that takes them: nothing is missing then.
    scene.told += tolds
    found = scene.reconcile("poisonous-record, refused")
    assert found.told[200] and set(found.told) <= {200, 400, expected}
    assert found.closed == 0
