"""What stands between the gateway and Synapse or Postgres, and can be made to misbehave."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from .http import Fields, exchange
from .process import free_port


def reset(connection: socket.socket) -> None:
    """Closes with a RST, as a process does that dies with data unread."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


class Listener:
    """A thread that accepts, and one for each connection. It can be closed and opened again."""

    def __init__(self, opened: bool = True) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._socket: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        if opened:
            self.mend()

    def mend(self) -> None:
        """Listens, if it does not."""
        if self._socket is not None:
            return
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=(self._socket,), daemon=True).start()

    def cut(self) -> None:
        """Refuses new connections, and resets those that are open."""
        listening, self._socket = self._socket, None
        if listening is not None:
            # Wakes the thread in `accept`, which a mere `close` does not.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            reset(connection)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, http.client.HTTPException):
            self.serve(connection)
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError


class Relay(Listener):
    """Passes bytes on, unless it is cut or stalled."""

    def __init__(self, to_port: int, opened: bool = True) -> None:
        self._to_port = to_port
        self._flowing = threading.Event()
        self._flowing.set()
        super().__init__(opened)

    def stall(self) -> None:
        """Connections stay open, and nothing moves: a black hole."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def serve(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._to_port)) as other:
            with self._lock:
                self._open.add(other)
            back = threading.Thread(target=self._pump, args=(other, connection), daemon=True)
            back.start()
            self._pump(connection, other)
            back.join()
            with self._lock:
                self._open.discard(other)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@dataclass
class Seen:
    """A request that arrived."""

    method: str
    target: str
    fields: Fields
    body: bytes = b""
    raw: bytes = field(default=b"", repr=False)

    @property
    def is_whoami(self) -> bool:
        return self.target.split("?", 1)[0].endswith("/account/whoami")

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]


# What to do with a request: `None` lets Synapse answer, bytes are the answer themselves, and a
# function gets the connection.
Script = Callable[[Seen], "bytes | None | Callable[[socket.socket], None]"]


def answer(status: int, body: bytes = b"{}", fields: str = "") -> bytes:
    """The bytes of an answer."""
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n{fields}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def slow_writes(seconds: float) -> Callable[[Seen], None]:
    """For `Origin`: holds every PUT back for so long, and then passes it on."""

    def hold(seen: Seen) -> None:
        if seen.method == "PUT":
            time.sleep(seconds)

    return hold


class Origin(Listener):
    """Stands before Synapse, keeps what it sees, and answers in its place when the script says."""

    def __init__(self, to_port: int, script: Script | None = None) -> None:
        self.to_port = to_port
        self.script: Script = script or (lambda _: None)
        self.seen: list[Seen] = []
        super().__init__()

    def writes(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method in ("PUT", "DELETE")]

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while seen := self._read(stream):
                self.seen.append(seen)
                chosen = self.script(seen)
                if callable(chosen):
                    chosen(connection)
                    return
                connection.sendall(self._ask(seen) if chosen is None else chosen)

    def _read(self, stream: BinaryIO) -> Seen | None:
        read = stream.readline
        first = read(65537)
        if not first:
            return None
        method, target, _ = first.decode("latin-1").split(" ", 2)
        raw, fields = first, []
        while (line := read(65537)) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip()))
            raw += line
        seen = Seen(method, target, fields, raw=raw + b"\r\n")
        if seen.values("transfer-encoding"):
            while size := int(read() or b"0", 16):
                seen.body += stream.read(size)
                read()
            read()
        elif lengths := seen.values("content-length"):
            seen.body = stream.read(int(lengths[0]))
        return seen

    def _ask(self, seen: Seen) -> bytes:
        """Synapse's own answer, framed anew."""
        lines = [
            f"{name}: {value}"
            for name, value in seen.fields
            if name.lower() not in ("connection", "transfer-encoding", "content-length")
        ]
        lines.append("Connection: close")
        if seen.body or seen.method in ("PUT", "POST"):
            lines.append(f"Content-Length: {len(seen.body)}")
        head = f"{seen.method} {seen.target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
        # Longer than any long poll of the tests.
        said = exchange(self.to_port, head.encode("latin-1") + seen.body, timeout=90)
        kept = "".join(
            f"{name}: {value}\r\n"
            for name, value in said.fields
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "content-type")
        )
        return answer(said.status, said.body, kept)
