"""A Postgres that can be hurt, and what a gateway says when it is."""

from __future__ import annotations

import os

import pytest

from support.gateway import Gateway
from support.process import eventually

from .hurts import Kind, Store
from .relays import Committing
from .scene import Scene


def stage(scene: Scene, name: str, store: str) -> Store:
    """A database that can be hurt by this fault, with a relay on the way. `store` as in `STORES`."""
    if name == "postgres-disk-full" and os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    scene.keep_trail_in(store, on_small_disk=name == "postgres-disk-full")
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
