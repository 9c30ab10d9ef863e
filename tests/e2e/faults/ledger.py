"""What each of two sources knows of a request: the client that sent it, and the homeserver."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Told:
    """A request that a client sent, and what it was told."""

    request_id: str
    user_id: str
    # `write` or `read`.
    action: str
    # Of a write; `None` of a read.
    body: bytes | None
    # Whether the gateway may forward it.
    is_good: bool = True
    # `None`: no answer came to its end.
    status: int | None = None
    fault: str = ""
    # By the clock of this process, in seconds.
    began: float = 0.0
    ended: float = 0.0
    # Which instance it was sent to.
    port: int = 0

    @property
    def content(self) -> dict[str, Any]:
        """Of a write: the body, parsed."""
        return dict(json.loads(self.body or b"{}"))

    @property
    def serial(self) -> int | None:
        """Of a write: what tells it from all others."""
        serial = self.content.get("serial")
        return None if serial is None else int(serial)

    @property
    def body_sha256(self) -> str:
        return hashlib.sha256(self.body or b"").hexdigest()


@dataclass
class Asked:
    """A guarded request that the homeserver got, and what it said."""

    request_id: str
    action: str
    body: bytes
    began: float
    # `None`: it said nothing that is a whole answer.
    status: int | None = None
    ended: float | None = None
