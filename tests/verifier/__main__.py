"""`python -m verifier`: the same verdict as `audit verify --format json`, by other code."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import export, postgres, sqlite
from .counts import counts
from .finding import Finding
from .judge import of_database, of_export
from .notes import Checkpoint, Key, notes_in
from .trail import CouldNotTell, Export, Note, Trail
from .values import Malformed

SOUND, NOT_SOUND, COULD_NOT_TELL = 0, 1, 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="verifier", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--database", metavar="URL")
    source.add_argument("--export", type=Path, metavar="FILE")
    source.add_argument("--proof", type=Path, metavar="FILE")
    parser.add_argument("--public-key", metavar="KEY-OR-FILE")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], metavar="FILE")
    return parser.parse_args()


def load(asked: argparse.Namespace) -> Trail | Export:
    if asked.export:
        return export.load_export(asked.export)
    if asked.proof:
        return export.load_proof(asked.proof)
    if asked.database.startswith("sqlite:"):
        return sqlite.load(asked.database)
    return postgres.load(asked.database)


def keys(asked: argparse.Namespace) -> list[Key]:
    """Those of the argument, or of the file that it names; SQLite's own are beside it."""
    given = asked.public_key
    if given is None:
        if not (asked.database or "").startswith("sqlite:"):
            raise CouldNotTell("--public-key is missing")
        given = f"{sqlite.file_of(asked.database)}.pub"
    text = Path(given).read_text() if Path(given).is_file() else given
    return [Key.parse(line) for line in text.splitlines() if line.strip()]


def outside(asked: argparse.Namespace) -> list[Note]:
    """What was kept elsewhere. If it is none, nobody has tampered with the trail."""
    found = []
    for file in asked.checkpoint:
        notes = notes_in(file.read_text())
        if not notes:
            raise CouldNotTell(f"{file.name} has no checkpoint")
        for note in notes:
            Checkpoint.parse(note)
            found.append(Note(note, file.name))
    return found


def main() -> int:
    asked = arguments()
    try:
        known, others, trail = keys(asked), outside(asked), load(asked)
        of = of_database(trail, known, others) if isinstance(trail, Trail) else of_export(trail, known, others)
        finding = next(of, None)
        if finding is None and not trail.notes and not others:
            raise CouldNotTell("nothing is sealed yet")
    except (CouldNotTell, Malformed, OSError, UnicodeError) as error:
        print(f"verifier: {error}", file=sys.stderr)
        return COULD_NOT_TELL
    print(json.dumps(report(trail, others, finding)))
    return SOUND if finding is None else NOT_SOUND


def report(trail: Trail | Export, others: list[Note], finding: Finding | None) -> dict[str, object]:
    return {
        "sound": finding is None,
        **counts(trail),
        "checkpoints": len(trail.notes) + len(others),
        "finding": finding.as_json() if finding else None,
    }


if __name__ == "__main__":
    sys.exit(main())
