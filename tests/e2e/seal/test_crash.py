"""A crash at any step of sealing leaves the tree as it was, or as it was to be; never something between."""

from __future__ import annotations

import time

import pytest

from support.process import eventually

from .notary import sizes
from .stage import Stage, is_well, says
from .stores import STORES

# What the transaction writes, in its order.
STEPS = (
    "INSERT ON audit_leaf",
    "DELETE ON audit_pending",
    "INSERT OR UPDATE ON audit_tile",
    "UPDATE ON audit_tree_head",
    "INSERT ON audit_checkpoint",
)
# More than a tile holds.
BEFORE = 140
KILLS = 6


def caught_at(stage: Stage, event: str) -> int:
    """Kills a gateway in the midst of `event`; how many leaves there were before."""
    gateway = stage.start()
    stage.write(gateway, BEFORE)
    before = stage.sealed()
    stage.store.hold_up(event)
    stage.write(gateway, 3)
    eventually(stage.store.is_held_up, f"somebody within {event}")
    stage.kill(gateway)
    stage.store.let_go()
    return before


@pytest.mark.parametrize("stage", STORES, indirect=True)
@pytest.mark.parametrize("event", STEPS)
def test_killed_within_any_statement_of_a_step_nothing_of_it_is_left(stage: Stage, event: str) -> None:
    before = caught_at(stage, event)
    # The step that was under way may have been the second.
    steps = (before, before + 2, before + 4, before + 6)
    assert stage.leaves() in steps
    assert stage.number("SELECT size FROM audit_tree_head") == stage.leaves()
    stage.is_sound()
    again = stage.start()
    stage.sealed()
    stage.write(again, 5)
    report = stage.is_whole(again)
    assert report["sealed"] >= before + 16


def test_killed_while_it_commits_nothing_is_sealed_twice(stage: Stage) -> None:
    before = caught_at(stage, "COMMIT")
    # The server had been told, and nobody was there to hear that it was done.
    assert stage.leaves() > before
    again = stage.start()
    stage.sealed()
    stage.write(again, 5)
    stage.is_whole(again)


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_killed_between_commit_and_publication_the_next_run_publishes(stage: Stage) -> None:
    gateway = stage.start()
    stage.write(gateway, 5)
    eventually(stage.published, "a checkpoint in the file")
    aside = stage.file.rename(stage.folder / "aside.txt")
    # Whoever is root may write anywhere, but not into a folder.
    stage.file.mkdir()
    known = stage.checkpoints()[-1]
    for _ in range(3):
        stage.write(gateway)
        stage.checkpointed()
    says(gateway, "checkpoint_not_published")
    missed = [size for size in stage.checkpoints() if size > known]
    assert len(missed) >= 3
    stage.kill(gateway)
    stage.file.rmdir()
    aside.rename(stage.file)
    again = stage.start()
    eventually(lambda: set(sizes(stage.published())) >= set(missed), "what was missed in the file")
    found = sizes(stage.published())
    assert found == sorted(found)
    is_well(again)
    stage.is_whole(again)


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_killed_at_random_moments_under_load_it_goes_on_with_the_same_tree(stage: Stage) -> None:
    ports: list[int] = []
    with stage.load(lambda: list(ports), clients=3):
        for _ in range(KILLS):
            gateway = stage.start()
            ports[:] = [gateway.port]
            time.sleep(stage.chance.uniform(0.05, 1.2))
            ports.clear()
            stage.kill(gateway)
    again = stage.start()
    stage.sealed()
    stage.is_whole(again)
