"""What comes late out of a spool is sealed when it comes."""

from __future__ import annotations

import time

from faults.cluster import Cluster
from support.gateway import records
from support.process import eventually
from support.relay import Relay

from .stage import Stage, is_well
from .stores import PostgresStore


def with_spool(stage: Stage, name: str = "spool.db") -> Cluster:
    """The next gateway has this spool."""
    assert isinstance(stage.store, PostgresStore)
    stage.audit = {"durability": "spool", "spool": str(stage.folder / name)}
    return stage.store.cluster


def test_what_was_written_while_postgres_was_away_is_sealed_when_it_is_back(stage: Stage) -> None:
    cluster = with_spool(stage)
    gateway = stage.start()
    is_well(gateway)
    stage.write(gateway, 10)
    before = stage.sealed()
    cluster.stop()
    try:
        stage.write(gateway, 20)
        eventually(lambda: gateway.health("audit") == 503, "the store missed", 15)
    finally:
        cluster.start()
    eventually(lambda: stage.count() >= before + 40, "the spool in the store", 30)
    stage.sealed(timeout=15)
    is_well(gateway, 15)
    report = stage.is_whole(gateway)
    # They came late to the database, and were sealed at once.
    assert (report["late"], report["clock_disorder"], report["open_intents"]) == (0, 0, 0)


def test_records_that_come_after_younger_ones_keep_no_one_waiting_and_are_no_disorder(stage: Stage) -> None:
    cluster = with_spool(stage, "spool-1.db")
    relay = Relay(cluster.port)
    stage.undo_with(relay.cut)
    cut_off = stage.start(stage.database.replace(f":{cluster.port}/", f":{relay.port}/"))
    with_spool(stage, "spool-2.db")
    other = stage.start()
    for gateway in (cut_off, other):
        is_well(gateway)
    relay.cut()
    stage.write(cut_off, 10)
    time.sleep(0.1)
    stage.write(other, 10)
    early = stage.sealed()
    relay.mend()
    eventually(lambda: stage.count() >= early + 20, "the spool in the store", 30)
    late = stage.sealed(timeout=10)
    trail = records(stage.database, kind=None)
    by_index = stage.sql("SELECT record_id FROM audit_leaf ORDER BY leaf_index").split()
    recorded = {record["id"]: record["recorded_at"] for record in trail}
    # Older by their own clock, and sealed after.
    first, last = by_index[:early], by_index[early:late]
    assert min(recorded[each] for each in last) < max(recorded[each] for each in first)
    is_well(cut_off, 15)
    report = stage.is_whole(cut_off, other)
    assert (report["late"], report["clock_disorder"]) == (0, 0)


def test_what_nobody_could_seal_for_over_a_minute_is_reported_late(stage: Stage) -> None:
    gateway = stage.start()
    stage.write(gateway, 3)
    stage.sealed()
    stage.stop(gateway)
    # As a gateway without a key would have recorded it, long before one with a key came.
    unsealed = stage.start(key_file=None)
    stage.write(unsealed, 2)
    stage.stop(unsealed)
    waiting = "SELECT record_id FROM audit_pending"
    count = stage.number("SELECT count(*) FROM audit_pending")
    assert count >= 6
    older = "stored_at = stored_at - interval '5 minutes', recorded_at = recorded_at - interval '5 minutes'"
    stage.sql(f"UPDATE audit_record SET {older} WHERE id IN ({waiting})")
    again = stage.start()
    report = stage.is_whole(again)
    assert report["late"] == count
