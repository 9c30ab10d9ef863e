"""An origin for uploads: reads each to its end, and then says how many bytes it had.

A program of its own: python sink.py PORT
"""

from __future__ import annotations

import socket
import sys
import threading

PIECE = 2**18


def answer(connection: socket.socket, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def serve(connection: socket.socket) -> None:
    """Request after request."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    piece = bytearray(PIECE)
    heard = b""
    while True:
        while b"\r\n\r\n" not in heard:
            more = connection.recv(PIECE)
            if not more:
                return
            heard += more
        head, _, body = heard.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
        left = length - len(body)
        while left > 0:
            got = connection.recv_into(piece, min(PIECE, left))
            if not got:
                return
            left -= got
        # Nobody sends a request before the last one was answered.
        heard = b""
        answer(connection, b'{"received":%d}' % length)


def main() -> None:
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=[connection], daemon=True).start()


if __name__ == "__main__":
    main()
