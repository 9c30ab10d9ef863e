"""A trail as its source has it, before anybody has judged it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from .leaf import Record, leaf_hash


class CouldNotTell(Exception):
    """There is no verdict: the source cannot be read, or is none."""


@dataclass
class Leaf:
    """A row of `audit_leaf`, or what an export's line says of its leaf."""

    record_id: bytes
    hash: bytes
    # `None` if it is not there any more.
    record: Record | None
    # A filtered export's audit path.
    path: list[bytes] | None = None

    @cached_property
    def of_record(self) -> bytes | None:
        """The hash that the record itself gives."""
        return None if self.record is None else leaf_hash(self.record)


@dataclass
class Note:
    """A checkpoint's text, and how many leaves whoever keeps it says that it has."""

    text: str
    where: str
    size: int | None = None


@dataclass
class Head:
    size: int
    root: bytes
    note: Note | None


@dataclass
class Trail:
    """A database."""

    leaves: dict[int, Leaf]
    unsealed: list[Record]
    tiles: dict[tuple[int, int], bytes]
    head: Head
    checkpoints: list[Note]

    @property
    def notes(self) -> list[Note]:
        head = [self.head.note] if self.head.note else []
        return head + self.checkpoints

    @property
    def records(self) -> list[Record]:
        sealed = [leaf.record for _, leaf in sorted(self.leaves.items())]
        return [record for record in sealed if record is not None] + self.unsealed


@dataclass
class Line:
    """A line of an export: a record, or what is left of one."""

    id: bytes
    index: int | None
    # There is one if it has an index.
    leaf: Leaf | None
    record: Record | None
    # Why it is no line of an export at all.
    flaw: str | None = None


@dataclass
class Export:
    """An export or a proof."""

    lines: list[Line]
    # Whether it says that nothing was left out, as only a whole export can.
    whole: bool
    # What the manifest says; nothing if there is none.
    checkpoint: Note | None = None
    older: list[Note] = field(default_factory=list)
    complete_up_to: int = 0
    counts: tuple[int, int] | None = None
    # A proof has no manifest, and counts nothing.
    cut: bool = False

    @property
    def notes(self) -> list[Note]:
        first = [self.checkpoint] if self.checkpoint else []
        return first + self.older

    @property
    def records(self) -> list[Record]:
        return [line.record for line in self.lines if line.record is not None]

    @property
    def unsealed(self) -> list[Record]:
        return [line.record for line in self.lines if line.index is None and line.record is not None]

    @property
    def sealed(self) -> list[tuple[int, Leaf]]:
        """Leaves with their index, in the order of the lines."""
        return [(line.index, line.leaf) for line in self.lines if line.index is not None and line.leaf]

    @property
    def leaves(self) -> dict[int, Leaf]:
        """By their index; of several that claim the same one, the first."""
        return dict(reversed(self.sealed))
