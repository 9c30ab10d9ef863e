"""Idle long polls: the memory that one holds."""

from __future__ import annotations

import contextlib
import socket
import time

from soak_lib.machine import Trouble, wait_for

from . import content
from .bench import in_turn
from .measure import Measure, ask
from .proxies import Proxy
from .small import get
from .table import Row

POLLS = 5000
# Opened at a time: more would overflow the origin's queue.
STEP = 500
LIMIT = 25 * 1024
WHEN = {
    "idle": f"memory per idle `/sync`, {POLLS:,} of them",
    "burst": "the same, after traffic on other connections beside them",
    "left": "what is left of it when they have gone",
}


class Polls(Measure):
    word = "memory"
    notes = (
        "Memory: resident, of all processes of a proxy, in proxies that were just started and had answered "
        f"100 requests; less what it was before the long polls, by their number.",
    )

    def rounds(self) -> int:
        return self.bench.effort.other_rounds

    def run_one(self, number: int) -> None:
        with self.bench.proxies() as proxies:
            for proxy in in_turn(proxies, number):
                self._hold(proxy)

    def _hold(self, proxy: Proxy) -> None:
        ask(proxy.http, content.SMALL, content.SMALL_BODY, 100)
        before = self._settled(proxy)
        holding = self.bench.origin.holding
        request = f"GET {content.SYNC} HTTP/1.1\r\nHost: compare.example.org\r\n"
        request += "".join(f"{name}: {value}\r\n" for name, value in content.FIELDS.items()) + "\r\n"
        with contextlib.ExitStack() as stack:
            for opened in range(0, POLLS, STEP):
                for _ in range(STEP):
                    poll = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.http), 10))
                    poll.sendall(request.encode())
                wait_for(lambda n=opened: holding.held() == n + STEP, "the origin holds all long polls")
            self._note("idle", proxy, before)
            get(self.bench, proxy.http)
            self._note("burst", proxy, before)
            if holding.held() != POLLS:
                raise Trouble(f"{proxy.name} lost long polls: {holding.held()} of {POLLS} are left")
        wait_for(lambda: holding.held() == 0, "the origin holds no long poll any more")
        self._note("left", proxy, before)

    def _note(self, when: str, proxy: Proxy, before: int) -> None:
        self.figures.add(f"{when} {proxy.name}", (self._settled(proxy) - before) / POLLS)

    def _settled(self, proxy: Proxy) -> int:
        time.sleep(self.bench.effort.settling)
        return proxy.resident()

    def rows(self) -> list[Row]:
        rows = []
        for when, measure in WHEN.items():
            values = [self.figures.median(f"{when} {name}") for name in ("gateway", "nginx", "HAProxy")]
            aim, met = ("≤ 25 KiB", values[0] <= LIMIT) if when != "left" else ("", None)
            written = (f"{value / 1024:.1f} KiB" for value in values)
            ratio = f"{values[0] / values[1]:.2f}" if when != "left" else ""
            rows.append(Row(measure, aim, *written, ratio, met))
        return rows
