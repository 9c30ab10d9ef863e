"""What the faults need: a seed, a length, a cluster that may be hurt, and a place to say what was reconciled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.synapse import Synapse

from .cluster import Cluster
from .scene import Scene

LINES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="of the random moments; printed at the end")
    parser.addoption("--long", action="store_true", help="at full length")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1 << 32)
    config.stash[LINES] = []
    config.addinivalue_line("markers", "long: only with --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.long:
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("reconciled")
    for line in config.stash[LINES]:
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"the seed of the random moments: --seed {config.option.seed}")


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether the faults are to be at full length."""
    return bool(pytestconfig.option.long)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Postgres that may be hurt; each test mends what it has broken."""
    running = Cluster()
    yield running
    running.remove()


@pytest.fixture
def scene(
    synapse: Synapse, cluster: Cluster, tmp_path: Path, pytestconfig: pytest.Config
) -> Iterator[Scene]:
    """A homeserver, a crowd, and gateways that are there to be hurt."""
    staged = Scene(synapse, cluster, tmp_path, pytestconfig.option.seed, pytestconfig.stash[LINES])
    yield staged
    staged.clear()
