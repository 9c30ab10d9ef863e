"""How long an auditor waits for a page."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

from audit_lib.report import Line, millis
from soak_lib.machine import Trouble, say

from .dataset import BUSY_USER
from .searches import People, Search
from .visitor import Answer, Visitor

OVERVIEW, SEARCH, STORY = 300e-3, 50e-3, 20e-3
TIMES = 10
STORIES = 100
SHOWN = 300


def chosen(days: int) -> dict[str, str]:
    """So many days, the last of them today."""
    today = datetime.now(timezone.utc).date()
    return {"range": "chosen", "from": str(today - timedelta(days=days - 1)), "to": str(today)}


RANGES = {"day": {"range": "day"}, "week": {"range": "week"}, "month": {"range": "month"}, "180 days": chosen(180)}


class Waits:
    """How long answers took, by what was asked; and which were none."""

    def __init__(self) -> None:
        self.took: defaultdict[str, list[float]] = defaultdict(list)
        self.failed: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, name: str, answer: Answer) -> None:
        self.took[name].append(answer.seconds)
        if answer.status != 200:
            if not self.failed[name]:
                say(f"{name}: {answer.status} after {answer.seconds:.1f} s: {answer.body[:SHOWN]!r}")
            self.failed[name].append(answer.status)

    def line(self, name: str, measure: str, limit: float | None, aim: str = "") -> Line:
        """Met if the median is, and every answer was one."""
        took, failed = self.took[name], self.failed.get(name, [])
        median = statistics.median(took)
        figure = f"median {millis(median)}, worst {millis(max(took))} of {len(took)}"
        if failed:
            figure += f"; {len(failed)} answered {', '.join(map(str, sorted(set(failed))))}"
        if limit is None:
            return Line(measure, aim, figure, "", None)
        return Line(measure, aim or f"≤ {limit * 1e3:.0f} ms", figure, "", median <= limit and not failed)


class Looking:
    """Page after page, by one who waits for each."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.waits = Waits()
        self.searches: list[Search] = []

    def first(self) -> None:
        """What nobody has asked before."""
        self.waits.add("first", self.visitor.page("/audit/"))

    def overviews(self) -> None:
        for _ in range(TIMES):
            for name, query in RANGES.items():
                self.waits.add(f"overview {name}", self.visitor.page("/audit/", query))
                self.waits.add(f"overview API {name}", self.visitor.api("/api/v1/overview", query))
            for report in ("would-break", "drift", "adoption"):
                query = {} if report == "drift" else RANGES["month"]
                self.waits.add(f"report {report}", self.visitor.page(f"/audit/reports/{report}", query))

    def search(self, searches: list[Search]) -> None:
        self.searches = searches
        for search in searches:
            for query in search.queries:
                self.waits.add(f"search {search.kind}", self.visitor.page("/audit/search", query))
                self.waits.add("records API", self.visitor.api("/api/v1/records", query))
                if self.waits.failed.get(f"search {search.kind}"):
                    # Each may take as long as the gateway is patient.
                    break

    def stories(self, people: People) -> None:
        for sample in people.samples[:STORIES]:
            self.waits.add("story", self.visitor.page("/audit/user", {"user": sample.user}))
        for _ in range(TIMES):
            self.waits.add("story of a busy user", self.visitor.page("/audit/user", {"user": BUSY_USER}))
        for sample in people.samples[:STORIES]:
            self.waits.add("exchange", self.visitor.page(f"/audit/exchange/{self._exchange(sample.user)}"))

    def _exchange(self, user: str) -> str:
        """One of the user's newest."""
        answer = self.visitor.api("/api/v1/records", {"user": user, "limit": "1"})
        found = answer.body.partition(b'"exchange_id":"')[2][:36]
        if len(found) != 36:
            raise Trouble(f"{user} has no records: {answer.status} {answer.body[:SHOWN]!r}")
        return found.decode()

    def lines(self) -> list[Line]:
        line = self.waits.line
        of_all = [
            line("first", "overview, the first call after the start of gateway and Postgres", None),
            *(line(f"overview {name}", f"overview, {name}", OVERVIEW) for name in RANGES),
            *(line(f"overview API {name}", f"the same in JSON, {name}", None) for name in RANGES),
            *(line(f"report {name}", f"report {name}", None) for name in ("would-break", "drift", "adoption")),
        ] if self.waits.took.get("first") else []
        return [*of_all, *self._search(), *self._stories()]

    def details(self) -> list[Line]:
        """One for each kind of search."""
        return [self.waits.line(f"search {it.kind}", it.kind, SEARCH) for it in self.searches]

    def _search(self) -> list[Line]:
        if not self.searches:
            return []
        kinds: Mapping[str, list[float]] = {it.kind: self.waits.took[f"search {it.kind}"] for it in self.searches}
        every = [seconds for took in kinds.values() for seconds in took]
        median: Callable[[str], float] = lambda kind: statistics.median(kinds[kind])
        slow = [it.kind for it in self.searches
                if median(it.kind) > SEARCH or self.waits.failed.get(f"search {it.kind}")]
        worst, slowest = max(kinds, key=lambda kind: max(kinds[kind])), max(kinds, key=median)
        figure = (f"median {millis(statistics.median(every))}; slowest kind “{slowest}”, median "
                  f"{millis(median(slowest))}; worst of all {millis(max(kinds[worst]))}, “{worst}”")
        if slow:
            figure += f"; {len(slow)} of {len(kinds)} kinds are slower or were not answered"
        return [Line(f"a page of a search, {len(every)} of {len(kinds)} kinds", "≤ 50 ms, every kind's median", figure,
                     "", not slow), self.waits.line("records API", "the same searches in JSON, 100 records", None)]

    def _stories(self) -> list[Line]:
        if not self.waits.took.get("story"):
            return []
        return [self.waits.line("story", "a user's story", STORY),
                self.waits.line("story of a busy user", "the story of a user who writes all the time", STORY),
                self.waits.line("exchange", "an exchange", None)]
