"""A spool file that is not what was written: found, set aside, reported, and what can be read is saved."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway, Record
from support.process import eventually

from .crowd import Crowd
from .hurts import Store, blackhole
from .ledger import Told
from .scene import Scene
from .stage import codes, stage

PAGE = 4096


def flip(path: Path) -> None:
    """Turns the bits of every eighth page, but the first, which says what the file is."""
    with path.open("r+b") as file:
        for at in range(PAGE, path.stat().st_size, 8 * PAGE):
            file.seek(at)
            some = file.read(PAGE)
            file.seek(at)
            file.write(bytes(byte ^ 0xFF for byte in some))


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def no_more_a_database(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x" * 100)


def remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        if not each.name.endswith((".head", ".lock")) and ".run-" not in each.name:
            each.unlink()


# To which file it happens; SQLite puts what is new into the WAL, and moves it to the file later.
DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "flipped": ("", flip),
    "truncated": ("", cut_in_half),
    "overwritten": ("", no_more_a_database),
    "removed": ("", remove),
    "wal-flipped": ("-wal", flip),
    "wal-truncated": ("-wal", cut_in_half),
}


def lost(trail: list[Record]) -> int:
    """How many records the trail itself says could not be read."""
    said = [record["detail"] or {} for record in trail if record["kind"] == "operation"]
    return sum(each["lost"] for each in said if each["operation"] == "spool_damaged")


def expected(requests: list[Told]) -> int:
    """How many records there must be: of requests that all ended in order."""
    writes = [told for told in requests if told.action == "write"]
    assert all(told.status in (200, 400) for told in writes)
    good = sum(told.status == 200 for told in writes)
    return 2 * good + (len(writes) - good) + sum(told.action == "read" for told in requests)


def of_requests(scene: Scene) -> list[Record]:
    """The records in the store that are of requests."""
    return [record for record in scene.trail() if record["kind"] == "exchange"]


def is_shipped(spool: Path) -> bool:
    """Whether the spool knows that all of it is in the store."""
    with contextlib.closing(sqlite3.connect(spool, timeout=20)) as database:
        (waiting,) = database.execute(
            "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'spool_record') - shipped FROM spool_state"
        ).fetchone()
    return bool(waiting == 0)


@contextlib.contextmanager
def cut_off(scene: Scene, crowd: Crowd, store: Store) -> Iterator[None]:
    """A black hole that opens when nothing is under way. Else the store may have taken what the spool does
    not know to be there, and of that nobody could say whether it was lost."""
    with crowd.at_rest():
        eventually(lambda: len(of_requests(scene)) == expected(crowd.told), "every record in the store", 40)
        eventually(lambda: is_shipped(scene.spool), "the spool to know of it", 40)
        store.relay.stall()
    try:
        yield
    finally:
        store.relay.flow()


def settle_into_file(spool: Path) -> None:
    """Moves what is in the WAL into the file, so that it is the records that are damaged."""
    with contextlib.closing(sqlite3.connect(spool, timeout=20)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def is_reported(scene: Scene, served: Gateway, how: str) -> None:
    """Everything that is not in the trail is said to be lost, and nothing else is."""
    eventually(lambda: codes(served) <= {"spool_damaged"}, "at most spool_damaged", 40)
    eventually(lambda: served.metric("keybackup_spool_records") == 0, "the spool empty", 40)
    assert served.health("ready") == 200
    found, said = of_requests(scene), lost(scene.trail())
    assert len({record["id"] for record in found}) == len(found)
    missing = expected(scene.told) - len(found)
    scene.say(f"fault spool-damaged, {how}: {expected(scene.told):,} records, {missing:,} lost, {said:,} said to be")
    assert missing == said == served.metric("keybackup_spool_records_lost_total")
    # What was in the WAL may have been in the file as well; and whoever has the file open holds its first
    # page, and soon writes it anew.
    if not how.startswith("wal") and how != "overwritten in use":
        assert "the spool was damaged" in served.log
    if missing:
        assert served.metric("keybackup_spool_damaged_total") == 1
    aside = list(scene.spool.parent.glob(f"{scene.spool.name}.damaged*"))
    assert codes(served) == ({"spool_damaged"} if aside else set())


LONG = ("overwritten", "wal-truncated")
EACH = [pytest.param(how, marks=pytest.mark.long if how in LONG else ()) for how in DAMAGES]


@pytest.mark.parametrize("how", EACH)
def test_spool_damaged_while_nobody_uses_it(scene: Scene, how: str) -> None:
    store = stage(scene, "spool-damaged", "spool")
    suffix, damage = DAMAGES[how]
    served = scene.start()
    with scene.crowd() as crowd:
        crowd.wait_for(30)
        with cut_off(scene, crowd, store):
            crowd.wait_for(400)
            crowd.stop()
            scene.end(served, signal.SIGKILL)
            if not suffix:
                settle_into_file(scene.spool)
            damage(scene.spool.with_name(scene.spool.name + suffix))
    again = scene.start(wait_for_store=False)
    is_reported(scene, again, how)


@pytest.mark.parametrize("how", EACH[:4])
def test_spool_damaged_while_it_is_used(scene: Scene, how: str) -> None:
    store = stage(scene, "spool-damaged", "spool")
    _, damage = DAMAGES[how]
    # To mend it may take a busy machine longer than the usual 2 s.
    scene.audit |= {"deadline": "20s"}
    served = scene.start()
    with scene.crowd() as crowd:
        crowd.wait_for(30)
        with blackhole(store):
            crowd.wait_for(200)
            settle_into_file(scene.spool)
            damage(scene.spool)
            crowd.wait_for(200)
        crowd.wait_for(60)
        crowd.stop()
    is_reported(scene, served, f"{how} in use")
