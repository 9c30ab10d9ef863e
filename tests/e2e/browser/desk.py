"""A gateway with an auditor's page, its tokens, and how one gets in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from support.gateway import Gateway, run
from support.http import Answer, request

from .chromium import Chromium, Look, Visit


@dataclass(frozen=True)
class Token:
    """What opens the page, and how the configuration knows it."""

    name: str
    role: str
    text: str = field(repr=False)
    hash: str

    def configured(self) -> dict[str, str]:
        return {"name": self.name, "role": self.role, "hash": self.hash}


def make_token(name: str, role: str) -> Token:
    """A token, as an operator makes it."""
    made = run("audit", "token", "--name", name, "--role", role)
    assert made.returncode == 0, made.stderr
    token = re.search(r"^.*?(kbg_[\w-]{43})\b", made.stdout)
    digest = re.search(r"sha256:[0-9a-f]{64}", made.stdout)
    assert token and digest, made.stdout
    return Token(name, role, token[1], digest[0])


class Desk:
    """The page of a gateway."""

    def __init__(self, gateway: Gateway, auditor: Token, reader: Token, chromium: Chromium) -> None:
        self.gateway, self.auditor, self.reader = gateway, auditor, reader
        self.database = gateway.database
        self._chromium = chromium
        self._cookies: dict[str, list[dict[str, Any]]] = {}

    def visit(self, look: Look = Look(), **options: Any) -> Visit:
        """A window, in which nobody has logged in."""
        return Visit(self._chromium, self.gateway.admin_url, **look.options(), **options)

    def log_in(self, visit: Visit, token: Token) -> None:
        """Logs in by the form; the second time somebody does, the cookie of the first."""
        if kept := self._cookies.get(token.name):
            visit.call("context.addCookies", kept)
            return
        visit.go("/audit/login")
        visit.fill("form#login input[name=token]", token.text)
        assert visit.follow("form#login button") == 200
        self._cookies[token.name] = visit.call("context.cookies")

    def api(self, path: str, token: Token | None = None) -> Answer:
        """A GET of `/api/v1/` with a token, the auditor's if no other is given."""
        given = (token or self.auditor).text
        return request(self.gateway.admin_port, "GET", f"/api/v1/{path}", token=given)
