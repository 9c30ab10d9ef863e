"""Records and tree that disagree end the sealing, and nothing else; and nobody mends them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from support.gateway import Gateway
from support.process import eventually

from .stage import Stage, says


def change_tile(stage: Stage) -> None:
    index = stage.leaves() // 256
    wrong = stage.store.blob(bytes(32) * (stage.leaves() % 256 or 256))
    stage.sql(f"UPDATE audit_tile SET hashes = {wrong} WHERE level = 0 AND tile_index = {index}")


def cut_tile(stage: Stage) -> None:
    stage.sql("DELETE FROM audit_tile")


def change_head(stage: Stage) -> None:
    stage.sql(f"UPDATE audit_tree_head SET root = {stage.store.blob(bytes(32))}")


def grow_head(stage: Stage) -> None:
    stage.sql("UPDATE audit_tree_head SET size = size + 1")


def unsign_head(stage: Stage) -> None:
    stage.sql("UPDATE audit_tree_head SET note = NULL")


def delete_waiting(stage: Stage) -> None:
    """What is left of a record that waited, and was deleted."""
    gone = stage.store.blob(bytes.fromhex("0197f2a04c3e7a118d1f000000000001"))
    if "postgres" in stage.database:
        gone = "'0197f2a0-4c3e-7a11-8d1f-000000000001'"
    stage.sql(f"INSERT INTO audit_pending (record_id) VALUES ({gone})")


def change_checkpoint(stage: Stage) -> None:
    newest = stage.checkpoints()[-1]
    stage.sql(f"UPDATE audit_checkpoint SET note = replace(note, '{newest}', '7') WHERE size = {newest}")


CHANGES = [change_tile, cut_tile, change_head, grow_head, unsign_head, delete_waiting, change_checkpoint]
# The planner is the same for both: of SQLite, one of each kind.
CASES = [("postgres", change) for change in CHANGES]
CASES += [("sqlite", change) for change in (change_tile, change_head, delete_waiting)]
TREE = [
    "SELECT * FROM audit_leaf ORDER BY leaf_index",
    "SELECT * FROM audit_tile ORDER BY level, tile_index",
    "SELECT * FROM audit_tree_head",
    "SELECT * FROM audit_checkpoint ORDER BY size",
]


def tree(stage: Stage) -> list[str]:
    return [stage.sql(table) for table in TREE]


def is_broken(stage: Stage, gateway: Gateway, before: list[str]) -> None:
    """It says so, forwards and records as before, and touches nothing."""
    says(gateway, "seal_broken")
    assert gateway.metric("keybackup_sealing") == 0
    lines = [line for line in gateway.log.splitlines() if "seal_broken" in line]
    assert len(lines) == 1 and "ERROR" in lines[0], lines
    count = stage.count()
    stage.write(gateway, 3)
    eventually(lambda: stage.count() == count + 6, "the writes recorded")
    assert (gateway.health("live"), gateway.health("ready")) == (200, 200)
    time.sleep(0.7)
    says(gateway, "seal_broken", 0.5)
    assert tree(stage) == before


@pytest.mark.parametrize(("stage", "change"), CASES, indirect=["stage"])
def test_what_disagrees_stops_the_sealing_alone_and_is_not_mended(
    stage: Stage, change: Callable[[Stage], None]
) -> None:
    gateway = stage.start()
    stage.write(gateway, 10)
    stage.checkpointed()
    change(stage)
    before = tree(stage)
    stage.write(gateway)
    is_broken(stage, gateway, before)
    stage.stop(gateway)
    again = stage.start()
    is_broken(stage, again, before)
    stage.stop(again)
    assert tree(stage) == before
    # The verifiers may see more than that.
    assert change is delete_waiting or stage.verdict().gateway.exit == 1
