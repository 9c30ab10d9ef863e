"""The spool's own troubles: no room, no right to write, damage."""

from __future__ import annotations

import pytest

from support.process import eventually

from .disks import fill, make_read_only, small_disk
from .hurts import stopped
from .reconcile import Terms
from .scene import Scene
from .stage import codes, stage

MODES = ("required", "best_effort")


def decided(mode: str) -> set[int | None]:
    """What writes may be told while nothing can be recorded."""
    return {200, 400, 503} if mode == "required" else {200, 400}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("store", ["spool", "sqlite"])
def test_spool_disk_full(scene: Scene, store: str, mode: str) -> None:
    """With SQLite, the store is on that disk."""
    with small_disk(scene.folder / "disk", 16) as disk:
        scene.spool = disk / "spool.db"
        scene.keep_trail_in(store, folder=disk)
        scene.audit |= {"mode": mode, "deadline": "500ms"}
        served = scene.start()
        with scene.crowd() as crowd:
            crowd.wait_for(60)
            junk = fill(disk)
            expected = {"spool_disk_full"} if store == "spool" else {"store_disk_full"}
            eventually(lambda: codes(served) & expected, f"{expected}", 30)
            crowd.wait_for(20, only=lambda told: told.action == "write")
            assert served.health("ready") == 200
            junk.unlink()
            eventually(lambda: served.health("audit") == 200, "health/audit green again", 15)
            crowd.wait_for(60, only=lambda told: told.status == 200)
        found = scene.reconcile(f"spool-disk-full, {mode}", Terms(required=mode == "required"))
        assert set(found.told) <= decided(mode)


@pytest.mark.parametrize("mode", MODES)
def test_spool_read_only(scene: Scene, mode: str) -> None:
    with small_disk(scene.folder / "disk", 16) as disk:
        scene.spool = disk / "spool.db"
        scene.keep_trail_in("spool")
        scene.audit |= {"mode": mode, "deadline": "500ms"}
        with scene.crowd() as crowd:
            first = scene.start()
            crowd.wait_for(60)
            assert scene.end(first) == 0
            make_read_only(disk, True)
            served = scene.start(wait_for_store=False)
            expected = {"spool_read_only"}
            eventually(lambda: codes(served) & expected, f"{expected}", 30)
            crowd.wait_for(20, only=lambda told: told.action == "write")
            assert served.health("ready") == 200
            make_read_only(disk, False)
            eventually(lambda: served.health("audit") == 200, "health/audit green again", 40)
            crowd.wait_for(60, only=lambda told: told.status == 200)
        found = scene.reconcile(f"spool-read-only, {mode}", Terms(required=mode == "required"))
        # The first one was ended under load.
        assert set(found.told) <= decided(mode) | {None}


@pytest.mark.parametrize("mode", MODES)
def test_spool_full(scene: Scene, mode: str) -> None:
    """Postgres is away for so long that the spool has no room left."""
    store = stage(scene, "spool-full", "spool")
    scene.audit |= {"mode": mode, "deadline": "500ms", "spool_limit": 4 << 20}
    served = scene.start()
    with scene.crowd(24) as crowd:
        with stopped(store):
            eventually(lambda: "spool_full" in codes(served), "spool_full", 120)
            crowd.wait_for(20, only=lambda told: told.action == "write")
            assert served.health("ready") == 200
        eventually(lambda: served.health("audit") == 200, "health/audit green again", 60)
        crowd.wait_for(60, only=lambda told: told.status == 200)
    found = scene.reconcile(f"spool-full, {mode}", Terms(required=mode == "required"))
    assert set(found.told) <= decided(mode)
