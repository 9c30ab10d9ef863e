"""What sealing needs: a seed, a cluster that may be hurt, and a stage for each test."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import REPOSITORY

# The verifier lies outside of the end-to-end tests, as it tests more than them.
sys.path.insert(0, str(REPOSITORY / "tests"))

from faults.cluster import Cluster  # noqa: E402

from .stage import Stage  # noqa: E402

# No option: those of a folder are only known when it is run alone.
SEED = int(os.environ.get("SEAL_SEED") or random.SystemRandom().randrange(1 << 32))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"the seed of the random moments of sealing: SEAL_SEED={SEED}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Postgres that may be hurt; each test mends what it has broken."""
    running = Cluster()
    yield running
    running.remove()


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A homeserver, a key, and an empty database: Postgres, or what the test's parameter says."""
    kind = getattr(request, "param", "postgres")
    cluster = request.getfixturevalue("cluster") if kind == "postgres" else None
    built = Stage(tmp_path, cluster, SEED)
    yield built
    built.clear()
