"""What every measure is."""

from __future__ import annotations

import http.client
from collections.abc import Callable

from audit_lib.report import Figures
from soak_lib.machine import Trouble

from . import content
from .bench import Bench
from .load import Load
from .proxies import Proxy
from .table import Row


class Measure:
    """Some lines of the table. `run_one` is called once for each round."""

    # What `--only` calls it.
    word = ""
    notes: tuple[str, ...] = ()

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.figures = Figures()

    def rounds(self) -> int:
        return self.bench.effort.rounds

    def prepare(self) -> None:
        """What is done once, before the first round."""

    def run_one(self, number: int) -> None:
        raise NotImplementedError

    def rows(self) -> list[Row]:
        raise NotImplementedError


def used(proxy: Proxy, load: Callable[[], Load]) -> tuple[float, Load]:
    """The CPU seconds that the proxy used for each request of the load, and the load."""
    before = proxy.cpu()
    done = load()
    return (proxy.cpu() - before) / done.requests, done


def ask(port: int, target: str, body: str | None, times: int = 1) -> None:
    """Asks over one connection, and looks at every answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for _ in range(times):
            connection.request("GET", target, headers=content.FIELDS)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200 or (body is not None and said != body.encode()):
                raise Trouble(f"{target} was answered {answer.status} {said[:500]!r}")
    finally:
        connection.close()
