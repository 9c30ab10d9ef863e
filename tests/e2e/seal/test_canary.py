"""A heartbeat that does not come back says what nobody else could: that nothing arrives, or is sealed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from faults.cluster import Cluster
from support.gateway import Gateway
from support.process import eventually

from .conftest import SEED
from .stage import Stage, is_well, says
from .stores import PostgresStore

# Two intervals, and never less than ten seconds.
LIMIT = 10.0
LOST: dict[str, Callable[[Stage], contextlib.AbstractContextManager[None]]] = {}


def loses(way: Callable[[Stage], Iterator[None]]) -> None:
    """A way to lose the canary, until the end of the block."""
    LOST[way.__name__] = contextlib.contextmanager(way)


def function(stage: Stage, does: str, before: str) -> None:
    body = f"LANGUAGE plpgsql AS $$BEGIN {does}; RETURN NULL; END$$"
    stage.sql(f"CREATE FUNCTION hurt() RETURNS trigger {body}")
    stage.sql(f"CREATE TRIGGER hurt BEFORE INSERT ON {before} FOR EACH ROW EXECUTE FUNCTION hurt()")


@loses
def nobody_puts_records_in_line(stage: Stage) -> Iterator[None]:
    function(stage, "NULL", "audit_pending")
    yield


@loses
def every_step_fails(stage: Stage) -> Iterator[None]:
    function(stage, "RAISE 'no'", "audit_leaf")
    yield
    stage.sql("DROP FUNCTION hurt() CASCADE")


@loses
def somebody_holds_the_tree_head(stage: Stage) -> Iterator[None]:
    assert isinstance(stage.store, PostgresStore)
    with stage.store.cluster.transaction(stage.database, "SELECT * FROM audit_tree_head FOR UPDATE"):
        yield


class Loss:
    """A canary that is under way, and will not come back before `mend`."""

    def __init__(self, stage: Stage, way: contextlib.AbstractContextManager[None]) -> None:
        self.stage = stage
        self._undo = contextlib.ExitStack()
        stage.stop(stage.start())
        self._undo.enter_context(way)
        self.gateway: Gateway = stage.start()

    def mend(self) -> None:
        self._undo.close()


@pytest.fixture(scope="module")
def losses(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Loss]]:
    """All of them at once, as each takes its time."""
    stages = {name: Stage(tmp_path_factory.mktemp(name), cluster, SEED) for name in LOST}
    under_way: dict[str, Loss] = {}
    try:
        for name, stage in stages.items():
            under_way[name] = Loss(stage, LOST[name](stage))
        yield under_way
    finally:
        for loss in under_way.values():
            loss.mend()
        for stage in stages.values():
            stage.clear()


@pytest.mark.parametrize("way", LOST)
def test_the_canary_is_lost_when(losses: dict[str, Loss], way: str) -> None:
    gateway = losses[way].gateway
    says(gateway, "canary_lost", LIMIT + 5)
    assert gateway.metric("keybackup_canary") == 0
    assert any("canary_lost" in line and "ERROR" in line for line in gateway.log.splitlines())
    assert (gateway.health("live"), gateway.health("ready")) == (200, 200)
    losses[way].stage.write(gateway)


@pytest.mark.parametrize("way", ["every_step_fails", "somebody_holds_the_tree_head"])
def test_the_canary_is_back_when_that_is_over(losses: dict[str, Loss], way: str) -> None:
    stage, gateway = losses[way].stage, losses[way].gateway
    losses[way].mend()
    eventually(lambda: gateway.metric("keybackup_canary") == 1, "the canary back")
    is_well(gateway)
    stage.sealed()
    stage.is_whole(gateway)


def test_the_canary_comes_back_in_a_checkpoint(stage: Stage) -> None:
    gateway = stage.start()
    eventually(lambda: gateway.metric("keybackup_canary") == 1, "the canary back")
    is_well(gateway)
    stage.is_whole(gateway)


def test_a_record_that_a_trigger_swallows_is_not_said_to_be_stored(stage: Stage) -> None:
    gateway = stage.start()
    stage.write(gateway)
    function(stage, "NULL", "audit_record")
    with pytest.raises(AssertionError, match="503"):
        stage.write(gateway)
    says(gateway, "store_unavailable", LIMIT)
    stage.sql("DROP FUNCTION hurt() CASCADE")
    eventually(lambda: gateway.health("audit") == 200, "what waited being stored")
    stage.write(gateway)
    stage.sealed()
    stage.is_whole(gateway)
