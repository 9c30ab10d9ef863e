"""Whether a trail is sound: the first finding, in the order of `deploy/proof.md`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from . import merkle
from .checkpoints import Checkpoints
from .finding import Finding
from .leaf import Record
from .leaves import Leaves
from .notes import Checkpoint, Key
from .trail import Export, Leaf, Note, Trail
from .values import Malformed

MINUTE = 60_000_000


def of_database(trail: Trail, keys: list[Key], outside: list[Note]) -> Iterator[Finding]:
    """What is wrong with a database, the first first."""
    seen = Checkpoints(trail.notes, outside, keys)
    must_be = max(
        trail.head.size,
        *seen.own_sizes,
        *(_leaves_in(*key, hashes) for key, hashes in trail.tiles.items()),
        *(index + 1 for index in trail.leaves),
        0,
    )
    leaves = Leaves(trail.leaves, seen.newest, trail.tiles, trail.head.size)
    for index in range(must_be):
        if index not in trail.leaves:
            yield Finding("leaf_missing", f"leaf {index} is not there", index)
            # Of what comes after it, no tree can be made.
            return
        if found := leaves.judge(index, trail.leaves[index]):
            yield found
    hashes = [trail.leaves[index].hash for index in range(must_be)]
    yield from _upper_tiles(trail, hashes)
    yield from _head(trail)
    roots = merkle.roots(hashes, [*seen.sizes, trail.head.size])
    yield from seen.findings(len(hashes), roots.get)
    yield from _left_out(trail.leaves, trail.unsealed)


def of_export(export: Export, keys: list[Key], outside: list[Note]) -> Iterator[Finding]:
    """What is wrong with an export or a proof, the first first."""
    seen = Checkpoints(export.notes, outside, keys)
    leaves, signed = export.leaves, seen.newest
    root = _root_of(export.checkpoint)
    root_at: Callable[[int], bytes | None]
    judged = Leaves(leaves, signed, checkpoint=None if export.whole else root)
    if export.whole:
        yield from _whole(export, judged)
        hashes = [leaf.hash for _, leaf in sorted(leaves.items())]
        root_at = merkle.roots(hashes, seen.sizes).get
        size = len(hashes)
    else:
        for index, leaf in sorted(export.sealed, key=lambda each: each[0]):
            if found := judged.judge(index, leaf):
                yield found
            elif leaf.path is None and not export.cut:
                yield Finding("inclusion_wrong", "there is no audit path", index, leaf.record_id)
        if export.counts is not None:
            yield from _newest_first(export)
        root_at = lambda of: root.root if root and root.size == of else None
        size = root.size if root else 0
    for line in export.lines:
        if line.flaw:
            yield Finding("record_changed", line.flaw)
    yield from _counts(export)
    yield from _manifest(export)
    yield from seen.findings(size, root_at)
    yield from _left_out(leaves, export.unsealed)


def _newest_first(export: Export) -> Iterator[Finding]:
    for above, line in itertools.pairwise(export.lines):
        if line.id >= above.id:
            what = "it is not older than the record in the line before"
            yield Finding("export_order", what, line.index, line.id)


def _whole(export: Export, judged: Leaves) -> Iterator[Finding]:
    """Along the leaves of a whole export, and the places where they should stand."""
    there = export.leaves
    for index in range(max(export.complete_up_to, *(each + 1 for each in there), 0)):
        if index < len(export.lines) and export.lines[index].flaw:
            yield Finding("record_changed", f"in the place of leaf {index}: {export.lines[index].flaw}", index)
        if index not in there:
            yield Finding("leaf_missing", f"there is no line of leaf {index}", index)
            return
        line = export.lines[index]
        if line.index != index or index >= export.complete_up_to:
            what = f"the line in the place of leaf {index} is of another one"
            yield Finding("export_order", what, index, line.id)
        elif found := judged.judge(index, there[index]):
            yield found
    for place, line in enumerate(export.lines[len(there) :], len(there)):
        if line.index is not None:
            what = f"a line of leaf {line.index} where none should be"
            yield Finding("export_order", what, place, line.id)


def _counts(export: Export) -> Iterator[Finding]:
    if export.cut:
        yield Finding("export_cut", "the manifest is missing")
    if export.counts is not None:
        counted = (len(export.lines), sum(line.index is not None for line in export.lines))
        if export.counts != counted:
            what = f"the manifest counts {export.counts} lines and leaves, and there are {counted}"
            yield Finding("export_cut", what)


def _manifest(export: Export) -> Iterator[Finding]:
    if export.checkpoint is None and (export.complete_up_to or export.leaves) and not export.cut:
        yield Finding("checkpoint_changed", "there is no checkpoint")


def _root_of(note: Note | None) -> Checkpoint | None:
    try:
        return None if note is None else Checkpoint.parse(note.text)
    except Malformed:
        return None


def _leaves_in(level: int, index: int, hashes: bytes) -> int:
    """How many leaves there must be for a tile to be. Those of higher levels are named themselves."""
    return index * merkle.WIDTH + len(hashes) // merkle.HASH if level == 0 else 0


def _upper_tiles(trail: Trail, hashes: list[bytes]) -> Iterator[Finding]:
    """Tiles that are not what the leaves make them. Those of more leaves than the tree head says are its
    finding, not theirs."""
    made, counted = merkle.tiles(hashes), merkle.tiles(hashes[: trail.head.size])
    for level, index in sorted(made.keys() | trail.tiles.keys()):
        there = trail.tiles.get((level, index))
        if there not in (made.get((level, index)), counted.get((level, index))):
            yield Finding("tile_changed", f"tile {index} of level {level} is not what the leaves make it")


def _head(trail: Trail) -> Iterator[Finding]:
    head = trail.head
    if head.note is None:
        if (head.size, head.root) != (0, merkle.EMPTY):
            yield Finding("head_changed", "the tree head is not signed")
    elif not (said := _root_of(head.note)) or (said.size, said.root) != (head.size, head.root):
        yield Finding("head_changed", "size and root of the tree head are not those of its note")
    if any(index < 0 or index >= head.size for index in trail.leaves):
        yield Finding("head_changed", f"there are {len(trail.leaves)} leaves, and it says {head.size}")


def _left_out(leaves: dict[int, Leaf], unsealed: list[Record]) -> Iterator[Finding]:
    newest = max(
        (leaf.record.fields["stored_at"] or 0 for leaf in leaves.values() if leaf.record), default=None
    )
    for record in unsealed:
        stored_at = record.fields["stored_at"]
        if newest is not None and stored_at is not None and stored_at < newest - MINUTE:
            yield Finding("left_out", "it was never sealed, and others after it were", None, record.id)
