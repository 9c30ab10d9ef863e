"""A double of whoever keeps checkpoints for an operator, and what stands in notes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from support.relay import Origin, Seen, answer
from verifier.notes import Checkpoint, notes_in


def sizes(notes: list[str]) -> list[int]:
    """Of how many leaves each note speaks."""
    return [Checkpoint.parse(note).size for note in notes]


def sizes_in(text: str) -> list[int]:
    """The same of a file of notes."""
    return sizes(notes_in(text))


def has_all(found: list[int], wanted: list[int]) -> bool:
    """Whether all of them are there, in their order; to be told twice is harmless."""
    return found == sorted(found) and set(found) >= set(wanted)


class Notary(Origin):
    """Keeps what it is sent by POST, and answers GET with the newest."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        # What it answers in place of everything else, by method.
        self.instead: dict[str, int] = {}
        self.is_silent = False
        super().__init__(0, self._say)

    def _say(self, seen: Seen) -> bytes | Callable[[socket.socket], None]:
        if self.is_silent:
            return self._wait
        if status := self.instead.get(seen.method):
            return answer(status)
        if seen.method == "POST":
            self.notes.append(seen.body.decode())
            return answer(204, b"")
        return answer(200, self.notes[-1].encode()) if self.notes else answer(404)

    def _wait(self, _: socket.socket) -> None:
        """Connected, and nothing comes."""
        while self.is_silent:
            time.sleep(0.05)
