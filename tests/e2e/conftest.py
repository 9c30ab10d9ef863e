"""Real homeservers, a real database and the gateway's own binary, for every test.

Everything listens on a free port of 127.0.0.1, keeps its files in a temporary folder, and is
stopped at the end, also when a test fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.gateway import REPOSITORY, Gateway
from support.postgres import Postgres
from support.relay import Listener
from support.synapse import Synapse

TOOLS = REPOSITORY / "tests" / ".tools"
CURRENT = TOOLS / "synapse-current"
OLD = TOOLS / "synapse-1.157"

Start = Callable[..., Gateway]


def _synapse(venv: Path, folder: Path, **options: bool) -> Iterator[Synapse]:
    running = Synapse(venv, folder, **options)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def synapse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    """The newest Synapse."""
    yield from _synapse(CURRENT, tmp_path_factory.mktemp("synapse"))


@pytest.fixture(scope="session")
def synapse_msc3391(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    """The newest Synapse, where account data can be deleted."""
    yield from _synapse(CURRENT, tmp_path_factory.mktemp("synapse-msc3391"), msc3391=True)


@pytest.fixture(scope="session")
def synapse_157(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    """The last Synapse that ignores what follows a further `/`; account data can be deleted."""
    yield from _synapse(OLD, tmp_path_factory.mktemp("synapse-157"), msc3391=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A cluster; `postgres.database()` is a fresh database."""
    cluster = Postgres()
    yield cluster
    cluster.remove()


@pytest.fixture
def gateway(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts gateways: `gateway(origin_url, database="sqlite" | "postgres" | URL, **sections)`.

    A section of the configuration is a keyword: `audit={"mode": "best_effort"}`. With `wait=False`
    it may not listen yet: call its `wait`.
    """
    started: list[Gateway] = []
    numbers = itertools.count(1)

    # Not from a thread of its own: a child is killed when the thread that started it ends.
    def start(
        url: str, database: str = "sqlite", wait: bool = True, **config: dict[str, object]
    ) -> Gateway:
        folder = tmp_path / f"gateway-{next(numbers)}"
        if database == "sqlite":
            database = f"sqlite:{folder}/audit.db"
        elif database == "postgres":
            database = request.getfixturevalue("postgres").database()
        running = Gateway(url, database, folder, config)
        started.append(running)
        if wait:
            running.wait()
        return running

    yield start
    for running in started:
        if running.process.running():
            running.stop()
    panicked = [running.log for running in started if "panicked at" in running.log]
    assert not panicked, panicked[0][-5000:]


@pytest.fixture
def listening() -> Iterator[Callable[[Listener], Listener]]:
    """Closes the relays that are handed to it."""
    opened: list[Listener] = []

    def keep(listener: Listener) -> Listener:
        opened.append(listener)
        return listener

    yield keep
    for listener in opened:
        listener.cut()
