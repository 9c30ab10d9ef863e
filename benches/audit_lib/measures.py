"""What is measured in each round, and what it comes to."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from . import dataset
from .cluster import Cluster
from .inside import measure
from .report import Figures, Line, millis, rate

SMALL, LARGE = "small", "large"
SMALL_ROWS = 10_000
IN_FLIGHT = 256
# More than one batch, so that the writer never waits for somebody to have something to say.
LOG_IN_FLIGHT = 1024
CLIENTS = 16
BATCH = 256
# One at a time.
IDLE = 300
# Whose histories are read, for the first time and again.
READERS = 300
# A spool so small that it is full soon, and for how long the load goes on then, in seconds.
SPOOL_LIMIT, BEYOND = 256 << 20, 20
# It is looked at before a batch, so one may stand above it.
A_BATCH = 1 << 20
# What "flat" means: so much more than when the spool was half full.
FLAT = 1.1


class Rounds:
    """Rounds of all measures, one after the other, so that what slows one slows its neighbours."""

    def __init__(self, cluster: Cluster, program: Path, seconds: int) -> None:
        self.cluster, self.program, self.seconds = cluster, program, seconds
        self.figures = Figures()

    def run_one(self) -> None:
        dataset.start_over(self.cluster, SMALL, SMALL_ROWS)
        self._reference("single", "reference_record", 1, CLIENTS)
        self._inside("guard", SMALL, IN_FLIGHT)
        self._inside("guard", LARGE, IN_FLIGHT)
        self._reference("batches", "reference_record", BATCH, 1)
        self._inside("log", SMALL, LOG_IN_FLIGHT)
        self._inside("log", LARGE, LOG_IN_FLIGHT)
        self._reference("bare single", "bare_record", 1, CLIENTS)
        self._reference("bare batches", "bare_record", BATCH, 1)
        commit = dataset.insert("reference_record", 1)
        self.figures.add("commit", self.cluster.latency(SMALL, commit, IDLE))
        self._took("idle", SMALL, IDLE)
        with self._spools() as spools:
            self._took("idle spooled", SMALL, IDLE, str(spools / "idle.db"))
        self._took("history", LARGE, READERS)

    def run_outages(self, records: int) -> None:
        """A backlog, made while Postgres is away, and moved when it is back; then none comes back."""
        dataset.start_over(self.cluster, SMALL, SMALL_ROWS)
        with self._spools() as spools:
            self._run_outages(records, self.cluster.url(SMALL), spools)

    def _run_outages(self, records: int, url: str, spools: Path) -> None:
        self.cluster.stop()
        measure(self.program, "fill", url, str(spools / "backlog.db"), str(records))
        self.cluster.start()
        self._reference("batches before", "reference_record", BATCH, 1)
        took = measure(self.program, "ship", url, str(spools / "backlog.db"))
        self._reference("batches after", "reference_record", BATCH, 1)
        self.figures.add("shipped", took["records"])
        self.figures.add("ship", took["records"] / took["seconds"])
        self.cluster.stop()
        held = measure(self.program, "dead", url, str(spools / "dead.db"), str(SPOOL_LIMIT), str(BEYOND))
        for name, value in held.items():
            self.figures.add(f"dead {name}", value)
        self.cluster.start()

    @contextlib.contextmanager
    def _spools(self) -> Iterator[Path]:
        """A folder for spools, on the disk of the cluster."""
        spools = self.cluster.folder / "spools"
        shutil.rmtree(spools, ignore_errors=True)
        spools.mkdir()
        try:
            yield spools
        finally:
            shutil.rmtree(spools)

    def lines(self) -> list[Line]:
        """The table."""
        return [self._guard(), self._log(), self._idle("idle", ""),
                self._idle("idle spooled", ", with a spool"), self._grown("guard"), self._grown("log"),
                self._history(), self._shipped(), self._dead(), *self._references()]

    def _reference(self, name: str, table: str, rows: int, clients: int) -> None:
        script = dataset.insert(table, rows)
        self.figures.add(name, rows * self.cluster.rate(SMALL, script, clients, self.seconds))

    def _inside(self, what: str, database: str, in_flight: int) -> None:
        url = self.cluster.url(database)
        took = measure(self.program, what, url, str(in_flight), str(self.seconds))
        self.figures.add(f"{what} {database}", took["records"] / took["seconds"])

    def _took(self, what: str, database: str, times: int, *rest: str) -> None:
        took = measure(self.program, what.split()[0], self.cluster.url(database), str(times), *rest)
        self.figures.add(what, took["seconds"])

    def _guard(self) -> Line:
        ratio = self.figures.ratio("guard small", "single")
        return Line(
            f"durable guarded writes (intent and outcome), {IN_FLIGHT} in flight, in records",
            f"≥ 3 × single-row inserts of {CLIENTS} clients",
            f"{rate(self.figures.median('guard small'))} to {rate(self.figures.median('single'))}",
            f"{ratio:.2f}", ratio >= 3)

    def _log(self) -> Line:
        ratio = self.figures.ratio("log small", "batches")
        return Line(
            "records through the writer alone", f"≥ 0.8 × {BATCH}-row inserts of one client",
            f"{rate(self.figures.median('log small'))} to {rate(self.figures.median('batches'))}",
            f"{ratio:.2f}", ratio >= 0.8)

    def _idle(self, what: str, where: str) -> Line:
        idle, commit = self.figures.median(what), self.figures.median("commit")
        return Line(
            f"added to one idle write, median{where}", "≤ 2 commits + 0.3 ms",
            f"{millis(idle)}; a commit takes {millis(commit)}",
            f"2 commits + {millis(idle - 2 * commit)}", idle <= 2 * commit + 0.3e-3)

    def _grown(self, what: str) -> Line:
        ratio = self.figures.ratio(f"{what} {LARGE}", f"{what} {SMALL}")
        name = {"guard": "guarded writes", "log": "the writer alone"}[what]
        return Line(
            f"{name}, with {self.rows():,} records there", f"≥ 0.9 × with {SMALL_ROWS:,}",
            rate(self.figures.median(f"{what} {LARGE}")), f"{ratio:.2f}", ratio >= 0.9)

    def _history(self) -> Line:
        took = self.figures.median("history")
        return Line(f"one user's newest 100 of {self.rows():,} records, median", "≤ 5 ms",
                    millis(took), "", took <= 5e-3)

    def _shipped(self) -> Line:
        before, after = self.figures.median("batches before"), self.figures.median("batches after")
        reference, shipped = (before + after) / 2, self.figures.median("ship")
        return Line(
            f"shipping a backlog of {self.figures.median('shipped'):,.0f} records",
            f"≥ 0.7 × {BATCH}-row inserts of one client",
            f"{rate(shipped)} to {rate(reference)}", f"{shipped / reference:.2f}",
            shipped >= 0.7 * reference)

    def _dead(self) -> Line:
        half, most, end, spooled = (
            self.figures.median(f"dead {name}") / 2**20 for name in ("half", "most", "end", "spooled"))
        limit = SPOOL_LIMIT / 2**20
        return Line(
            f"memory with a dead store, {IN_FLIGHT} writes in flight, spool of {limit:.0f} MiB",
            f"≤ {FLAT} × when it was half full; spool ≤ its limit and a batch",
            f"{half:.0f} MiB half full, at most {most:.0f}, {end:.0f} when full for {BEYOND} s; "
            f"spool {spooled:.1f} MiB",
            f"{most / half:.2f}",
            most <= FLAT * half and spooled <= limit + A_BATCH / 2**20)

    def _references(self) -> list[Line]:
        names = {"bare single": f"into a table without indexes: single rows, {CLIENTS} clients",
                 "bare batches": f"into a table without indexes: {BATCH} rows, one client"}
        return [Line(text, "", rate(self.figures.median(name)), "", None) for name, text in names.items()]

    def rows(self) -> int:
        """As many as there were at first."""
        return int(self.cluster.psql(LARGE, "SELECT rows FROM benchmark"))
