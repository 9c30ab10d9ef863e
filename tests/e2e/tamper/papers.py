"""Exports and proofs on their way to an auditor, and how a line of them is changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from verifier.leaf import Record, leaf_hash
from verifier.notes import Checkpoint

from .forge import Signer
from .world import Expected, Sealed


@dataclass
class Paper:
    """A file as its lines."""

    sealed: Sealed
    chance: random.Random
    lines: list[str]

    @classmethod
    def read(cls, sealed: Sealed, file: str, chance: random.Random) -> Paper:
        """One of `sealed.files`, not yet changed."""
        text = sealed.files[file].read_text()
        # A proof is one object, over as many lines as it likes.
        return cls(sealed, chance, [text] if file == "proof" else text.splitlines())

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def size(self) -> int:
        """How many leaves a whole export has."""
        return self.sealed.size

    def place(self) -> int:
        """Some leaf's, which is its line's in a whole export."""
        return self.chance.randrange(self.size)

    def of(self, place: int) -> dict[str, Any]:
        return dict(json.loads(self.lines[place]))

    def change(self, place: int, **members: Any) -> None:
        self.put(place, self.of(place) | members)

    def put(self, place: int, line: Any) -> None:
        self.lines[place] = json.dumps(line, ensure_ascii=False, separators=(",", ":"))

    def id(self, place: int) -> bytes:
        """Of the record in a line."""
        return bytes.fromhex(self.of(place)["id"].replace("-", ""))

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(self.of(-1)["manifest"])

    def say(self, **members: Any) -> None:
        """Changes the manifest."""
        self.put(-1, {"manifest": self.manifest | members})

    def sign_with_another_key(self, note: str) -> str:
        """The same checkpoint, by a key of the same name."""
        said = Checkpoint.parse(note)
        return Signer.other(self.sealed.signer.name).sign(said.size, said.root)

    def record_hash(self, index: int, **fields: Any) -> str:
        """What the leaf of a record would be with other fields."""
        record = self.sealed.trail.leaves[index].record
        assert record is not None
        hash_ = leaf_hash(Record(record.fields | fields))
        assert hash_ is not None
        return hash_.hex()


@dataclass(frozen=True)
class Forgery:
    """What is done to which of the files of a sealed trail."""

    name: str
    file: str
    do: Callable[[Paper], Expected]
