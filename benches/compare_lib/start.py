"""From the start to the first answer; the binary; and what an idle proxy holds."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable

from soak_lib.machine import Trouble

from . import content
from .bench import in_turn
from .measure import Measure, ask
from .proxies import Proxy
from .table import Row

START, BINARY, MEMORY = 50e-3, 15 * content.MIB, 15 * content.MIB
LATEST = 30


class Start(Measure):
    word = "start"
    notes = (
        "Start: from the moment the process is made to the first 200 through it, asked every millisecond; the "
        "gateway with a database that is migrated. Idle memory: resident, of all processes; what nginx's two share "
        "is counted twice, and its worker has 16,384 connections prepared.",
    )

    def rounds(self) -> int:
        return self.bench.effort.starts

    def prepare(self) -> None:
        trail = self.bench.trail()
        self.makers: list[Callable[[], Proxy]] = [
            lambda: self.bench.gateway(trail), self.bench.nginx, self.bench.haproxy,
        ]
        # It migrates the database.
        with self.makers[0]():
            pass

    def run_one(self, number: int) -> None:
        for make in in_turn(self.makers, number):
            with contextlib.closing(_Stopping(make())) as started:
                proxy = started.proxy
                self.figures.add(f"start {proxy.name}", _first_answer(proxy))
                if number >= self.bench.effort.other_rounds:
                    continue
                time.sleep(self.bench.effort.settling)
                self.figures.add(f"idle {proxy.name}", proxy.resident())
                ask(proxy.http, content.SMALL, content.SMALL_BODY, 100)
                time.sleep(self.bench.effort.settling)
                self.figures.add(f"warm {proxy.name}", proxy.resident())

    def rows(self) -> list[Row]:
        def row(name: str, measure: str, aim: str, limit: float, unit: str, scale: float) -> Row:
            values = [self.figures.median(f"{name} {who}") for who in ("gateway", "nginx", "HAProxy")]
            written = (f"{value * scale:.1f} {unit}" for value in values)
            return Row(measure, aim, *written, f"{values[0] / values[1]:.2f}", values[0] <= limit)

        return [
            row("start", "start to first answer", "50 ms", START, "ms", 1e3),
            self._binary(),
            row("idle", "idle memory after the start", "15 MiB", MEMORY, "MiB", 1 / content.MIB),
            row("warm", "idle memory after 100 requests", "15 MiB", MEMORY, "MiB", 1 / content.MIB),
        ]

    def _binary(self) -> Row:
        size = self.bench.binary.stat().st_size
        written = f"{size / content.MIB:.1f} MiB"
        if (strip := shutil.which("strip")) is not None:
            stripped = self.bench.folder / "stripped"
            subprocess.run([strip, "-o", str(stripped), str(self.bench.binary)], check=True)
            if stripped.stat().st_size < 0.95 * size:
                written += f", stripped {stripped.stat().st_size / content.MIB:.1f} MiB"
        return Row("binary", "15 MiB", written, met=size <= BINARY)


class _Stopping:
    """Ends a proxy that was never waited for."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def close(self) -> None:
        self.proxy.process.stop()


def _first_answer(proxy: Proxy) -> float:
    """How long it took from its start."""
    while (took := time.monotonic() - proxy.started) < LATEST:
        try:
            ask(proxy.http, content.VERSIONS, None)
        except OSError:
            time.sleep(1e-3)
        else:
            return time.monotonic() - proxy.started
    raise Trouble(f"{proxy.name} did not answer within {took:.0f} s:\n{proxy.process.log()[-2000:]}")
