"""Checkpoints come out of the database: to a file, to the log, to whoever takes them over HTTP."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable

import pytest
from nacl.signing import VerifyKey

from support.gateway import Gateway
from support.process import eventually

from .notary import Notary, has_all, sizes
from .stage import SOON, Stage, is_well, says
from .stores import STORES

LAG = "keybackup_checkpoint_lag_seconds"


@pytest.fixture
def notary(stage: Stage) -> Notary:
    keeper = Notary()
    stage.undo_with(keeper.cut)
    return keeper


def endpoint(notary: Notary) -> str:
    return f"{notary.url}/checkpoints"


def some(stage: Stage, gateway: Gateway, count: int) -> list[int]:
    """Makes so many checkpoints; their sizes."""
    made = []
    for _ in range(count):
        stage.write(gateway)
        made.append(stage.checkpointed())
    return made


def logged(gateway: Gateway) -> list[str]:
    """The notes in the log."""
    lines = [json.loads(line) for line in gateway.log.splitlines() if '"note"' in line]
    return [str(line.get("note") or line["fields"]["note"]) for line in lines]


def is_signed_by(public_key: str, note: str) -> bool:
    """By nobody's code but libsodium's: https://c2sp.org/signed-note"""
    name, number, key = public_key.strip().split("+", 2)
    text, _, signatures = note.partition("\n\n")
    for line in signatures.splitlines():
        dash, signer, encoded = line.split(" ")
        data = base64.b64decode(encoded)
        if (dash, signer, data[:4].hex()) == ("—", name, number):
            VerifyKey(base64.b64decode(key)[1:]).verify((text + "\n").encode(), data[4:])
            return True
    return False


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_every_checkpoint_goes_to_the_file_and_the_endpoint_and_some_to_the_log(
    stage: Stage, notary: Notary
) -> None:
    gateway = stage.start(endpoint=endpoint(notary))
    some(stage, gateway, 3)
    report = stage.is_whole(gateway)
    database = stage.checkpoints()
    assert sizes(stage.published()) == sizes(notary.notes) == database
    assert stage.published() == notary.notes
    assert set(sizes(logged(gateway))) <= set(database) and sizes(logged(gateway))[-1] == database[-1]
    assert report["checkpoints"] >= len(database)
    key = stage.public_key.read_text()
    assert all(is_signed_by(key, note) for note in [*notary.notes, *logged(gateway)])
    # As the log has it, one line.
    line = stage.folder / "line.txt"
    line.write_text(json.dumps(logged(gateway)[-1], ensure_ascii=False).strip('"') + "\n")
    said = stage.verdict("--checkpoint", str(line))
    assert said.gateway.exit == 0, said.gateway.said


def test_checkpoints_are_not_more_frequent_than_the_interval(stage: Stage) -> None:
    gateway = stage.start(interval="2s")
    with stage.load(lambda: [gateway.port], clients=1, pause=0.05):
        time.sleep(7)
    assert 3 <= len(stage.checkpoints()) <= 5
    assert stage.closest() >= 1.99


def outage(
    stage: Stage, gateway: Gateway, output: str, found: Callable[[], list[int]], mend: Callable[[], object]
) -> None:
    """While nothing can be published, that is said; afterwards nothing is missing."""
    missed = some(stage, gateway, 3)
    assert output in says(gateway, "checkpoint_not_published")
    eventually(lambda: gateway.metric(LAG, output=output) > 1.5, "the lag rising")
    assert gateway.metric(LAG, output="database") == 0
    assert gateway.metric("keybackup_sealing") == 1
    assert gateway.metric("keybackup_checkpoint_size", output=output) < missed[0]
    mend()
    eventually(lambda: found()[-1:] == missed[-1:], "the newest checkpoint published", 10)
    assert has_all(found(), missed), found()
    is_well(gateway)
    eventually(lambda: gateway.metric(LAG, output=output) == 0, "the lag gone")
    stage.is_whole(gateway)
    assert has_all(found(), stage.checkpoints()), (found(), stage.checkpoints())


