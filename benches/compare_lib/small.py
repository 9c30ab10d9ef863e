"""Small requests: what one costs, how many there are in a second, and what the slowest wait for."""

from __future__ import annotations

from . import content
from .bench import Bench, in_turn
from .load import CONNECTIONS, Load, wrk
from .measure import Measure, ask, used
from .table import Row, compared

# Requests before the first round.
WARM_UP = 500
SMALLEST = len(content.SMALL_BODY)
TITLE = f"CPU per small GET, keep-alive, {CONNECTIONS} connections"


def get(bench: Bench, port: int, target: str = content.SMALL, smallest: int = SMALLEST) -> Load:
    """Small requests, each after the last on its connection."""
    return wrk(bench.folder, f"http://127.0.0.1:{port}", target, bench.effort.seconds, smallest)


class Small(Measure):
    word = "small"
    notes = (
        f"A small GET: {SMALLEST} bytes of JSON with Synapse's fields; wrk, {CONNECTIONS} connections, one thread. "
        "The load is closed: whoever answers faster is asked more. The 99th percentile is wrk's, less that of the "
        "origin asked directly in the same round.",
    )

    def prepare(self) -> None:
        for proxy in self.bench.shared():
            ask(proxy.http, content.SMALL, content.SMALL_BODY, WARM_UP)

    def run_one(self, number: int) -> None:
        direct = get(self.bench, self.bench.origin.port)
        self.figures.add("direct", direct.requests / direct.seconds)
        for proxy in in_turn(self.bench.shared(), number):
            cpu, load = used(proxy, lambda p=proxy: get(self.bench, p.http))
            self.figures.add(f"cpu {proxy.name}", cpu)
            self.figures.add(f"rate {proxy.name}", load.requests / load.seconds)
            # It can be faster than direct only by chance.
            self.figures.add(f"p99 {proxy.name}", max(load.p99 - direct.p99, 1e-6))

    def rows(self) -> list[Row]:
        cpu, rate, p99 = (
            compared(self.figures, "cpu", TITLE, " µs", 1e6, 1.0),
            compared(self.figures, "rate", "requests per second, same load", "", 1, 1.0, least=True),
            compared(self.figures, "p99", "99th percentile added over direct, same load", " ms", 1e3, 1.0),
        )
        return [cpu, rate, p99]
