"""Small requests that come in other ways: what one costs."""

from __future__ import annotations

from pathlib import Path

from . import content
from .bench import in_turn
from .load import H2_CONNECTIONS, H2_STREAMS, Load, h2load, wrk
from .measure import Measure, used
from .proxies import Proxy
from .small import SMALLEST
from .table import Row, compared


class Requests(Measure):
    """One line: the CPU per request of one kind of load."""

    title = ""
    limit = 1.0

    def rounds(self) -> int:
        return self.bench.effort.other_rounds

    def load(self, proxy: Proxy) -> Load:
        raise NotImplementedError

    def run_one(self, number: int) -> None:
        for proxy in in_turn(self.bench.shared(), number):
            cpu, _ = used(proxy, lambda p=proxy: self.load(p))
            self.figures.add(f"cpu {proxy.name}", cpu)

    def rows(self) -> list[Row]:
        return [compared(self.figures, "cpu", self.title, " µs", 1e6, self.limit)]

    def wrk(self, url: str, close: bool, preload: Path | None = None) -> Load:
        seconds = self.bench.effort.seconds
        return wrk(self.bench.folder, url, content.SMALL, seconds, SMALLEST, close, preload)


class New(Requests):
    word = "new"
    title = "new connection per request: CPU"
    limit = 1.1

    def load(self, proxy: Proxy) -> Load:
        return self.wrk(f"http://127.0.0.1:{proxy.http}", close=True)


class Http2(Requests):
    word = "http2"
    title = f"HTTP/2 from the client, {H2_STREAMS} streams: CPU per request"
    notes = (f"HTTP/2: h2load by prior knowledge, {H2_CONNECTIONS} connections with {H2_STREAMS} streams each.",)

    def load(self, proxy: Proxy) -> Load:
        return h2load(self.bench.folder, proxy.http2, content.SMALL, self.bench.effort.h2_requests, SMALLEST)
