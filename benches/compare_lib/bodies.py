"""Large bodies: what a byte costs."""

from __future__ import annotations

from . import content
from .bench import in_turn
from .load import TRANSFERRING, transfer
from .measure import Measure, used
from .table import Row, compared

# How many of the smaller ones are as good as one of the larger.
SIZES = {1: 32, 64: 1}
WAYS = ("down", "up")


class Bodies(Measure):
    word = "bodies"
    notes = (
        f"Large bodies: {TRANSFERRING} connections, with `Content-Length`. nginx has the settings that were "
        "cheapest for it, on or off and from 4 KiB to 1 MiB: no buffering, pieces of 512 KiB down and 256 KiB up. "
        "HAProxy splices.",
    )

    def prepare(self) -> None:
        uploading = self.bench.stack.enter_context(self.bench.proxies(self.bench.origin.uploads))
        self.proxies = {"down": self.bench.shared(), "up": uploading}

    def run_one(self, number: int) -> None:
        for way in WAYS:
            for size, many in SIZES.items():
                for proxy in in_turn(self.proxies[way], number):
                    target = content.download(size) if way == "down" else content.UPLOAD
                    count = many * self.bench.effort.transfers
                    cpu, _ = used(proxy, lambda p=proxy, w=way, s=size, t=target, c=count: transfer(
                        self.bench.folder, w, p.bodies, t, s * content.MIB, c))
                    self.figures.add(f"{way} {size} {proxy.name}", cpu / size)

    def rows(self) -> list[Row]:
        return [compared(self.figures, f"{way} {size}", f"{size} MiB {way}: CPU per MiB", " µs", 1e6, 1.0)
                for size in SIZES for way in WAYS]
