"""Ports of this machine."""

from __future__ import annotations

import socket

from soak_lib.machine import free_port

_given: set[int] = set()


def free() -> int:
    """One that nobody listens on, and that nobody was told of before."""
    while (port := free_port()) in _given:
        pass
    _given.add(port)
    return port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
