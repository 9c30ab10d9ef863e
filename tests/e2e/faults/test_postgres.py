"""Postgres goes away in every way it can, under load."""

from __future__ import annotations

import time

import pytest

from support.process import eventually

from .hurts import KINDS
from .reconcile import Terms
from .scene import Scene
from .stage import is_named, stage

# In a short run, these stand for all in `best_effort`: refused, silent and ambiguous.
BRIEF = ("postgres-killed", "postgres-stopped", "network-reset-in-commit")
EACH_IN_BOTH_MODES = [(name, "required") for name in KINDS] + [
    pytest.param(name, "best_effort", marks=() if name in BRIEF else pytest.mark.long) for name in KINDS
]


@pytest.mark.parametrize(("name", "mode"), EACH_IN_BOTH_MODES)
def test_postgres_without_a_spool(scene: Scene, name: str, mode: str, long: bool) -> None:
    store = stage(scene, name, "postgres")
    scene.audit |= {"mode": mode, "deadline": "500ms"}
    served = scene.start()
    with scene.crowd() as crowd:
        crowd.wait_for(60)
        with KINDS[name].hurt(store):
            is_named(served, KINDS[name])
            crowd.wait_for(20 if KINDS[name].codes else 80, only=lambda told: told.action == "write")
            if long:
                time.sleep(30)
        eventually(lambda: served.health("audit") == 200, "health/audit green again", 40)
        crowd.wait_for(60, only=lambda told: told.status == 200)
    found = scene.reconcile(f"{name}, {mode}", Terms(required=mode == "required"))
    if name == "network-reset-in-commit":
        assert store.relay.reset_commits
    excused = {503} if mode == "required" else set()
    assert set(found.told) <= {200, 400} | excused
    if KINDS[name].codes and mode == "required":
        # Nothing went on unrecorded: the mode decided.
        assert found.told[503]
    # Nothing else is hurt.
    assert set(found.told_reads) <= {200, 404}


@pytest.mark.parametrize("name", KINDS)
def test_postgres_behind_a_spool(scene: Scene, name: str, long: bool) -> None:
    store = stage(scene, name, "spool")
    served = scene.start()
    with scene.crowd() as crowd:
        crowd.wait_for(60)
        with KINDS[name].hurt(store):
            crowd.wait_for(150)
            is_named(served, KINDS[name])
            if long:
                time.sleep(30)
        crowd.wait_for(60)
        eventually(lambda: served.health("audit") == 200, "health/audit green again", 40)
    # Nobody noticed anything.
    assert crowd.turned_away == 0
    eventually(lambda: served.metric("keybackup_spool_records") == 0, "the spool empty", 40)
    found = scene.reconcile(name, Terms(reads_kept=True))
    if name == "network-reset-in-commit":
        assert store.relay.reset_commits
    assert set(found.told) <= {200, 400}
    assert set(found.told_reads) <= {200, 404}
    assert found.closed == 0
