"""One tampering's world: a sealed trail, chance, and a copy to be tampered with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verifier import merkle
from verifier.leaf import ANY, COLUMNS, TEXTS, TIME, UUID, Record
from verifier.trail import Leaf, Trail

from .forge import Signer
from .stores import Id, Moment, Store


@dataclass(frozen=True)
class Sealed:
    """A trail that a gateway has written and sealed, and that nobody has touched."""

    store: Store
    url: str
    public_key: str
    signer: Signer
    # As the tables have it.
    trail: Trail
    # What the gateway made of it, by name: `whole`, `filtered` and `proof`.
    files: dict[str, Path]

    @property
    def size(self) -> int:
        return len(self.trail.leaves)


@dataclass(frozen=True)
class Expected:
    """What must be found, and where. Without a code, the trail is sound."""

    code: str | None
    leaf: int | None = None
    # Of `None` it does not matter whose id is named.
    record: bytes | None = None
    # With the newest checkpoint from outside.
    outside: Expected | None = None
    unsealed: int = 0


@dataclass
class World:
    """What a tampering knows, and what it does."""

    sealed: Sealed
    chance: random.Random
    statements: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.sealed.size

    def pick(self, fits: Callable[[Record], Any] = lambda _: True, within: range | None = None) -> int:
        """The index of a random leaf whose record fits."""
        chosen = within or range(self.size)
        for _ in range(100_000):
            index = self.chance.choice(chosen)
            if fits(self.record(index)):
                return index
        raise AssertionError("no record of the trail fits")

    def pair(self) -> tuple[int, int]:
        """Two random leaves, in their order."""
        first, second = sorted(self.chance.sample(range(self.size), 2))
        return first, second

    def leaf(self, index: int) -> Leaf:
        return self.sealed.trail.leaves[index]

    def record(self, index: int) -> Record:
        found = self.leaf(index).record
        assert found is not None
        return found

    def id(self, index: int) -> Id:
        return Id(self.leaf(index).record_id)

    def hashes(self) -> list[bytes]:
        """Of all leaves."""
        return [self.leaf(index).hash for index in range(self.size)]

    def do(self, sql: str, *values: Any) -> None:
        """One statement; each `?` becomes a value."""
        parts = sql.split("?")
        assert len(parts) == len(values) + 1, sql
        written = [self.sealed.store.literal(value) for value in values]
        self.statements.append("".join(part + value for part, value in zip(parts, [*written, ""])))

    def set(self, index: int, **fields: Any) -> None:
        """Changes columns of a leaf's record."""
        names = ", ".join(f"{name} = ?" for name in fields)
        values = [typed(name, value) for name, value in fields.items()]
        self.do(f"UPDATE audit_record SET {names} WHERE id = ?", *values, self.id(index))

    def insert_like(self, index: int, **fields: Any) -> None:
        """One more record: as that of a leaf, but for `fields`."""
        chosen = [f"{name}" if name not in fields else "?" for name in COLUMNS]
        values = [typed(name, fields[name]) for name in COLUMNS if name in fields]
        columns = ", ".join(COLUMNS)
        sql = f"INSERT INTO audit_record ({columns}) SELECT {', '.join(chosen)} FROM audit_record WHERE id = ?"
        self.do(sql, *values, self.id(index))

    def shift(self, start: int, by: int) -> None:
        """Renumbers the leaves from `start` on."""
        # Through negative numbers, as no two may have the same one meanwhile.
        self.do("UPDATE audit_leaf SET leaf_index = -1 - leaf_index WHERE leaf_index >= ?", start)
        self.do("UPDATE audit_leaf SET leaf_index = -1 - leaf_index + ? WHERE leaf_index < 0", by)

    def insert_leaf(self, index: int, record_id: Id, hash_: bytes) -> None:
        sql = "INSERT INTO audit_leaf (leaf_index, record_id, leaf_hash) VALUES (?, ?, ?)"
        self.do(sql, index, record_id, hash_)

    def set_leaf(self, index: int, hash_: bytes) -> None:
        self.do("UPDATE audit_leaf SET leaf_hash = ? WHERE leaf_index = ?", hash_, index)

    def set_tile(self, level: int, index: int, hashes: bytes) -> None:
        sql = "UPDATE audit_tile SET hashes = ? WHERE level = ? AND tile_index = ?"
        self.do(sql, hashes, level, index)

    def set_tile_hash(self, level: int, number: int, hash_: bytes) -> None:
        """Changes the hash with this number in its level."""
        index, at = number // merkle.WIDTH, number % merkle.WIDTH * merkle.HASH
        hashes = self.sealed.trail.tiles[level, index]
        self.set_tile(level, index, hashes[:at] + hash_ + hashes[at + merkle.HASH :])

    def set_all_tiles(self, hashes: list[bytes]) -> None:
        """Makes every tile anew."""
        self.do("DELETE FROM audit_tile")
        for (level, index), tile in merkle.tiles(hashes).items():
            self.do("INSERT INTO audit_tile (level, tile_index, hashes) VALUES (?, ?, ?)", level, index, tile)

    def set_head(self, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self.do(f"UPDATE audit_tree_head SET {names}", *columns.values())

    def set_checkpoint(self, of: int, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self.do(f"UPDATE audit_checkpoint SET {names} WHERE size = ?", *columns.values(), of)


def typed(name: str, value: Any) -> Any:
    """A column's value, so that Postgres knows what it is."""
    if value is None:
        return None
    if COLUMNS[name] == UUID:
        return Id(value)
    if COLUMNS[name] in (ANY, TEXTS):
        return json.dumps(value)
    return Moment(value) if COLUMNS[name] == TIME else value


@dataclass(frozen=True)
class Tampering:
    """What is done, in a few words, and who does it."""

    name: str
    do: Callable[[World], Expected]
