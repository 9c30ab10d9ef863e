"""A client that speaks what our own does not: TLS, HTTP/2, unix sockets."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from .synapse import User

# What curl says of an exchange, after the body.
SAID = "\n%{http_version} %{http_code}"


def curl(url: str, *options: str, timeout: float = 30) -> tuple[str, str]:
    """The version and the status ("2 200"), and the body. "0 000" if there was no answer."""
    command = ["curl", "-sS", "--max-time", str(timeout), "-w", SAID, *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout + 10)
    body, _, said = done.stdout.rpartition("\n")
    return said, body


def put(url: str, user: User, content: Any, *options: str) -> tuple[str, str]:
    """A guarded write; `url` is where the gateway is."""
    fields = ["-H", f"Authorization: Bearer {user.token}", "-H", "Content-Type: application/json"]
    data = ["-X", "PUT", "--data-binary", json.dumps(content)]
    return curl(url + user.path(), *fields, *data, *options)
