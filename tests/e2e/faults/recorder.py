"""Stands before Synapse, and remembers each guarded request and what was said to it."""

from __future__ import annotations

import socket
import threading
import time

from support.process import eventually
from support.relay import Origin, Script, Seen

from .ledger import Asked


class Recorder(Origin):
    """As `Origin`. What the script answers in Synapse's place is remembered as well, if it is bytes."""

    def __init__(self, to_port: int, script: Script | None = None) -> None:
        self.asked: list[Asked] = []
        # Whether a connection ends with its first answer.
        self.closes = False
        self._busy = 0
        self._count = threading.Lock()
        super().__init__(to_port, script)

    def serve(self, connection: socket.socket) -> None:
        if self.before_reading(connection):
            return
        with connection.makefile("rb") as stream:
            while seen := self._read(stream):
                if not self._answer(connection, seen) or self.closes:
                    return

    def before_reading(self, connection: socket.socket) -> bool:
        """Whether the connection is over before anything was read."""
        return False

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        asked = self._remember(seen)
        self._add(1)
        try:
            chosen = self.script(seen)
            if callable(chosen):
                # It may have said as much as a status before it broke off.
                asked.status = getattr(chosen, "status", None)
                chosen(connection)
                return False
            said = self._ask(seen) if chosen is None else chosen
            asked.status, asked.ended = int(said[9:12]), time.monotonic()
            connection.sendall(said)
            return True
        finally:
            self._add(-1)

    def _remember(self, seen: Seen) -> Asked:
        request_id = "".join(seen.values("x-request-id"))
        action = "read" if seen.method in ("GET", "HEAD") else "write"
        asked = Asked(request_id, action, seen.body, time.monotonic())
        if "/account_data/" in seen.target:
            self.asked.append(asked)
        return asked

    def _add(self, one: int) -> None:
        with self._count:
            self._busy += one

    def wait_until_idle(self) -> None:
        """Until everything that arrived was answered."""
        eventually(lambda: self._busy == 0, "the homeserver idle", 60)
