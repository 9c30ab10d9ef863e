"""The way to Postgres: it can be slow, and can break while a commit runs."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

from support.relay import Relay, reset

# https://www.postgresql.org/docs/current/protocol-message-formats.html
PROTOCOL_3 = 3 << 16


class Delaying(Relay):
    """Passes everything on after `delay` seconds, in both directions."""

    def __init__(self, to_port: int) -> None:
        self.delay = 0.0
        super().__init__(to_port)

    def _pass(self, data: bytes, sink: socket.socket) -> None:
        self._flowing.wait()
        if self.delay:
            time.sleep(self.delay)
        sink.sendall(data)


class Committing(Delaying):
    """Reads what the client says, and resets some of the connections on which it says COMMIT."""

    def __init__(self, to_port: int, chance: random.Random) -> None:
        # Of how many commits.
        self.resets = 0.0
        self.reset_commits = 0
        self._chance = chance
        super().__init__(to_port)

    def serve(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._to_port)) as server:
            with self._lock:
                self._open.add(server)
            doomed = threading.Event()
            back = threading.Thread(target=self._back, args=(server, connection, doomed), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                self._forth(connection, server, doomed)
            for each in (server, connection):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            back.join()
            with self._lock:
                self._open.discard(server)

    def _back(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not doomed.is_set():
                    self._pass(data, client)
        if not doomed.is_set():
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)

    def _forth(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with client.makefile("rb") as stream:
            for message in messages(stream):
                if message[:1] in b"QP" and b"COMMIT" in message and self._chance.random() < self.resets:
                    self.reset_commits += 1
                    doomed.set()
                    if self._chance.random() < 0.5:
                        # The server hears of it, and nobody hears the server.
                        server.sendall(message)
                        time.sleep(self._chance.uniform(0, 0.01))
                    reset(client)
                    return
                self._pass(message, server)


def messages(stream: socket.SocketIO) -> Iterator[bytes]:
    """What a client of Postgres says, message by message."""
    is_started = False
    while True:
        head = stream.read(5 if is_started else 8)
        if len(head) < (5 if is_started else 8):
            return
        length = struct.unpack("!i", head[-4:] if is_started else head[:4])[0]
        rest = stream.read(length - (4 if is_started else 8))
        if not is_started:
            # Before that, it may ask for encryption.
            is_started = struct.unpack("!i", head[4:])[0] == PROTOCOL_3
        yield head + rest
