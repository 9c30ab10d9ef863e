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
