"""What is measured, one part after the other."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit_lib.cluster import Cluster
from audit_lib.report import Line, rate
from seal_lib import commands, trails
from soak_lib.machine import say, wait_for

from . import dataset, searches
from .exporting import Exporting
from .gateway import Gateway
from .looking import Looking
from .origin import Origin
from .visitor import Visitor
from .writing import Writing

DATABASE = "desk"
PARTS = ("rebuild", "overview", "search", "story", "export", "writes")
# Ten million take some minutes.
SEALING = 3600
# What is no part of the summary.
TRAIL = {"audit_record", "audit_run", "audit_pending", "audit_leaf", "audit_tile", "audit_tree_head",
         "audit_checkpoint", "audit_lost_checkpoint", "audit_migration"}


@dataclass(frozen=True)
class Effort:
    """How long it is to take."""

    rows: int
    rounds: int
    seconds: int
    # Whether the trail is sealed, and by gateways that go on sealing.
    is_sealed: bool = False


class Bench:
    """The cluster must not run yet, and runs afterwards."""

    def __init__(self, cluster: Cluster, binary: Path, folder: Path, effort: Effort, parts: Sequence[str]) -> None:
        self.cluster, self.binary, self.folder = cluster, binary, folder
        self.effort, self.parts = effort, parts
        self.rows = 0
        self.key = folder / "desk.key" if effort.is_sealed else None
        self._lines: list[Line] = []
        self._looking: Looking | None = None

    def run(self) -> None:
        if self.cluster.is_new():
            self._make()
        self.cluster.start()
        # One that was kept may be older than the gateway.
        commands.run(str(self.binary), "migrate", "--database", self.cluster.url(DATABASE))
        self.rows = int(self.cluster.psql(DATABASE, "SELECT rows FROM benchmark"))
        is_summarised = self.cluster.psql(DATABASE, "SELECT count(*) FROM benchmark WHERE is_summarised") == "1"
        if "rebuild" in self.parts or not is_summarised:
            self._rebuild()
        self.people = searches.People(self.cluster, DATABASE, self.rows)
        # The first question is to find nothing prepared.
        self.cluster.stop()
        self.cluster.start()
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="desk-", dir=self.folder))
            self.scratch = Path(scratch)
            self.origin = stack.enter_context(Origin(self.scratch / "origin"))
            self._seal()
            self._look()
            self._export()
            self._write()

    def _make(self) -> None:
        """The trail, in haste; then on the disk."""
        say(f"making {self.effort.rows:,} records")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cluster.make()
        self.cluster.start(haste=True)
        self.cluster.psql("postgres", f"CREATE DATABASE {DATABASE}")
        commands.run(str(self.binary), "migrate", "--database", self.cluster.url(DATABASE))
        rows = dataset.make(self.cluster, DATABASE, self.effort.rows)
        # Last: a folder without it was not finished.
        self.cluster.psql(DATABASE, f"CREATE TABLE benchmark AS SELECT {rows} AS rows, false AS is_summarised")
        self.cluster.stop()
        self.cluster.sync()

    def _rebuild(self) -> None:
        say("rebuilding the summary")
        done = commands.run(str(self.binary), "audit", "rebuild", "--database", self.cluster.url(DATABASE))
        self.cluster.psql(DATABASE, "UPDATE benchmark SET is_summarised = true")
        self.cluster.psql(DATABASE, "VACUUM (ANALYZE)")
        self._lines.append(Line(f"`audit rebuild`, {self.rows:,} records", "",
                                f"{done.seconds:.0f} s, {rate(self.rows / done.seconds)}, "
                                f"{done.memory / 2**20:.0f} MiB", "", None))

    def _sizes(self) -> list[Line]:
        """Of the summary, by table; and of the trail, with its indexes."""
        sizes = trails.sizes(self.cluster, DATABASE)
        derived = {name: sum(size) for name, size in sizes.items() if name not in TRAIL}
        data, indexes = sizes["audit_record"]
        named = ", ".join(f"`{name}` {size / 2**20:,.1f}" for name, size in sorted(derived.items()))
        whole = sum(derived.values())
        return [Line("size of the summary", "", f"{whole / 2**20:,.0f} MiB ({named})",
                     f"{whole / (data + indexes):.2f}", None),
                Line("beside it, the trail", "",
                     f"{data / 2**20:,.0f} MiB, its indexes {indexes / 2**20:,.0f} MiB", "", None)]

    @contextlib.contextmanager
    def _gateway(self) -> Iterator[Gateway]:
        url, folder = self.cluster.url(DATABASE), self.scratch / "gateway"
        with Gateway(self.binary, self.origin.port, url, folder, self.key) as gateway:
            yield gateway

    def _seal(self) -> None:
        """What is not sealed yet."""
        if self.key is None:
            return
        if not self.key.exists():
            commands.run(str(self.binary), "audit", "keygen", "--name", "bench.example.org",
                         "--key-file", str(self.key))
        say("sealing")
        with self._gateway():
            wait_for(lambda: trails.waiting(self.cluster, DATABASE) == 0, "all is sealed", SEALING)
        self.cluster.psql(DATABASE, "VACUUM (ANALYZE)")
        # The first question is to find nothing prepared.
        self.cluster.stop()
        self.cluster.start()

    def _look(self) -> None:
        if not {"overview", "search", "story"} & set(self.parts):
            return
        with self._gateway() as gateway, contextlib.closing(Visitor(gateway.admin, gateway.token)) as visitor:
            self._looking = looking = Looking(visitor)
            if "overview" in self.parts:
                say("the overview")
                looking.first()
                looking.overviews()
            if "search" in self.parts:
                say("searches")
                looking.search(list(searches.all_of_them(self.people)))
            if "story" in self.parts:
                say("stories")
                looking.stories(self.people)
        self._lines += looking.lines()

    def _export(self) -> None:
        if "export" in self.parts:
            say("exports")
            exporting = Exporting(self.cluster, DATABASE, self._gateway)
            exporting.run()
            self._lines += exporting.lines()

    def _write(self) -> None:
        if "writes" in self.parts:
            say("writes")
            with self._gateway() as gateway:
                writing = Writing(gateway, self.people, self.effort.seconds, lambda: self._is_settled(gateway))
                writing.run(self.effort.rounds)
            self._lines += writing.lines()

    def _is_settled(self, gateway: Gateway) -> bool:
        tables = ["audit_fresh"] if self.key is None else ["audit_fresh", "audit_pending"]
        left = " + ".join(f"(SELECT count(*) FROM (SELECT FROM {table} LIMIT 1) AS one)" for table in tables)
        return gateway.waiting() == 0 and self.cluster.psql(DATABASE, f"SELECT {left}") == "0"

    def lines(self) -> list[Line]:
        return [*self._lines, *self._sizes()]

    def details(self) -> list[Line]:
        return self._looking.details() if self._looking else []

    def notes(self) -> tuple[str, ...]:
        return (
            "The browser's side is Python's, on the same machine; what a page takes is from the request to the last byte "
            "of the answer, over a connection that is kept open.",
            "Searches of people, devices and addresses ask for another one each time; the others ask the same a few "
            "times.",
            "Exports are read as fast as they come, and counted; each comes from a gateway that has just been started. "
            "Memory is the resident set at its highest.",
            "Guarded writes: with a spool, to users of the trail, in rounds with and without somebody who looks at "
            "overview, searches and story in turn. What a round leaves to be done (moving, summing up, sealing) is done "
            "before the next one begins.",
        )
