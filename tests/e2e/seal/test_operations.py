"""What was done to the gateway is in the trail, and sealed as everything else."""

from __future__ import annotations

import re

import pytest

from support.gateway import run
from support.process import eventually

from .stage import Stage
from .stores import STORES, PostgresStore

# What a version that did not seal knows nothing of.
TABLES = (
    "audit_pending",
    "audit_leaf",
    "audit_tile",
    "audit_tree_head",
    "audit_checkpoint",
    "audit_lost_checkpoint",
)


# The summary came after.
SUMMARY = ("summary", "user", "adoption", "hour", "violation", "drift", "open")
SUMMARY_OF_POSTGRES = (*SUMMARY, "fresh", "trait", "trait_days", "stray")
INDEXES = ("violation", "violated", "no_claimed_user")


def make_older(stage: Stage) -> tuple[int, int]:
    """Makes the database one of the version before sealing; which that was, and which it was before."""
    is_postgres = isinstance(stage.store, PostgresStore)
    newest = stage.number("SELECT max(version) FROM audit_migration")
    if is_postgres:
        stage.sql("DROP FUNCTION audit_note_fresh CASCADE")
        for index in INDEXES:
            stage.sql(f"DROP INDEX audit_record_{index}")
    else:
        stage.sql("DROP TRIGGER audit_record_pending")
    for table in (*TABLES, *(f"audit_{name}" for name in (SUMMARY_OF_POSTGRES if is_postgres else SUMMARY))):
        stage.sql(f"DROP TABLE {table}")
    older = 2 if is_postgres else 1
    stage.sql(f"DELETE FROM audit_migration WHERE version > {older}")
    return older, newest


def multiply(stage: Stage, times: int) -> None:
    """More records like those that are of no exchange, each with an id of its own."""
    columns = [name for name in column_names(stage) if name != "id"]
    counted = f"WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {times})"
    if isinstance(stage.store, PostgresStore):
        id_ = "(left(id::text, 24) || substr(md5(random()::text), 1, 12))::uuid"
    else:
        id_ = "CAST(substr(id, 1, 10) || randomblob(6) AS BLOB)"
    stage.sql(
        f"{counted} INSERT INTO audit_record (id, {', '.join(columns)}) "
        f"SELECT {id_}, {', '.join(columns)} FROM audit_record CROSS JOIN n WHERE exchange_id IS NULL"
    )


def column_names(stage: Stage) -> list[str]:
    if isinstance(stage.store, PostgresStore):
        ask = "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_record'"
    else:
        ask = "SELECT name FROM pragma_table_info('audit_record')"
    return stage.sql(ask).split()


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_start_heartbeat_and_stop_are_in_the_trail(stage: Stage) -> None:
    gateway = stage.start()
    eventually(lambda: gateway.records(kind="heartbeat"), "a heartbeat")
    stage.is_whole(gateway)
    stage.is_whole(stage.start())
    started, stopped = stage.operations("start"), stage.operations("stop")
    assert (len(started), len(stopped)) == (2, 2)
    assert len({record["run_id"] for record in started}) == 2
    digests = {record["detail"]["configuration_sha256"] for record in started}
    assert len(digests) == 1 and re.fullmatch("[0-9a-f]{64}", digests.pop())
    policy = started[0]["detail"]["configuration"]
    assert policy["policy"]["mode"] == "enforce" and policy["audit"]["mode"] == "required"


def test_another_policy_has_another_digest_and_another_interval_has_not(stage: Stage) -> None:
    stage.is_whole(stage.start())
    stage.audit["reads"] = "none"
    stage.is_whole(stage.start())
    stage.is_whole(stage.start(interval="2s"))
    digests = [record["detail"]["configuration_sha256"] for record in stage.operations("start")]
    assert digests[0] != digests[1] == digests[2]


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_an_export_is_in_the_trail(stage: Stage) -> None:
    gateway = stage.start()
    stage.write(gateway)
    stage.sealed()
    for arguments in (("--format", "jsonl"), ("--format", "csv", "--user", "@user.3:example.org")):
        done = run("audit", "export", "--database", stage.database, *arguments)
        assert done.returncode == 0, done.stderr
    details = [record["detail"] for record in stage.operations("export")]
    assert [each["format"] for each in details] == ["jsonl", "csv"]
    assert details[0]["filter"] is None and "@user.3:example.org" in str(details[1]["filter"])
    stage.is_whole(gateway)


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_what_was_recorded_before_there_was_sealing_is_sealed_after_the_upgrade(stage: Stage) -> None:
    gateway = stage.start()
    stage.write(gateway, 60)
    stage.stop(gateway)
    # More than is looked at in one go.
    multiply(stage, 6000)
    older, newest = make_older(stage)
    count = stage.count()
    assert count > 10_000
    stage.file.unlink()
    again = stage.start()
    stage.write(again, 2)
    stage.sealed(timeout=30)
    migrated = [record["detail"] for record in stage.operations("migration")]
    assert [(each["from"], each["to"]) for each in migrated] == [(older, newest)]
    report = stage.is_whole(again)
    assert report["sealed"] >= count + 4


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_a_record_that_nobody_put_in_line_is_sealed_by_the_next_run(stage: Stage) -> None:
    keyless = {"key_file": None} if isinstance(stage.store, PostgresStore) else {}
    gateway = stage.start(**keyless)
    stage.write(gateway, 3)
    stage.stop(gateway)
    stage.sql("DELETE FROM audit_pending")
    again = stage.start()
    stage.sealed()
    stage.is_whole(again)
    assert "put them in line" in again.log or not keyless


def test_migrate_by_hand_is_in_the_trail(stage: Stage) -> None:
    stage.stop(stage.start())
    older, newest = make_older(stage)
    stage.file.unlink()
    done = run("migrate", "--database", stage.database)
    assert done.returncode == 0, done.stderr
    done = run("migrate", "--database", stage.database)
    assert done.returncode == 0, done.stderr
    stage.is_whole(stage.start())
    migrated = [record["detail"] for record in stage.operations("migration")]
    assert [(each["from"], each["to"]) for each in migrated] == [(older, newest)]
