"""How fast the trail leaves, and what the gateway holds meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone

from audit_lib.cluster import Cluster
from audit_lib.report import Line, rate
from soak_lib.machine import Trouble, say

from .gateway import Gateway
from .visitor import Stream, Visitor

RATE = 100_000
# The most memory that a long export may take, by that of a short one.
FACTOR, MORE = 1.2, 32 * 2**20
# Besides the records a file may have so many lines: its head, and what it is complete up to.
EXTRA = 5

Start = Callable[[], AbstractContextManager[Gateway]]


@dataclass(frozen=True)
class Exported:
    """One file."""

    rows: int
    stream: Stream
    # What the gateway held before, and at most, in bytes.
    before: int
    peak: int

    def figure(self) -> str:
        return (f"{rate(self.rows / self.stream.seconds)}, {self.rows:,} records, "
                f"{self.stream.size / self.rows:,.0f} bytes each; {self.peak / 2**20:.0f} MiB at most, "
                f"{self.before / 2**20:.0f} before")


class Exporting:
    """Each file by a gateway of its own, so that none profits from what another has left behind."""

    def __init__(self, cluster: Cluster, database: str, start: Start) -> None:
        self.cluster, self.database, self.start = cluster, database, start
        self.done: dict[str, Exported] = {}

    def run(self) -> None:
        now = datetime.now(timezone.utc)
        until = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        since = until.replace(year=until.year - (until.month == 1), month=(until.month - 2) % 12 + 1)
        month = {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        self.done["a month"] = self._one({"format": "jsonl", **month}, f"""
            WHERE recorded_at >= '{month["since"]}' AND recorded_at < '{month["until"]}'""")
        self.done["all"] = self._one({"format": "jsonl"})
        self.done["CSV"] = self._one({"format": "csv"})

    def _one(self, query: dict[str, str], which: str = "") -> Exported:
        with self.start() as gateway:
            visitor = Visitor(gateway.admin, gateway.token)
            # What it needs to answer at all is not of the export.
            visitor.page("/audit/search")
            gateway.forget_peak()
            before = gateway.peak()
            stream = visitor.export(query)
            peak = gateway.peak()
            visitor.close()
        # What was appended since then, such as the log-in's record, is what the file may lack.
        rows = int(self.cluster.psql(self.database, f"SELECT count(*) FROM audit_record {which}"))
        if not -EXTRA <= stream.lines - rows <= EXTRA:
            raise Trouble(f"of {rows:,} records {stream.lines:,} lines were exported, at last {stream.last!r}")
        exported = Exported(rows, stream, before, peak)
        say(exported.figure())
        return exported

    def lines(self) -> list[Line]:
        if not self.done:
            return []
        names = {"all": "export, JSONL", "CSV": "export, CSV", "a month": "export, JSONL, of the last month"}
        lines = [
            Line(text, f"≥ {RATE:,}/s", self.done[name].figure(), "",
                 self.done[name].rows / self.done[name].stream.seconds >= RATE)
            for name, text in names.items()
        ]
        small, large = self.done["a month"], self.done["all"]
        most = max(FACTOR * small.peak, small.peak + MORE)
        lines.append(Line(
            f"memory of the gateway that exports {large.rows:,} records",
            f"≤ {FACTOR} × that of {small.rows:,}, or 32 MiB more",
            f"{large.peak / 2**20:.0f} MiB to {small.peak / 2**20:.0f} MiB", f"{large.peak / small.peak:.2f}",
            large.peak <= most))
        return lines
