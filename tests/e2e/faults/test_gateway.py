"""Gateways that are killed, and that end in order, under load."""

from __future__ import annotations

import signal

import pytest

from .scene import STORES, Scene


@pytest.mark.parametrize("store", STORES)
def test_kill_gateway(scene: Scene, store: str, long: bool) -> None:
    scene.keep_trail_in(store)
    with scene.crowd() as crowd:
        for _ in range(50 if long else 8):
            served = scene.start()
            crowd.wait_for(1, only=lambda told: told.status == 200)
            scene.moment(0.6)
            scene.end(served, signal.SIGKILL)
    found = scene.reconcile("kill-gateway")
    assert set(found.told) <= {200, 400, 503, None}
    assert found.told[200] and found.told[None]


@pytest.mark.parametrize("store", STORES)
def test_sigterm(scene: Scene, store: str, long: bool) -> None:
    scene.keep_trail_in(store)
    with scene.crowd() as crowd:
        for _ in range(20 if long else 4):
            served = scene.start()
            crowd.wait_for(1, only=lambda told: told.status == 200)
            scene.moment(0.6)
            assert scene.end(served) == 0
    found = scene.reconcile("sigterm")
    assert set(found.told) <= {200, 400, 503, None}
    assert found.closed == 0


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_side_by_side(scene: Scene, by: signal.Signals, long: bool) -> None:
    """At a restart, old and new use one spool for a while."""
    scene.keep_trail_in("spool")
    old = scene.start()
    with scene.crowd() as crowd:
        for _ in range(10 if long else 3):
            new = scene.start()
            crowd.wait_for(20, only=lambda told: told.port == new.port and told.status == 200)
            crowd.wait_for(20, only=lambda told: told.port == old.port and told.status == 200)
            scene.moment(0.6)
            assert scene.end(old, by) == (0 if by == signal.SIGTERM else -signal.SIGKILL)
            crowd.wait_for(20, only=lambda told: told.port == new.port and told.status == 200)
            old = new
    found = scene.reconcile(f"side-by-side, {by.name}")
    if by == signal.SIGTERM:
        assert found.closed == 0
    assert set(found.told) <= {200, 400, 503, None}
