"""The tree of RFC 6962, its tiles, and audit paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

HASH = 32
WIDTH = 256
EMPTY = hashlib.sha256(b"").digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Peaks:
    """A tree that grows at its right: the roots of its complete subtrees, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        # Each bit that is carried closes a subtree.
        carried = self.size
        while carried & 1:
            leaf = node(self._peaks.pop(), leaf)
            carried >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node(peak, root)
        return root


def roots(leaves: list[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The root at each of the sizes that the tree has reached."""
    wanted, found, peaks = set(sizes), {}, Peaks()
    if 0 in wanted:
        found[0] = EMPTY
    for leaf in leaves:
        peaks.add(leaf)
        if peaks.size in wanted:
            found[peaks.size] = peaks.root()
    return found


def complete(hashes: list[bytes]) -> list[bytes]:
    """The next level of tiles: the roots of all subtrees that are complete."""
    above = []
    for at in range(0, len(hashes) - WIDTH + 1, WIDTH):
        row = hashes[at : at + WIDTH]
        while len(row) > 1:
            row = [node(row[each], row[each + 1]) for each in range(0, len(row), 2)]
        above += row
    return above


def tiles(leaves: list[bytes]) -> dict[tuple[int, int], bytes]:
    """Every tile of a tree, by level and index."""
    made, level, hashes = {}, 0, leaves
    while hashes:
        for at in range(0, len(hashes), WIDTH):
            made[level, at // WIDTH] = b"".join(hashes[at : at + WIDTH])
        level, hashes = level + 1, complete(hashes)
    return made


def leads_to(root: bytes, leaf: bytes, index: int, size: int, path: list[bytes]) -> bool:
    """Whether an audit path leads from a leaf to the root of a tree of `size` leaves.

    > 2.1.3.2.  Verifying an Inclusion Proof
    https://www.rfc-editor.org/rfc/rfc9162#section-2.1.3.2
    """
    if not 0 <= index < size:
        return False
    number, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if number & 1 or number == last:
            found = node(sibling, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node(found, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and found == root
