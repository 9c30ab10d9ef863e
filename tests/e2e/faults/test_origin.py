"""Homeservers and clients that go away or misbehave, under load: the record says what is known, and no more."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable

import pytest

from support.http import build, connect
from support.relay import Seen, reset

from .ledger import Told
from .reconcile import Reconciled
from .scene import STORES, Scene

Break = Callable[[socket.socket], None]


class HalfAnAnswer:
    """The status has been said, and the body breaks off."""

    status = 200

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.05)
        reset(connection)


def too_slow(connection: socket.socket) -> None:
    connection.settimeout(10)
    connection.recv(1)


def some_writes(chance: random.Random, how: Break) -> Callable[[Seen], Break | None]:
    """A script that does it to one in five writes."""
    return lambda seen: how if seen.method == "PUT" and chance.random() < 0.2 else None


def attack(scene: Scene, store: str, fault: str, hurt: Callable[[], None], mend: Callable[[], None]) -> Reconciled:
    scene.keep_trail_in(store)
    scene.start(origin={"guarded_timeout": "1s"})
    with scene.crowd() as crowd:
        crowd.wait_for(60)
        hurt()
        crowd.wait_for(200)
        mend()
        crowd.wait_for(60)
    found = scene.reconcile(fault)
    assert found.closed == 0
    return found


@pytest.mark.parametrize("store", STORES[1:])
@pytest.mark.parametrize(
    ("fault", "how", "told"),
    [
        ("origin-resets", reset, 502),
        ("origin-slow", too_slow, 504),
        ("origin-half-answer", HalfAnAnswer(), None),
    ],
)
def test_origin_breaks_off(scene: Scene, store: str, fault: str, how: Break, told: int | None) -> None:
    def hurt() -> None:
        scene.origin.script = some_writes(scene.chance, how)

    def mend() -> None:
        scene.origin.script = lambda _: None

    found = attack(scene, store, fault, hurt, mend)
    assert set(found.told) - {400} == {200, told} and found.told[told] > 10


def test_origin_resets_before_it_reads(scene: Scene) -> None:
    def some(connection: socket.socket) -> bool:
        if scene.chance.random() < 0.3:
            reset(connection)
            return True
        return False

    def hurt() -> None:
        scene.origin.before_reading = some
        # One request a connection: else few are opened anew.
        scene.origin.closes = True

    def mend() -> None:
        scene.origin.before_reading = lambda _: False
        scene.origin.closes = False

    found = attack(scene, "spool", "origin-resets before it reads", hurt, mend)
    assert set(found.told) - {400} == {200, 502}


@pytest.mark.parametrize("store", STORES[1:])
def test_origin_refuses(scene: Scene, store: str) -> None:
    found = attack(scene, store, "origin-refuses", scene.origin.cut, scene.origin.mend)
    assert set(found.told) <= {200, 400, 502} and found.told[502] > 10


# === clients that leave ===


def leave(scene: Scene, port: int, number: int) -> Told:
    """Sends some of a write, or all of it, and leaves after a moment."""
    user = scene.chance.choice(scene.users)
    told = Told(f"left-{number}", user.user_id, "write", b'{"enabled":true,"serial":%d}' % -number)
    fields = [("X-Request-Id", told.request_id)]
    sent = build("PUT", user.path(), token=user.token, body=told.body, fields=fields)
    whole = scene.chance.random() < 0.6
    connection = connect(port)
    connection.sendall(sent if whole else sent[: scene.chance.randrange(len(sent))])
    scene.moment(0.03)
    reset(connection) if scene.chance.random() < 0.5 else connection.close()
    told.fault = "left" if whole else "left halfway"
    return told


@pytest.mark.parametrize("store", STORES)
def test_client_gone(scene: Scene, store: str, long: bool) -> None:
    scene.keep_trail_in(store)
    served = scene.start()
    with scene.crowd(4) as crowd:
        left = [leave(scene, served.port, number) for number in range(1, 2000 if long else 200)]
        crowd.wait_for(20)
    scene.told += left
    found = scene.reconcile("client-gone")
    assert found.closed == 0
    # As if it had stayed: none of them was broken off on the way.
    outcomes = {each["request_id"]: each["outcome"] for each in scene.trail() if each["phase"] == "outcome"}
    assert {outcomes[told.request_id] for told in left if told.request_id in outcomes} == {"answered"}
    asked = {each.request_id for each in scene.origin.asked}
    assert not {told.request_id for told in left if told.fault == "left halfway"} & asked
    assert len({told.request_id for told in left if told.fault == "left"} & asked) > 50
