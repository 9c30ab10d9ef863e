"""A client for large bodies: so many transfers on each of its connections, all checked.

A program of its own: python transfer.py up|down PORT TARGET BYTES CONNECTIONS TRANSFERS
"""

from __future__ import annotations

import socket
import sys
import threading

PIECE = 2**18


def head_of(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of the answer, and what came with it."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        more = connection.recv(PIECE)
        if not more:
            raise SystemExit(f"closed after {heard!r}")
        heard += more
    head, _, rest = heard.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"not 200: {heard[:500]!r}")
    return head, rest


def upload(connection: socket.socket, target: str, size: int, piece: memoryview) -> None:
    request = (f"POST {target} HTTP/1.1\r\nHost: compare.example.org\r\n"
               f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n")
    connection.sendall(request.encode())
    left = size
    while left > 0:
        left -= connection.send(piece[:left])
    said = head_of(connection)[1]
    while not said.endswith(b"}"):
        said += connection.recv(PIECE)
    if said != b'{"received":%d}' % size:
        raise SystemExit(f"of {size} bytes: {said!r}")


def download(connection: socket.socket, target: str, size: int, piece: memoryview) -> None:
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: compare.example.org\r\n\r\n".encode())
    head, rest = head_of(connection)
    if b"\r\ncontent-length: %d" % size not in head.lower():
        raise SystemExit(f"not {size} bytes: {head!r}")
    left = size - len(rest)
    while left > 0:
        got = connection.recv_into(piece, min(PIECE, left))
        if not got:
            raise SystemExit(f"closed with {left} of {size} bytes to come")
        left -= got


def main() -> None:
    way, port, target, size, connections, transfers = sys.argv[1:]
    move = {"up": upload, "down": download}[way]
    failures: list[str] = []

    def run() -> None:
        piece = memoryview(bytearray(PIECE))
        try:
            with socket.create_connection(("127.0.0.1", int(port)), 30) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for _ in range(int(transfers)):
                    move(connection, target, int(size), piece)
        except (OSError, SystemExit) as error:
            failures.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
