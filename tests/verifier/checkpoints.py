"""What can be wrong with checkpoints, and with the trees that they speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from .finding import Finding
from .notes import Checkpoint, Key
from .trail import Note
from .values import Malformed


@dataclass(frozen=True)
class Seen:
    """A note, and what it turned out to be."""

    note: Note
    checkpoint: Checkpoint | None
    is_signed: bool


class Checkpoints:
    """Those of a trail, and those that come from outside."""

    def __init__(self, own: list[Note], outside: list[Note], keys: list[Key]) -> None:
        self._own = [_look(note, keys) for note in own]
        self._outside = [_look(note, keys) for note in outside]

    @property
    def _all(self) -> list[Seen]:
        return self._own + self._outside

    @cached_property
    def newest(self) -> Checkpoint | None:
        """The newest of the trail's own whose signature is good."""
        return max(self._good(self._own), key=lambda each: each.size, default=None)

    @property
    def own_sizes(self) -> list[int]:
        """Of the trail's own that are signed."""
        return [each.size for each in self._good(self._own)]

    @property
    def sizes(self) -> list[int]:
        """Of all that are signed."""
        return [each.size for each in self._good(self._all)]

    def findings(self, size: int, root_at: Callable[[int], bytes | None]) -> Iterator[Finding]:
        """Of a trail of `size` leaves; `root_at` is its root at other sizes, as far as it is known."""
        for each in self._all:
            if each.checkpoint is None:
                yield Finding("checkpoint_changed", f"{each.note.where} is no checkpoint")
            elif each.note.size not in (None, each.checkpoint.size):
                what = f"{each.note.where} is one of {each.checkpoint.size} leaves"
                yield Finding("checkpoint_changed", what)
        for each in self._all:
            if not each.is_signed:
                yield Finding("checkpoint_signature", f"{each.note.where} is not signed by the key")
        for each in self._all:
            if each.checkpoint is not None and each.checkpoint.size <= size:
                if root_at(each.checkpoint.size) not in (None, each.checkpoint.root):
                    what = f"the tree of {each.checkpoint.size} leaves is not that of {each.note.where}"
                    yield Finding("tree_changed", what)
        for each in self._outside:
            if each.checkpoint is not None and each.checkpoint.size > size:
                what = f"leaves {size} to {each.checkpoint.size - 1} of {each.note.where} are lost"
                yield Finding("leaves_lost", what)

    @staticmethod
    def _good(seen: list[Seen]) -> list[Checkpoint]:
        return [each.checkpoint for each in seen if each.checkpoint and each.is_signed]


def _look(note: Note, keys: list[Key]) -> Seen:
    try:
        checkpoint = Checkpoint.parse(note.text)
    except Malformed:
        return Seen(note, None, False)
    return Seen(note, checkpoint, checkpoint.is_signed(keys))
