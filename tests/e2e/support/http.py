"""HTTP over a socket, so that every byte of a request is the test's own."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

Fields = list[tuple[str, str]]


@dataclass
class Answer:
    """What came back."""

    status: int
    reason: str
    fields: Fields
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def errcode(self) -> str | None:
        """The `errcode` of an error answer; `None` of anything else."""
        try:
            answer = self.json()
        except ValueError:
            return None
        return answer.get("errcode") if isinstance(answer, dict) else None

    def field(self, name: str) -> str | None:
        """The first line of the field `name`."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    def __str__(self) -> str:
        return f"{self.status} {self.body[:200]!r}"


def connect(port: int, timeout: float = 20, source: str = "127.0.0.1") -> socket.socket:
    """A connection, from any address of the machine: all of 127.0.0.0/8 is its own."""
    return socket.create_connection(("127.0.0.1", port), timeout, source_address=(source, 0))


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer on `connection`. `http.client.HTTPException` if there is none."""
    answer = http.client.HTTPResponse(connection, method=method)
    try:
        answer.begin()
        return Answer(answer.status, answer.reason, answer.getheaders(), answer.read())
    finally:
        answer.close()


def exchange(port: int, request: bytes, timeout: float = 20) -> Answer:
    """Sends `request` as it is on a connection of its own, and reads one answer."""
    with connect(port, timeout) as connection:
        connection.sendall(request)
        return read_answer(connection, request.split(b" ", 1)[0].decode())


def build(
    method: str,
    target: str | bytes,
    *,
    token: str | None = None,
    body: Any = None,
    fields: Fields | None = None,
    host: str | None = "localhost",
) -> bytes:
    """The bytes of a request. A `body` that is no bytes is sent as JSON."""
    if isinstance(target, str):
        target = target.encode("latin-1")
    lines: Fields = [] if host is None else [("Host", host)]
    lines.append(("Connection", "close"))
    if token is not None:
        lines.append(("Authorization", f"Bearer {token}"))
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        lines.append(("Content-Type", "application/json"))
    given = [name.lower() for name, _ in fields or []]
    if body is not None and not {"content-length", "transfer-encoding"} & set(given):
        lines.append(("Content-Length", str(len(body))))
    lines += fields or []
    head = "".join(f"{name}: {value}\r\n" for name, value in lines).encode("latin-1")
    return method.encode() + b" " + target + b" HTTP/1.1\r\n" + head + b"\r\n" + (body or b"")


def request(port: int, method: str, target: str | bytes, timeout: float = 20, **rest: Any) -> Answer:
    """One request and its answer. `rest` as for `build`."""
    return exchange(port, build(method, target, **rest), timeout)
