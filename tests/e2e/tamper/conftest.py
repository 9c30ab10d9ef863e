"""What tampering needs: a seed, a sealed trail in each database, and a table of what was found."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import REPOSITORY

# The verifier lies outside of the end-to-end tests, as it tests more than them.
sys.path.insert(0, str(REPOSITORY / "tests"))

from .sealed import build  # noqa: E402
from .stores import PostgresStore, Sqlite  # noqa: E402
from .table import STORES, Table  # noqa: E402
from .world import Sealed  # noqa: E402

TABLE = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="of what is tampered with; printed at the end")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1 << 32)
    config.stash[TABLE] = Table()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.stash[TABLE].rows:
        return
    terminalreporter.section("tampering")
    for line in config.stash[TABLE].lines():
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"the seed of what was tampered with: --seed {config.option.seed}")


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.option.seed)


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    return pytestconfig.stash[TABLE]


@pytest.fixture(scope="session", params=STORES)
def sealed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> Iterator[Sealed]:
    """A trail that nobody has tampered with. Tests do it to copies."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == Sqlite.name:
        yield build(Sqlite(folder), folder / "sealed", seed)
        return
    cluster = PostgresStore()
    try:
        yield build(cluster, folder / "sealed", seed)
    finally:
        cluster.remove()
