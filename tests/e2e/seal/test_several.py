"""Several that seal at once make one tree, and every record is in it once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from faults.cluster import Cluster
from support.gateway import Gateway

from .bouncer import PROGRAM, Bouncer
from .stage import SOON, Stage, is_well
from .stores import STORES

# For how long the oldest record that waits has been there.
WAITS = {
    "postgres": """
        SELECT coalesce(max(extract(epoch FROM clock_timestamp() - stored_at)), 0)
        FROM audit_pending JOIN audit_record ON id = record_id
    """,
    "sqlite": """
        SELECT coalesce(max((julianday('now') - 2440587.5) * 86400 - stored_at / 1e6), 0)
        FROM audit_pending JOIN audit_record ON id = record_id
    """,
}


@pytest.fixture
def bouncer(cluster: Cluster) -> Iterator[Bouncer]:
    if not PROGRAM.exists():
        pytest.skip("PgBouncer is missing: `tests/run it` installs it")
    running = Bouncer(cluster)
    yield running
    running.remove()


def under_load(stage: Stage, gateways: list[Gateway], seconds: float, clients: int = 6) -> int:
    """Load on all of them, while it is watched how long records wait; how many writes were answered."""
    for gateway in gateways:
        is_well(gateway)
    kind = "sqlite" if stage.database.startswith("sqlite") else "postgres"
    end, longest = time.monotonic() + seconds, 0.0
    with stage.load(lambda: [each.port for each in gateways], clients) as load:
        while time.monotonic() < end:
            longest = max(longest, float(stage.sql(WAITS[kind])))
            time.sleep(0.3)
    assert longest < SOON, f"a record has waited for {longest:.1f} s"
    failed = [said for said in load.said if said.status != 200]
    assert not failed, failed[0]
    stage.sealed()
    return len(load.said)


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_two_sealers_at_once_seal_every_record_once(stage: Stage) -> None:
    gateways = [stage.start(), stage.start()]
    writes = under_load(stage, gateways, 3)
    both = [gateway.metric("keybackup_records_sealed_total") for gateway in gateways]
    assert sum(both) == stage.sealed()
    assert stage.is_whole(*gateways)["sealed"] >= 2 * writes


def test_two_sealers_behind_pgbouncer_seal_every_record_once(stage: Stage, bouncer: Bouncer) -> None:
    through = bouncer.through(stage.database)
    gateways = [stage.start(through), stage.start(through)]
    writes = under_load(stage, gateways, 3)
    assert stage.is_whole(*gateways)["sealed"] >= 2 * writes


def test_five_gateways_one_of_them_behind_pgbouncer_make_one_tree(stage: Stage, bouncer: Bouncer) -> None:
    gateways = [stage.start(bouncer.through(stage.database))]
    gateways += [stage.start(wait=False) for _ in range(4)]
    for gateway in gateways[1:]:
        gateway.wait()
    writes = under_load(stage, gateways, 6)
    # Their intervals are one interval: the database's clock counts.
    assert stage.closest() >= 0.99
    sealed = sum(gateway.metric("keybackup_records_sealed_total") for gateway in gateways)
    assert sealed == stage.sealed()
    # All of them end at once, and each wants to seal what is left.
    assert stage.is_whole(*gateways)["sealed"] >= 2 * writes


def test_both_verifiers_count_clock_disorder_alike(stage: Stage) -> None:
    gateways = [stage.start(), stage.start()]
    under_load(stage, gateways, 3)
    stage.stop(*gateways)
    said = stage.verdict()
    ours, theirs = (each.report["clock_disorder"] for each in (said.gateway, said.python))
    # Two that are stored at once may be sealed the other way round, and no clock has run back.
    assert (ours, theirs) == (0, 0)
