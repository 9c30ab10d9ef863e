"""A heartbeat that does not come back says what nobody else could: that nothing arrives, or is sealed."""

from __future__ import annotations

from support.gateway import Gateway
from support.process import eventually

from .stage import Stage, is_well, says
from .stores import PostgresStore

# Two intervals, and never less than ten seconds.
LIMIT = 10.0


def swallow(stage: Stage, table: str) -> None:
    """Whoever inserts into `table` is told that it is done, and it is not."""
    stage.stop(stage.start())
    stage.sql("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    stage.sql(f"CREATE TRIGGER swallow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION swallow()")


def is_lost(stage: Stage) -> Gateway:
    """A gateway that says so."""
    gateway = stage.start()
    says(gateway, "canary_lost", LIMIT + 5)
    assert gateway.metric("keybackup_canary") == 0
    assert any("canary_lost" in line and "ERROR" in line for line in gateway.log.splitlines())
    assert (gateway.health("live"), gateway.health("ready")) == (200, 200)
    stage.write(gateway)
    return gateway


def test_the_canary_comes_back_in_a_checkpoint(stage: Stage) -> None:
    gateway = stage.start()
    eventually(lambda: gateway.metric("keybackup_canary") == 1, "the canary back")
    is_well(gateway)
    stage.is_whole(gateway)


def test_records_that_never_arrive_lose_the_canary(stage: Stage) -> None:
    swallow(stage, "audit_record")
    is_lost(stage)


def test_records_that_nobody_puts_in_line_lose_the_canary(stage: Stage) -> None:
    swallow(stage, "audit_pending")
    is_lost(stage)


def test_a_sealer_whose_every_step_fails_loses_the_canary(stage: Stage) -> None:
    stage.stop(stage.start())
    stage.sql("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
    stage.sql("CREATE TRIGGER fail BEFORE INSERT ON audit_leaf FOR EACH ROW EXECUTE FUNCTION fail()")
    is_lost(stage)


def test_a_tree_head_that_somebody_holds_loses_the_canary_until_it_is_let_go(stage: Stage) -> None:
    stage.stop(stage.start())
    assert isinstance(stage.store, PostgresStore)
    held = stage.store.cluster.transaction(stage.database, "SELECT * FROM audit_tree_head FOR UPDATE")
    with held:
        gateway = is_lost(stage)
    eventually(lambda: gateway.metric("keybackup_canary") == 1, "the canary back")
    is_well(gateway)
    stage.sealed()
    stage.is_whole(gateway)
