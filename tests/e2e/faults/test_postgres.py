"""Postgres goes away in every way it can, under load, without a spool: the mode decides."""

from __future__ import annotations

import os
import time

import pytest

from support.gateway import Gateway
from support.process import eventually

from .hurts import KINDS, Kind, Store
from .reconcile import Terms
from .relays import Committing
from .scene import Scene


def stage(scene: Scene, name: str) -> Store:
    """A database that can be hurt by this fault, with a relay on the way."""
    if name == "postgres-disk-full" and os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    scene.keep_trail_in("postgres", on_small_disk=name == "postgres-disk-full")
    relay = Committing(scene.cluster.port, scene.chance)
    scene.before_postgres(relay)
    return Store(scene.cluster, scene.database, relay)


def codes(served: Gateway) -> set[str]:
    """What `/health/audit` names."""
    answer = served.admin("/health/audit")
    return set() if answer.status == 200 else {each["code"] for each in answer.json()["reasons"]}


def is_named(served: Gateway, kind: Kind) -> None:
    """`/health/audit` says which trouble it is, and nothing else is said to be wrong."""
    if kind.codes:
        named = lambda: codes(served) and codes(served) <= kind.codes
        try:
            eventually(named, f"health/audit naming {set(kind.codes)}", 20)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {codes(served)}") from None
    assert (served.health("live"), served.health("ready")) == (200, 200)


@pytest.mark.parametrize("mode", ["required", "best_effort"])
@pytest.mark.parametrize("name", KINDS)
def test_postgres_without_a_spool(scene: Scene, name: str, mode: str, long: bool) -> None:
    store = stage(scene, name)
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
    # Nothing else is hurt.
    assert set(found.told_reads) <= {200, 404}
