"""Whatever is done to a sealed trail, both verifiers find it, and name it rightly."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .columns import CHANGES, COLUMNS
from .exports import EXPORTS
from .papers import Forgery, Paper
from .proofs import PROOFS
from .resigned import RESIGNED
from .rows import ROWS
from .table import Table
from .tree import TREE
from .verifiers import verify
from .world import Expected, Sealed, Tampering, World


def named(made: Tampering | Forgery) -> str:
    return made.name


def hold(expected: Expected, faults: list[str]) -> None:
    """Where in the test it was found is of no interest."""
    if faults:
        pytest.fail("\n".join([f"expected: {expected}", *faults]), pytrace=False)


@pytest.fixture
def newest(sealed: Sealed, tmp_path: Path) -> Path:
    """The newest checkpoint, as somebody keeps it elsewhere."""
    file = tmp_path / "newest.txt"
    assert sealed.trail.head.note is not None
    file.write_text(sealed.trail.head.note.text)
    return file


def test_every_column_has_a_case(sealed: Sealed) -> None:
    assert sealed.store.columns(sealed.url, "audit_record") == set(CHANGES)


@pytest.mark.parametrize("tampering", [*COLUMNS, *ROWS, *TREE], ids=named)
def test_it_is_found_in_a_database(sealed: Sealed, tampering: Tampering, seed: int, table: Table) -> None:
    world = World(sealed, random.Random(f"{seed} {sealed.store.name} {tampering.name}"))
    expected = tampering.do(world)
    with sealed.store.copy(sealed.url) as url:
        sealed.store.run(url, world.statements)
        said = verify("--database", url, "--public-key", sealed.public_key)
    table.add(tampering.name, sealed.store.name, said)
    hold(expected, said.faults(expected))


@pytest.mark.parametrize("tampering", RESIGNED, ids=named)
def test_only_a_checkpoint_from_outside_shows_it(
    sealed: Sealed, tampering: Tampering, seed: int, table: Table, newest: Path
) -> None:
    world = World(sealed, random.Random(f"{seed} {sealed.store.name} {tampering.name}"))
    expected = tampering.do(world)
    assert expected.outside is not None
    with sealed.store.copy(sealed.url) as url:
        sealed.store.run(url, world.statements)
        how = ("--database", url, "--public-key", sealed.public_key)
        alone, held = verify(*how), verify(*how, "--checkpoint", str(newest))
    table.add(tampering.name, sealed.store.name, alone)
    table.add(f"{tampering.name}: with --checkpoint", sealed.store.name, held)
    hold(expected, alone.faults(expected) + held.faults(expected.outside))


@pytest.mark.parametrize("forgery", [*EXPORTS, *PROOFS], ids=named)
def test_it_is_found_in_a_file(
    sealed: Sealed, forgery: Forgery, seed: int, table: Table, tmp_path: Path
) -> None:
    chance = random.Random(f"{seed} {sealed.store.name} {forgery.name}")
    paper = Paper.read(sealed, forgery.file, chance)
    expected = forgery.do(paper)
    file = tmp_path / "forged.jsonl"
    file.write_text(paper.text)
    how = "--proof" if forgery.file == "proof" else "--export"
    said = verify(how, str(file), "--public-key", sealed.public_key)
    table.add(forgery.name, sealed.store.name, said)
    hold(expected, said.faults(expected))


@pytest.mark.parametrize("how", ["--database", "--export", "--proof"])
def test_what_is_not_there_has_no_verdict(sealed: Sealed, how: str, tmp_path: Path) -> None:
    gone = sealed.url.removesuffix(".db") + "gone" if how == "--database" else str(tmp_path / "gone")
    said = verify(how, gone, "--public-key", sealed.public_key)
    assert (said.gateway.exit, said.python.exit) == (3, 3), f"{said.gateway.said}\n{said.python.said}"


@pytest.mark.parametrize("what", ["database", "whole", "filtered", "proof"])
def test_what_nobody_has_touched_is_sound(sealed: Sealed, what: str, table: Table, newest: Path) -> None:
    where = sealed.url if what == "database" else str(sealed.files[what])
    how = {"whole": "--export", "filtered": "--export"}.get(what, f"--{what}")
    said = verify(how, where, "--public-key", sealed.public_key, "--checkpoint", str(newest))
    table.add(f"nothing ({what})", sealed.store.name, said)
    # That it was exported is in the trail, too, and in the export.
    expected = Expected(None, unsealed=int(what == "whole"))
    hold(expected, said.faults(expected))