def test_what_the_endpoint_has_missed_it_gets_in_order(stage: Stage, notary: Notary) -> None:
    gateway = stage.start(endpoint=endpoint(notary))
    some(stage, gateway, 1)
    eventually(lambda: notary.notes, "a checkpoint at the endpoint")
    notary.cut()
    outage(stage, gateway, "endpoint", lambda: sizes(notary.notes), notary.mend)


def test_what_an_endpoint_has_refused_it_gets_in_order(stage: Stage, notary: Notary) -> None:
    gateway = stage.start(endpoint=endpoint(notary))
    some(stage, gateway, 1)
    eventually(lambda: notary.notes, "a checkpoint at the endpoint")
    notary.instead = {"POST": 503}
    outage(stage, gateway, "endpoint", lambda: sizes(notary.notes), notary.instead.clear)


def test_what_the_file_has_missed_it_gets_in_order(stage: Stage) -> None:
    gateway = stage.start()
    some(stage, gateway, 1)
    eventually(stage.published, "a checkpoint in the file")
    aside = stage.file.rename(stage.folder / "aside.txt")
    stage.file.mkdir()

    def mend() -> None:
        stage.file.rmdir()
        aside.rename(stage.file)

    outage(stage, gateway, "file", lambda: sizes(stage.published()), mend)


def away_from_the_start(stage: Stage, notary: Notary, output: str) -> tuple[Gateway, Callable[[], object]]:
    """A gateway that never could publish, and what mends that."""
    if output == "endpoint":
        notary.cut()
        return stage.start(endpoint=endpoint(notary)), notary.mend
    stage.file = stage.folder / "mounted-later" / "checkpoints.txt"
    return stage.start(), stage.file.parent.mkdir


@pytest.mark.parametrize("output", ["file", "endpoint"])
def test_what_was_away_from_the_start_misses_nothing(stage: Stage, notary: Notary, output: str) -> None:
    gateway, mend = away_from_the_start(stage, notary, output)
    found = lambda: sizes(notary.notes if output == "endpoint" else stage.published())
    missed = some(stage, gateway, 3)
    assert output in says(gateway, "checkpoint_not_published")
    mend()
    eventually(lambda: found()[-1:] == missed[-1:], "the newest checkpoint published", 10)
    is_well(gateway)
    assert has_all(found(), missed), (found(), missed)


@pytest.mark.parametrize("output", ["file", "endpoint"])
def test_what_was_away_from_the_start_lags(stage: Stage, notary: Notary, output: str) -> None:
    gateway, _ = away_from_the_start(stage, notary, output)
    some(stage, gateway, 2)
    eventually(lambda: gateway.metric(LAG, output=output) > 1, "the lag rising", SOON)


def sealed_all_the_while(stage: Stage, gateway: Gateway, seconds: float) -> None:
    """Every write is sealed soon, whatever hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stage.write(gateway)
        stage.sealed(SOON)
        time.sleep(0.2)


def test_an_endpoint_that_never_answers_keeps_no_record_unsealed(stage: Stage, notary: Notary) -> None:
    gateway = stage.start(endpoint=endpoint(notary))
    some(stage, gateway, 1)
    stage.undo_with(lambda: setattr(notary, "is_silent", False))
    notary.is_silent = True
    sealed_all_the_while(stage, gateway, 12)
    says(gateway, "checkpoint_not_published")


def test_an_endpoint_that_never_answered_keeps_no_record_unsealed(stage: Stage, notary: Notary) -> None:
    stage.undo_with(lambda: setattr(notary, "is_silent", False))
    notary.is_silent = True
    gateway = stage.start(endpoint=endpoint(notary))
    sealed_all_the_while(stage, gateway, 12)
    says(gateway, "checkpoint_not_published")


def test_a_file_that_hangs_keeps_no_record_unsealed(stage: Stage) -> None:
    # A disk over a network that is gone is as patient as a FIFO that nobody reads.
    os.mkfifo(stage.file)
    gateway = stage.start()
    sealed_all_the_while(stage, gateway, 4)
    says(gateway, "checkpoint_not_published")


def test_a_file_that_hangs_is_said(stage: Stage) -> None:
    os.mkfifo(stage.file)
    gateway = stage.start()
    stage.write(gateway)
    # At the latest, the canary is not back in time.
    eventually(lambda: gateway.health("audit") == 503, "/health/audit failing", 13)
