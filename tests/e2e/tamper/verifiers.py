"""Both verifiers: the gateway's own, and the one that was written from the page alone."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import Any

from support.gateway import REPOSITORY, binary

from .world import Expected

PATIENCE = 120
# What both must count alike in a trail that is sound.
COUNTS = ("records", "sealed", "unsealed", "open_intents", "clock_disorder", "late", "checkpoints")


@dataclass(frozen=True)
class Verdict:
    """What one of them said."""

    exit: int
    report: dict[str, Any]
    said: str

    @property
    def finding(self) -> dict[str, Any]:
        return self.report.get("finding") or {}

    @property
    def code(self) -> str | None:
        return self.finding.get("code")

    @property
    def leaf(self) -> int | None:
        return self.finding.get("leaf_index")

    @property
    def record(self) -> str | None:
        return self.finding.get("record_id")

    @property
    def counts(self) -> dict[str, Any]:
        return {name: self.report.get(name) for name in COUNTS}

    def __str__(self) -> str:
        if self.exit not in (0, 1):
            return f"exit {self.exit}"
        leaf = "" if self.leaf is None else f", {self.leaf}"
        return f"{self.code or 'sound'}{leaf}"

    def differs(self, expected: Expected) -> str | None:
        """What it should have said and did not."""
        if self.exit != (1 if expected.code else 0) or self.report.get("sound") != (expected.code is None):
            return f"exit {self.exit}, {self.said}"
        if (self.code, self.leaf) != (expected.code, expected.leaf):
            return f"{self}: {self.finding.get('message')}"
        if expected.record is not None and self.record != str(uuid.UUID(bytes=bytes(expected.record))):
            return f"{self}, of the record {self.record}"
        if expected.code is None and self.report["unsealed"] != expected.unsealed:
            return f"{self.report['unsealed']} unsealed records"
        return None


@dataclass(frozen=True)
class Both:
    gateway: Verdict
    python: Verdict

    @property
    def agree(self) -> bool:
        ours, theirs = self.gateway, self.python
        if (ours.exit, ours.code, ours.leaf) != (theirs.exit, theirs.code, theirs.leaf):
            return False
        return ours.exit != 0 or ours.counts == theirs.counts

    def faults(self, expected: Expected) -> list[str]:
        """Everything that is not as it should be."""
        said = {"the gateway's verifier": self.gateway, "the one in Python": self.python}
        found = [f"{who} says {what}" for who, verdict in said.items() if (what := verdict.differs(expected))]
        if not self.agree:
            found.append(f"they disagree: {self.gateway.report} and {self.python.report}")
        return found


def verify(*arguments: str) -> Both:
    """Asks both at once."""
    gateway = _start([str(binary()), "audit", "verify", "--format", "json", *arguments])
    python = _start([sys.executable, "-m", "verifier", *arguments])
    return Both(_verdict(gateway), _verdict(python))


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=REPOSITORY / "tests",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _verdict(process: subprocess.Popen[str]) -> Verdict:
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    try:
        report = json.loads(output)
    except ValueError:
        report = {}
    return Verdict(process.returncode, report if isinstance(report, dict) else {}, output + errors)
