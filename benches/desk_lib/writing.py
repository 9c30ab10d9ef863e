"""What those who write notice of one who looks."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from audit_lib.report import Figures, Line, millis, rate
from soak_lib.machine import Process, Trouble, say, wait_for

from .dataset import USERS
from .gateway import Gateway
from .searches import People
from .visitor import Visitor

SLOWEST = 0.9
CONNECTIONS = 64
# Fewer than are remembered, so that whoami is not asked all the time.
WRITERS = 4_096
# Questions a second, as of some auditors who look at once.
RATE = 3.0
SETTLING = 600

SCRIPT = """
local body = '{"enabled":true}'
local step = %d
function init() math.randomseed(%d) end
function request()
  local user = math.random(0, %d) * step
  return "PUT /_matrix/client/v3/user/%%40user" .. user .. "%%3Aexample.org/account_data/m.key_backup HTTP/1.1\\r\\n"
    .. "Host: gateway.example.org\\r\\nAuthorization: Bearer t" .. user
    .. "\\r\\nUser-Agent: Element X/26.10.0 (iPhone15,2; iOS 18.5; Scale/3.00)\\r\\nContent-Length: " .. #body
    .. "\\r\\n\\r\\n" .. body
end
function done(summary, latency)
  local errors = summary.errors
  print(string.format('desk {"requests":%%d,"micros":%%d,"errors":%%d,"statuses":%%d,"p99":%%d}', summary.requests,
    summary.duration, errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(99)))
end
"""


class Onlooker:
    """Looks at overview, two searches and a story in turn while the `with` block is run."""

    def __init__(self, gateway: Gateway, people: People) -> None:
        self.took: list[float] = []
        self.failed = 0
        self._visitor = Visitor(gateway.admin, gateway.token)
        users = itertools.cycle(people.samples)
        self._questions = (
            question for user in users for question in (
                ("/audit/", {"range": "month"}),
                ("/audit/search", {"verdict": "refuse"}),
                ("/audit/search", {"device": user.device}),
                ("/audit/user", {"user": user.user}),
            ))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._visitor.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + 1 / RATE
            answer = self._visitor.page(*next(self._questions))
            self.took.append(answer.seconds)
            self.failed += answer.status != 200


class Writing:
    """Rounds with and without, one after the other, so that what slows one slows its neighbour."""

    def __init__(self, gateway: Gateway, people: People, seconds: int, settled: Callable[[], bool]) -> None:
        """`settled`: whether nothing is left to be done of what was written."""
        self.gateway, self.people, self.seconds, self.settled = gateway, people, seconds, settled
        self.figures = Figures()
        self._seed = 0

    def run(self, rounds: int) -> None:
        # Whoami is asked, the connections are made.
        self._write()
        self._settle()
        for number in range(rounds):
            for looked in (False, True) if number % 2 == 0 else (True, False):
                self._one(looked)
                self._settle()
            say(", ".join(f"{name} {values[-1]:,.5g}" for name, values in self.figures.values.items()))

    def _one(self, looked: bool) -> None:
        if not looked:
            writes, p99 = self._write()
            self.figures.add("alone", writes)
            self.figures.add("alone p99", p99)
            return
        with Onlooker(self.gateway, self.people) as onlooker:
            writes, p99 = self._write()
        self.figures.add("looked", writes)
        self.figures.add("looked p99", p99)
        self.figures.add("questions", len(onlooker.took) / self.seconds)
        self.figures.add("answers", sum(onlooker.took) / max(1, len(onlooker.took)))
        self.figures.add("slowest", max(onlooker.took, default=0.0))
        self.figures.add("failed", onlooker.failed)

    def _settle(self) -> None:
        """A round does not pay for what the last one has left."""
        started = time.monotonic()
        wait_for(self.settled, "what was written is moved, summed up and sealed", SETTLING)
        self.figures.add("settling", time.monotonic() - started)

    def _write(self) -> tuple[float, float]:
        """Writes a second, and the 99th percentile of what one took."""
        folder: Path = self.gateway.folder
        script, output = folder / "writes.lua", folder / "wrk.txt"
        self._seed += 1
        script.write_text(SCRIPT % (USERS // WRITERS, self._seed, WRITERS - 1))
        output.unlink(missing_ok=True)
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds}s", "--timeout", "30s", "-s", str(script)]
        with Process([*command, f"http://127.0.0.1:{self.gateway.port}"], output) as child:
            code = child.wait(self.seconds + 60)
        found = re.search(r"^desk (.+)$", child.log(), re.M)
        if code != 0 or found is None:
            raise Trouble(f"wrk failed with {code}:\n{child.log()[-2000:]}\n{self.gateway.tail()}")
        said = json.loads(found[1])
        if said["errors"] or said["statuses"] or not said["requests"]:
            raise Trouble(f"not all writes were answered well: {said}\n{self.gateway.tail()}")
        return said["requests"] / (said["micros"] / 1e6), said["p99"] / 1e6

    def lines(self) -> list[Line]:
        median, ratio = self.figures.median, self.figures.ratio("looked", "alone")
        slowest = max(self.figures.values["slowest"])
        questions = (f"{median('questions'):.1f} pages a second, {millis(median('answers'))} each, the slowest "
                     f"{millis(slowest)}")
        if failed := sum(self.figures.values["failed"]):
            questions += f", {failed:.0f} of all not answered"
        return [
            Line(f"guarded writes, {CONNECTIONS} in flight, while somebody looks", f"≥ {SLOWEST} × while nobody does",
                 f"{rate(median('looked'))} to {rate(median('alone'))}; {questions}", f"{ratio:.2f}", ratio >= SLOWEST),
            Line("the 99th percentile of such a write", "",
                 f"{millis(median('looked p99'))} to {millis(median('alone p99'))}",
                 f"{self.figures.ratio('looked p99', 'alone p99'):.2f}", None),
            Line("until what a round has written is in Postgres and in the summary", "",
                 f"median {median('settling'):.1f} s after {self.seconds} s of writes", "", None),
        ]
