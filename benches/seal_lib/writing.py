"""What sealing takes, and what it takes from those who write."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from audit_lib.cluster import Cluster
from audit_lib.inside import measure
from audit_lib.measures import IDLE, IN_FLIGHT, LOG_IN_FLIGHT
from audit_lib.report import Figures, Line, millis, rate

from . import trails

TICK = os.sysconf("SC_CLK_TCK")

NOTES = (
    "Sealing: the writer alone, as `benches/audit` measures it, with a gateway that has no key; then a "
    "gateway with a key, and nothing else to do, seals all that was recorded, from the first leaves to the "
    "last.",
    "Guarded writes: intent and outcome, durable, each time in a fresh database, in turn: without a key in a "
    "database whose `audit_append` puts nothing in line, without a key, and with one. Processor time is that "
    "of the gateway's process and of all of Postgres, from the start to the end, at which all is sealed, "
    "divided by all writes.",
    "An idle write: one at a time, in the same process, with whoami and the homeserver answering at once.",
)


def processor_seconds(cluster: Cluster) -> float:
    """Of all measurements that have ended, and of Postgres with all that it has started."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert cluster.process is not None
    postgres = cluster.process.pid
    tasks = Path(f"/proc/{postgres}/task/{postgres}/children").read_text().split()
    ticks = 0
    for pid in (str(postgres), *tasks):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            continue
        # After the name: times of its own, and those of its children that have ended.
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ended.ru_utime + ended.ru_stime + ticks / TICK


class Writing:
    """Rounds of all measures, one after the other, so that what slows one slows its neighbours."""

    def __init__(self, cluster: Cluster, program: Path, key: Path, seconds: int) -> None:
        self.cluster, self.program, self.key, self.seconds = cluster, program, key, seconds
        self.figures = Figures()

    def run_one(self) -> None:
        self._seal()
        self._guard("guard treeless", trails.TREELESS)
        self._guard("guard off", trails.FRESH)
        self._guard("guard on", trails.FRESH, "sealed", str(self.key))
        self._idle("idle off")
        self._idle("idle on", "sealed", str(self.key))

    def _seal(self) -> None:
        with trails.copy(self.cluster, trails.FRESH) as database:
            url = self.cluster.url(database)
            took = measure(self.program, "log", url, str(LOG_IN_FLIGHT), str(self.seconds))
            self.figures.add("writer", took["records"] / took["seconds"])
            backlog = trails.waiting(self.cluster, database)
            took = measure(self.program, "seal", url, str(self.key), str(backlog))
            self.figures.add("seal", took["records"] / took["seconds"])
            self.figures.add("backlog", backlog)

    def _guard(self, what: str, template: str, *how: str) -> None:
        with trails.copy(self.cluster, template) as database:
            before = processor_seconds(self.cluster)
            took = measure(self.program, *how, "guard", self.cluster.url(database), str(IN_FLIGHT),
                           str(self.seconds))
            used = processor_seconds(self.cluster) - before
        # A write is an intent and an outcome.
        self.figures.add(what, took["records"] / 2 / took["seconds"])
        self.figures.add(f"{what} cost", 2 * used / took["all"])
        self.figures.add(f"{what} sealed", took["sealed"] / took["all"])

    def _idle(self, what: str, *how: str) -> None:
        with trails.copy(self.cluster, trails.FRESH) as database:
            took = measure(self.program, *how, "idle", self.cluster.url(database), str(IDLE))
            self.figures.add(what, took["seconds"])

    def lines(self) -> list[Line]:
        median, ratio = self.figures.median, self.figures.ratio
        sealing, writes = ratio("seal", "writer"), ratio("guard on", "guard off")
        cost = ratio("guard on cost", "guard off cost")
        idle = ratio("idle on", "idle off")
        return [
            Line(f"sealing a backlog of {median('backlog'):,.0f} records, nothing else to do",
                 "≥ 1.5 × the writer alone", f"{rate(median('seal'))} to {rate(median('writer'))}",
                 f"{sealing:.2f}", sealing >= 1.5),
            Line(f"guarded writes, {IN_FLIGHT} in flight, while they are sealed",
                 "≥ 0.9 × without a key",
                 f"{rate(median('guard on'))} to {rate(median('guard off'))}; "
                 f"{median('guard on sealed'):.0%} were sealed meanwhile", f"{writes:.2f}", writes >= 0.9),
            Line("processor time of a guarded write, sealed", "≤ 1.1 × without a key",
                 f"{millis(median('guard on cost'))} to {millis(median('guard off cost'))}",
                 f"{cost:.2f}", cost <= 1.1),
            Line("guarded writes without a key", "(to none that put anything in line)",
                 f"{rate(median('guard off'))} to {rate(median('guard treeless'))}; processor time "
                 f"{millis(median('guard off cost'))} to {millis(median('guard treeless cost'))}",
                 f"{ratio('guard off', 'guard treeless'):.2f}", None),
            Line("added to one idle write, median, with a gateway that seals", "≤ 1.1 × without a key",
                 f"{millis(median('idle on'))} to {millis(median('idle off'))}", f"{idle:.2f}", idle <= 1.1),
        ]
