"""What the stories need: a browser, a desk in front of a trail of real traffic, and visits to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.synapse import Synapse

from .chromium import Chromium, Look, Visit
from .desk import Desk, Token
from .scene import Scene

Open = Callable[..., Visit]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Debian's own, without a window."""
    running = Chromium()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def scene(synapse: Synapse, chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A desk over a trail in SQLite, and what was sent to make it."""
    folder = tmp_path_factory.mktemp("desk")
    built = Scene(synapse, f"sqlite:{folder}/audit.db", folder, chromium)
    yield built
    built.stop()


@pytest.fixture(scope="session")
def desk(scene: Scene) -> Desk:
    return scene.desk


@pytest.fixture(params=["with scripts", "without scripts"])
def scripts(request: pytest.FixtureRequest) -> bool:
    """Whether the browser runs scripts; the page has none."""
    return bool(request.param == "with scripts")


@pytest.fixture
def visit(desk: Desk) -> Iterator[Open]:
    """Opens windows: `visit(token, look=…)`. At the end each says what must never happen."""
    opened: list[Visit] = []

    def open_(token: Token | None = None, look: Look = Look(), desk: Desk = desk, **options: Any) -> Visit:
        one = desk.visit(look, **options)
        opened.append(one)
        if token is not None:
            desk.log_in(one, token)
        return one

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def auditor(visit: Open, desk: Desk, scripts: bool) -> Visit:
    """A window of somebody who may export, with and without scripts."""
    return visit(desk.auditor, javaScriptEnabled=scripts)
