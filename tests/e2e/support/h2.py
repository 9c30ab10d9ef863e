"""HTTP/2 frames by hand: what no well-behaved client would send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 8, 11


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def opening() -> bytes:
    return PREFACE + frame(SETTINGS, 0, 0)


def literal(text: bytes) -> bytes:
    """HPACK's plain string, up to 126 bytes."""
    assert len(text) < 127
    return bytes([len(text)]) + text


def get(path: bytes) -> bytes:
    """The fields of a GET: `:method`, `:scheme`, `:path`, `:authority`."""
    # https://www.rfc-editor.org/rfc/rfc7541#appendix-A
    return b"\x82\x86" + b"\x04" + literal(path) + b"\x01" + literal(b"localhost")


def frames(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of what the server sends, until it closes."""
    with connection.makefile("rb") as stream:
        while len(head := stream.read(9)) == 9:
            length = int.from_bytes(head[:3], "big")
            kind, flags, number = struct.unpack(">BBI", head[3:])
            yield kind, flags, number, stream.read(length)


def goaway(connection: socket.socket) -> int | None:
    """The error code of the server's last GOAWAY before it closed; `None` if it sent none."""
    code = None
    try:
        for kind, _, _, payload in frames(connection):
            if kind == GOAWAY:
                code = int.from_bytes(payload[4:8], "big")
    except (ConnectionError, TimeoutError):
        pass
    return code
