"""What a database in SQLite and one in Postgres have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .leaf import Record
from .trail import Head, Leaf, Note, Trail


def assemble(
    records: Iterable[Record],
    leaves: Iterable[tuple[int, bytes, bytes]],
    tiles: Iterable[tuple[int, int, bytes]],
    head: Iterable[tuple[int, bytes, str | None]],
    checkpoints: Iterable[tuple[int, str]],
) -> Trail:
    """The rows of the tables, in the order of their columns."""
    by_id: dict[Any, Record] = {record.id: record for record in records}
    sealed = {
        index: Leaf(record_id, hash_, by_id.get(record_id)) for index, record_id, hash_ in leaves
    }
    for leaf in sealed.values():
        by_id.pop(leaf.record_id, None)
    # Without its row it says that nothing was sealed.
    size, root, note = next(iter(head), (0, b"", None))
    return Trail(
        sealed,
        list(by_id.values()),
        {(level, index): hashes for level, index, hashes in tiles},
        Head(size, root, None if note is None else Note(note, "the tree head")),
        [Note(text, f"the checkpoint of {of} leaves", of) for of, text in checkpoints],
    )
