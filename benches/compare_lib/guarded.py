"""Guarded reads: what one costs, until its record is in Postgres and sealed."""

from __future__ import annotations

from soak_lib.machine import Trouble

from . import content
from .load import CONNECTIONS, Load
from .measure import Measure, ask, used
from .small import WARM_UP, get
from .table import Row, written

LIMIT = 2.0


class Guarded(Measure):
    word = "guarded"
    notes = (
        f"A guarded read: the CPU of all of the gateway's threads, until the trail was shipped and sealed, by the "
        f"reads of {CONNECTIONS} connections; beside it a small GET that passes by, in the same round. Postgres's CPU "
        "is not in it.",
    )

    def rounds(self) -> int:
        return self.bench.effort.other_rounds

    def prepare(self) -> None:
        # Its trail is its own, so that its records can be counted.
        self.gateway = self.bench.stack.enter_context(self.bench.gateway(self.bench.trail()))
        ask(self.gateway.http, content.GUARDED, content.PREFERENCE, WARM_UP)
        self.gateway.drain()

    def run_one(self, number: int) -> None:
        recorded, dropped = self.gateway.trail.reads(), self.gateway.dropped_reads()
        cpu, load = used(self.gateway, self._guarded)
        recorded, dropped = self.gateway.trail.reads() - recorded, self.gateway.dropped_reads() - dropped
        # When wrk ends, up to one a connection was asked and not counted.
        if not load.requests <= recorded + dropped <= load.requests + CONNECTIONS:
            raise Trouble(f"of {load.requests} guarded reads {recorded} were recorded, and {dropped} dropped")
        self.figures.add("guarded", cpu)
        self.figures.add("dropped", dropped / load.requests)
        self.figures.add("passed", used(self.gateway, lambda: get(self.bench, self.gateway.http))[0])

    def _guarded(self) -> Load:
        load = get(self.bench, self.gateway.http, content.GUARDED, len(content.PREFERENCE))
        self.gateway.drain()
        return load

    def rows(self) -> list[Row]:
        median, ratio = self.figures.median, self.figures.ratio("guarded", "passed")
        figure = f"{written(median('guarded') * 1e6)} µs to {written(median('passed') * 1e6)} µs"
        if dropped := median("dropped"):
            figure += f"; {dropped:.1%} without a record of their own"
        return [Row("guarded read, with its record: CPU", f"≤ {LIMIT:.0f} × a pass-by", figure, "", "",
                    f"{ratio:.2f}", ratio <= LIMIT)]
