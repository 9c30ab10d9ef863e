"""What an auditor waits for: exports, verification, proofs; and what the tree takes on the disk."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path

from audit_lib.cluster import Cluster
from audit_lib.inside import measure
from audit_lib.report import Figures, Line, millis, rate
from soak_lib.machine import Trouble

from . import trails
from .commands import CORES, Done, run

# What "constant" means: so much more than for the smaller trail.
CONSTANT = 1.1
# How often the command that proves is started.
STARTS = 20
TREE = ("audit_leaf", "audit_tile", "audit_checkpoint")

NOTES = (
    "Verification of an export: wall time of the command, of a file that was read just before; "
    f"`sha256sum` reads the same file in turn. Both on {CORES} cores, as are the other commands. Memory is "
    "the peak of the process.",
    "Export and verification of the database: once, with Postgres on the same cores.",
    "Records that wait: made with SQL, all in line, sealed by a gateway with a key and nothing else to do.",
    "A proof: in one process, the connection made, of exchanges at random, each for the first time since "
    "Postgres was started; and beside it the whole command.",
    "Storage: after sealing and `VACUUM`, divided by the records. A record is in `audit_pending` only as "
    "long as it waits.",
)


class Auditing:
    """All measures of trails that do not change: a small and a large one are verified, the longest proved."""

    def __init__(self, cluster: Cluster, program: Path, binary: Path, key: Path,
                 rows: tuple[int, int], longest: int) -> None:
        self.cluster, self.program, self.binary, self.key = cluster, program, binary, key
        self.small, self.large, self.longest = *rows, longest
        self.figures = Figures()
        self.storage: list[Line] = []

    def seal(self, rows: int) -> None:
        """The whole trail at once, but for what was sealed before."""
        database = trails.name(rows)
        waiting = trails.waiting(self.cluster, database)
        before = trails.sizes(self.cluster, database)["audit_pending"]
        if waiting:
            took = measure(self.program, "seal", self.cluster.url(database), str(self.key), str(waiting))
            self.cluster.psql(database, "VACUUM (ANALYZE)")
        # In a cluster that was kept it is sealed already.
        is_whole = waiting >= rows
        if is_whole:
            self.figures.add(f"seal {rows}", took["records"] / took["seconds"])
        if rows == self.longest:
            self._weigh(rows, before if is_whole else None)

    def _weigh(self, rows: int, waiting: tuple[int, int] | None) -> None:
        sizes = trails.sizes(self.cluster, trails.name(rows))
        of_tree = sum(sum(sizes[table]) for table in TREE)
        of_record = sum(sizes["audit_record"])
        self.storage.append(Line(
            f"storage of the tree of {rows:,} records, per record", "",
            f"{of_tree / rows:.0f} bytes, beside {of_record / rows:.0f} of the record",
            f"{of_tree / of_record:.2f}", None))
        parts = {f"`{table}`, per record": sizes[table] for table in (*TREE, "audit_record")}
        if waiting is not None:
            parts["`audit_pending`, per record that waits"] = waiting
        for what, (data, indexes) in parts.items():
            figure = f"{data / rows:.1f} bytes, and {indexes / rows:.1f} of indexes"
            self.storage.append(Line(what, "", figure, "", None))

    def run_once(self) -> None:
        for rows in (self.small, self.large):
            took = self._command("export", "--database", self.cluster.url(trails.name(rows)),
                                 "--format", "jsonl", output=self._export(rows))
            self.figures.add(f"export {rows}", rows / took.seconds)
            self.figures.add(f"export {rows} bytes", self._export(rows).stat().st_size / rows)
        took = self._verify("--database", self.cluster.url(trails.name(self.large)))
        self.figures.add("verify database", self.large / took.seconds)
        self.figures.add("verify database memory", took.memory)
        self._prove()

    def run_one(self) -> None:
        """One round."""
        file = str(self._export(self.large))
        run("cat", file, output=Path(os.devnull))
        self.figures.add("sha256sum", run("sha256sum", file).seconds)
        took = self._verify("--export", file)
        self.figures.add("verify", took.seconds)
        self.figures.add("verify memory", took.memory)
        took = self._verify("--export", str(self._export(self.small)))
        self.figures.add("verify memory small", took.memory)

    def _prove(self) -> None:
        url = self.cluster.url(trails.name(self.longest))
        ids = trails.exchanges(self.cluster, self.longest)
        self.cluster.stop()
        self.cluster.start()
        for name, value in measure(self.program, "prove", url, *ids).items():
            self.figures.add(f"prove {name}", value)
        file = self.cluster.folder / "proof.json"
        for exchange in ids[:STARTS]:
            took = self._command("prove", exchange, "--database", url, output=file)
            self.figures.add("prove command", took.seconds)
        self._verify("--proof", str(file))

    def _export(self, rows: int) -> Path:
        return self.cluster.folder / f"{trails.name(rows)}.jsonl"

    def _command(self, *arguments: str, output: Path | None = None) -> Done:
        return run(str(self.binary), "audit", *arguments, output=output)

    def _verify(self, *what: str) -> Done:
        took = self._command("verify", *what, "--public-key", str(self.key.with_suffix(".pub")),
                             "--format", "json")
        if not json.loads(took.output)["sound"]:
            raise Trouble(f"a trail that nobody changed is not sound: {took.output}")
        return took

    def lines(self) -> list[Line]:
        median = self.figures.median
        took = median("verify")
        memory, small = median("verify memory"), median("verify memory small")
        proof, p99 = median("prove seconds"), median("prove p99")
        sealed = [
            Line(f"sealing {rows:,} records that wait", "", rate(median(f"seal {rows}")), "", None)
            for rows in sorted({self.small, self.large, self.longest})
            if self.figures.values.get(f"seal {rows}")
        ]
        return [
            *sealed,
            Line(f"`audit verify --export`, {self.large:,} records", "≥ 500,000/s",
                 f"{rate(self.large / took)}, {median(f'export {self.large} bytes'):,.0f} bytes each", "",
                 self.large / took >= 500_000),
            Line("the same, in time", "(to `sha256sum` of the same file)",
                 f"{took:.2f} s to {median('sha256sum'):.2f} s",
                 f"{self.figures.ratio('verify', 'sha256sum'):.2f}", None),
            Line(f"its memory, {self.large:,} records", f"≤ {CONSTANT} × with {self.small:,}",
                 f"{memory / 2**20:.0f} MiB to {small / 2**20:.0f} MiB", f"{memory / small:.2f}",
                 memory <= CONSTANT * small),
            Line("`audit verify --database`", "",
                 f"{rate(median('verify database'))}, {median('verify database memory') / 2**20:.0f} MiB",
                 "", None),
            Line("`audit export`", "", rate(median(f"export {self.large}")), "", None),
            Line(f"a proof, with {self.longest:,} records", "< 5 ms",
                 f"median {millis(proof)}, 99th percentile {millis(p99)}", "", proof < 5e-3),
            Line("`audit prove`, start and all", "",
                 millis(statistics.median(self.figures.values["prove command"])), "", None),
            *self.storage,
        ]
