"""Several gateways on one database, and a clock that is set back."""

from __future__ import annotations

import signal
from collections import defaultdict
from pathlib import Path

import pytest

from support.process import eventually

from .scene import Scene


@pytest.mark.parametrize("store", ["postgres", "spool"])
def test_many_gateways(scene: Scene, store: str, long: bool) -> None:
    """Two, then five, and one of them is killed. With a spool, each has its own."""
    scene.keep_trail_in(store)

    def one_more(number: int) -> None:
        scene.start(audit={"spool": str(scene.folder / f"spool-{number}.db")} if store == "spool" else {})

    with scene.crowd(20) as crowd:
        for number in range(2):
            one_more(number)
        crowd.wait_for(100)
        for number in range(2, 5):
            one_more(number)
        crowd.wait_for(3000 if long else 200)
        victim = scene.serving[0]
        scene.moment(0.6)
        scene.end(victim, signal.SIGKILL)
        crowd.wait_for(100)
    # What is in its spool comes with its next run.
    scene.spool = scene.folder / "spool-0.db"
    if store == "spool":
        scene.audit["spool"] = str(scene.spool)
    found = scene.reconcile("many-gateways")
    assert set(found.told) <= {200, 400, None}
    assert len({record["run_id"] for record in scene.trail() if record["kind"] == "exchange"}) >= 5


def faked() -> Path:
    """The library that lies about the time, to those who are linked with the system's."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "faketime is missing: `tests/run faults` installs it"
    return found[0]


@pytest.mark.parametrize("store", ["postgres", "spool"])
def test_clock_back(scene: Scene, store: str) -> None:
    """An hour back, while it runs."""
    clock = scene.folder / "clock"
    clock.write_text("+0")
    scene.keep_trail_in(store)
    env = {
        "LD_PRELOAD": str(faked()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # As when an administrator sets the clock.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    served = scene.start(env=env)
    with scene.crowd() as crowd:
        crowd.wait_for(100)
        clock.write_text("-3600")
        eventually(lambda: served.metric("keybackup_clock_skew_seconds") < -3500, "the skew", 30)
        crowd.wait_for(100)
    assert "this machine's clock was set" in served.log
    assert "clock and the database's differ" in served.log
    found = scene.reconcile("clock-back")
    assert set(found.told) <= {200, 400}
    assert found.closed == 0
    run = [record for record in scene.trail() if record["kind"] == "exchange"]
    # `recorded_at` jumped, and each write's intent still comes before its outcome.
    times = [record["recorded_at"] for record in run]
    assert times != sorted(times)
    order = defaultdict(list)
    for record in sorted(run, key=lambda record: record["id"]):
        order[record["exchange_id"]].append(record["phase"])
    assert {tuple(phases) for phases in order.values()} == {("intent", "outcome"), ("outcome",)}
