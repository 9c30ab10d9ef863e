"""An auditor: in a browser, with a session, and with a program, by the token."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from soak_lib.machine import Trouble

# A question that takes longer was not answered.
PATIENCE = 60.0
SHOWN = 500
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PIECE = 2**20


@dataclass(frozen=True)
class Answer:
    """What came, and how long it took."""

    seconds: float
    status: int
    body: bytes


@dataclass(frozen=True)
class Stream:
    """What a download was."""

    seconds: float
    lines: int
    size: int
    last: bytes


class Visitor:
    """One connection, kept open, as a browser keeps it."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._bearer = {"Authorization": f"Bearer {token}"}
        self._cookie = {"Cookie": self._log_in(token)}

    def close(self) -> None:
        self._connection.close()

    def page(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        return self._ask("GET", _target(path, query), self._cookie)

    def api(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        return self._ask("GET", _target(path, query), self._bearer)

    def export(self, query: Mapping[str, str]) -> Stream:
        """Downloads it, and keeps nothing."""
        started = time.monotonic()
        try:
            self._connection.request("GET", _target("/api/v1/export", query), headers=self._bearer)
            answer = self._connection.getresponse()
            if answer.status != 200:
                raise Trouble(f"the export was answered with {answer.status}: {answer.read()[:SHOWN]!r}")
            piece = bytearray(PIECE)
            lines, size, last = 0, 0, b""
            while got := answer.readinto(piece):
                lines += piece.count(b"\n", 0, got)
                size += got
                last = bytes(piece[max(0, got - SHOWN):got])
        except (OSError, http.client.HTTPException) as error:
            raise Trouble(f"the export broke: {error!r}") from error
        return Stream(time.monotonic() - started, lines, size, last)

    def _log_in(self, token: str) -> str:
        """The session's cookie."""
        body = urlencode({"token": token, "next": "/audit/"})
        try:
            self._connection.request("POST", "/audit/login", body, FORM)
            answer = self._connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Trouble(f"nobody can log in: {error!r}") from error
        cookie = answer.getheader("Set-Cookie")
        if answer.status != 303 or cookie is None:
            raise Trouble(f"logging in was answered with {answer.status}: {said[:SHOWN]!r}")
        return cookie.partition(";")[0]

    def _ask(self, method: str, target: str, fields: Mapping[str, str]) -> Answer:
        started = time.monotonic()
        try:
            self._connection.request(method, target, headers=dict(fields))
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            # The next question has a new connection.
            self._connection.close()
            return Answer(time.monotonic() - started, 0, repr(error).encode())
        return Answer(time.monotonic() - started, answer.status, body)


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path
