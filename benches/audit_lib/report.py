"""The table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    measure: str
    aim: str
    figure: str
    ratio: str
    met: bool | None


class Figures:
    """What was measured, by name, a value for each round; the medians count."""

    def __init__(self) -> None:
        self.values: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, name: str, value: float) -> None:
        self.values[name].append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    def ratio(self, name: str, reference: str) -> float:
        """The median of the ratios of the rounds: what slows a round slows both."""
        pairs = zip(self.values[name], self.values[reference], strict=True)
        return statistics.median(value / other for value, other in pairs)


def rate(value: float) -> str:
    return f"{value:,.0f}/s"


def millis(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def print_table(lines: list[Line]) -> None:
    print("\n| measure | aim | figure | ratio | |\n|---|---|---|---|---|")
    for line in lines:
        met = "" if line.met is None else "met" if line.met else "missed"
        print(f"| {line.measure} | {line.aim} | {line.figure} | {line.ratio} | {met} |")
