"""Connections opened and closed in every ugly way that clients have."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .kinds import LARGE, SMALL, UPLOADED, USER
from .load import H2_HELLO

# How many at once, and for how long those that hold out do so.
AT_ONCE = 40
HOLD = 0.25
# The longest that a connection may take to be opened, or an answer to arrive.
PATIENCE = 20

HOST = b"Host: soak.example.org\r\nAuthorization: Bearer t1\r\n"


def get(path: str, fields: bytes = b"") -> bytes:
    return f"GET {path}?kind=rude HTTP/1.1\r\n".encode() + HOST + fields + b"\r\n"


def half(method: str, path: str, length: int) -> bytes:
    """A whole head, and half of the body that it promises."""
    head = f"{method} {path}?kind=rude HTTP/1.1\r\nContent-Length: {length}\r\n".encode()
    return head + HOST + b"\r\n" + b"{" * (length // 2)


def reset(connection: socket.socket) -> None:
    """Closing it will end it by RST, not by FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes, until the other side closes."""
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


# === the ways ===


def says_nothing(connection: socket.socket) -> None:
    time.sleep(HOLD)


def sends_half_a_head(connection: socket.socket) -> None:
    connection.sendall(get(SMALL.path)[:-9])
    time.sleep(HOLD)


def sends_half_a_body(connection: socket.socket) -> None:
    connection.sendall(half("POST", UPLOADED.path, 100_000))
    time.sleep(HOLD)


def resets_half_a_body(connection: socket.socket) -> None:
    connection.sendall(half("POST", UPLOADED.path, 100_000))
    time.sleep(HOLD)
    reset(connection)


def leaves_half_a_guarded_body(connection: socket.socket) -> None:
    connection.sendall(half("PUT", USER, 100))
    time.sleep(HOLD)


def aborts_a_download(connection: socket.socket) -> None:
    connection.sendall(get(LARGE.path))
    connection.recv(1024)
    reset(connection)


def reads_slowly(connection: socket.socket) -> None:
    """Takes a little, waits, and leaves the rest."""
    connection.sendall(get(LARGE.path) * 20)
    connection.recv(4096)
    time.sleep(HOLD)


def leaves_a_long_poll(connection: socket.socket) -> None:
    connection.sendall(get("/_matrix/client/v3/sync"))
    time.sleep(HOLD)


def resets_a_long_poll(connection: socket.socket) -> None:
    leaves_a_long_poll(connection)
    reset(connection)


def is_refused_an_upgrade(connection: socket.socket) -> None:
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    connection.sendall(get(SMALL.path, fields))
    # The origin knows no WebSockets, and answers as if nobody had asked.
    if not connection.recv(12).startswith(b"HTTP/1.1 200"):
        raise ValueError("an upgrade that the origin refuses was not relayed as its 200")


def leaves_a_tunnel(connection: socket.socket) -> None:
    connection.sendall(get("/tunnel", b"Connection: Upgrade\r\nUpgrade: soak\r\n"))
    if not connection.recv(12).startswith(b"HTTP/1.1 101"):
        raise ValueError("an upgrade that the origin takes was not relayed as its 101")
    connection.sendall(b"whatever the protocol says")
    time.sleep(HOLD)


def resets_a_tunnel(connection: socket.socket) -> None:
    leaves_a_tunnel(connection)
    reset(connection)


def speaks_no_http(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01 this is no HTTP \x00\xff\r\n\r\n")
    read_to_end(connection)


def shuts_its_side(connection: socket.socket) -> None:
    """The answer may come, or the connection end: either way it ends."""
    connection.sendall(get(SMALL.path))
    connection.shutdown(socket.SHUT_WR)
    read_to_end(connection)


def pipelines_and_leaves(connection: socket.socket) -> None:
    connection.sendall(get(SMALL.path) * 50)
    connection.recv(100)
    reset(connection)


def greets_in_http2_and_leaves(connection: socket.socket) -> None:
    connection.sendall(H2_HELLO)
    time.sleep(HOLD)


WAYS: list[Callable[[socket.socket], None]] = [
    says_nothing,
    sends_half_a_head,
    sends_half_a_body,
    resets_half_a_body,
    leaves_half_a_guarded_body,
    aborts_a_download,
    reads_slowly,
    leaves_a_long_poll,
    resets_a_long_poll,
    is_refused_an_upgrade,
    leaves_a_tunnel,
    resets_a_tunnel,
    speaks_no_http,
    shuts_its_side,
    pipelines_and_leaves,
    greets_in_http2_and_leaves,
]


class Rude:
    """`count` connections, each in the next of the ways. They begin with the `with` block."""

    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.count = count
        # What went wrong that should not have, by way and cause.
        self.failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def __enter__(self) -> Rude:
        for number in range(self.count):
            self._pool.submit(self._one, WAYS[number % len(WAYS)])
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Waits for them all; when something else failed, only for those that are under way."""
        self._pool.shutdown(cancel_futures=kind is not None)

    def _one(self, way: Callable[[socket.socket], None]) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
                way(connection)
        except (ConnectionResetError, BrokenPipeError):
            # Whoever is rude may be hung up on.
            pass
        except (OSError, ValueError) as error:
            with self._lock:
                self.failures[f"{way.__name__}: {error}"] += 1
