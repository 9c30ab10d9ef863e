"""What can be wrong with one leaf: the tile, the leaf's row and the record each have a hash for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from . import merkle
from .finding import Finding
from .leaf import erased, unfit
from .notes import Checkpoint
from .trail import Leaf


class Leaves:
    """The leaves of a trail, of which `signed` is the newest tree that somebody has signed.

    Without tiles, as an export is, the leaf's own hash stands for the tile's. With a `checkpoint`, whoever has
    signed it, audit paths lead to its root.
    """

    def __init__(
        self,
        leaves: dict[int, Leaf],
        signed: Checkpoint | None,
        tiles: dict[tuple[int, int], bytes] | None = None,
        in_tiles: int = 0,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._leaves = leaves
        self._signed = signed
        self._tiles = tiles
        # Only of so many leaves must there be tiles.
        self._in_tiles = in_tiles
        self._checkpoint = checkpoint

    def judge(self, index: int, leaf: Leaf) -> Finding | None:
        """The first that is wrong with a leaf that is there."""

        def found(code: str, message: str) -> Finding:
            return Finding(code, message, index, leaf.record_id)

        if leaf.record is None:
            return found("record_missing", f"the record of leaf {index} is not there")
        if wrong := self._differs(index, leaf):
            return found(*wrong)
        if leaf.record.flaws:
            return found("record_changed", leaf.record.flaws[0])
        if subject := unfit(leaf.record):
            return found("record_changed", f"the fields of `{subject}` do not fit their commitment")
        if self._tiles is not None and self._of_tile(index) != leaf.hash:
            if self._signs_tiles:
                return found("record_replaced", "another record stands where this leaf was sealed")
            return found("tile_changed", "the tile has another hash than the leaf and its record")
        if subject := erased(leaf.record):
            return found("erased", f"`{subject}` has no salt")
        if leaf.path is not None and self._checkpoint and not self._is_included(index, leaf, leaf.hash):
            return found("inclusion_wrong", "the audit path does not lead to the checkpoint's root")
        return None

    def _differs(self, index: int, leaf: Leaf) -> tuple[str, str] | None:
        """What follows if the record gives another hash than its leaf has."""
        of_record = leaf.of_record
        if of_record == leaf.hash:
            return None
        changed = ("record_changed", "the record is not the one that was sealed")
        hash_changed = ("leaf_hash_changed", "the leaf's hash is not the one that was sealed")
        if of_record is None:
            return changed
        if self._tiles is None:
            # A path proves a leaf alone, where there is no tree to be made of all of them.
            proved = self._is_included(index, leaf, of_record) if self._checkpoint else self._signs_records
            return hash_changed if proved else changed
        if of_record != self._of_tile(index):
            return changed
        # The tile may have been changed along with the record.
        return changed if self._signs_leaves and not self._signs_records else hash_changed

    def _of_tile(self, index: int) -> bytes | None:
        assert self._tiles is not None
        at = index % merkle.WIDTH * merkle.HASH
        found = self._tiles.get((0, index // merkle.WIDTH), b"")[at : at + merkle.HASH]
        if len(found) == merkle.HASH:
            return found
        if index < self._in_tiles:
            return None
        return leaf.hash if (leaf := self._leaves.get(index)) else None

    def _is_included(self, index: int, leaf: Leaf, hash_: bytes) -> bool:
        return (
            self._checkpoint is not None
            and leaf.path is not None
            and merkle.leads_to(self._checkpoint.root, hash_, index, self._checkpoint.size, leaf.path)
        )

    @cached_property
    def _signs_leaves(self) -> bool:
        return self._signs(lambda index: leaf.hash if (leaf := self._leaves.get(index)) else None)

    @cached_property
    def _signs_records(self) -> bool:
        return self._signs(lambda index: leaf.of_record if (leaf := self._leaves.get(index)) else None)

    @cached_property
    def _signs_tiles(self) -> bool:
        return self._signs(self._of_tile)

    def _signs(self, of: Callable[[int], bytes | None]) -> bool:
        """Whether the tree of these hashes is the signed one."""
        if self._signed is None:
            return False
        peaks = merkle.Peaks()
        for index in range(self._signed.size):
            hash_ = of(index)
            if hash_ is None:
                return False
            peaks.add(hash_)
        return peaks.root() == self._signed.root

