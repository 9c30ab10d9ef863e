"""What the rounds were, as a curve; and whether it is good."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .gateway import Reading
from .kinds import MIX
from .load import Tally

# The last quarter may hold so much more than the second.
GROWTH = 1.1
# Descriptors that come and go by themselves: the trail opens up to four connections when it needs
# them, and each has three.
COMING_AND_GOING = 12
# The bar of a round that holds as much as the first.
BAR = 24


@dataclass(frozen=True)
class Round:
    """One round, and what was left after it. `requests` and `connections` are sums so far."""

    requests: int
    connections: int
    rate: float
    reading: Reading
    # Long polls and tunnels that the origin still held, although their clients had left.
    held: int


def print_head() -> None:
    print(f"\n{'round':>5} {'requests':>10} {'a second':>9} {'connections':>12} "
          f"{'RSS KiB':>8} {'fds':>4} {'origin':>6} {'threads':>7}")


def print_round(number: int, now: Round, first: Round) -> None:
    reading = now.reading
    bar = "#" * min(80, round(BAR * reading.rss / first.reading.rss))
    print(f"{number:>5} {now.requests:>10,} {now.rate:>9,.0f} {now.connections:>12,} "
          f"{reading.rss:>8,} {reading.fds:>4} {reading.origins:>6} {reading.threads:>7}  {bar}",
          flush=True)


# === the verdict ===


def quarters(rounds: list[Round], value: Callable[[Reading], int]) -> tuple[float, float]:
    """The medians of the second quarter and of the last."""
    quarter = len(rounds) // 4
    values = [value(one.reading) for one in rounds]
    return statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])


def faults_of_growth(rounds: list[Round]) -> list[str]:
    """Memory, and descriptors."""
    faults = []
    second, last = quarters(rounds, lambda reading: reading.rss)
    print(f"\nresident memory: median {second:,.0f} KiB in the second quarter, {last:,.0f} KiB in "
          f"the last: {last / second:.3f} of it")
    if last > GROWTH * second:
        faults.append(f"resident memory grew to {last / second:.3f} of the second quarter's")
    second, last = quarters(rounds, lambda reading: reading.fds)
    if last > GROWTH * second + COMING_AND_GOING:
        faults.append(f"descriptors grew from {second:.0f} to {last:.0f}")
    faults += leftovers("clients' connections were held", [one.reading.clients for one in rounds])
    faults += leftovers("long polls and tunnels went on", [one.held for one in rounds])
    return faults


def leftovers(what: str, counts: list[int]) -> list[str]:
    """A fault if there were some after any round: all clients had left by then."""
    rounds = [number for number, count in enumerate(counts, 1) if count]
    if not rounds:
        return []
    return [f"{max(counts)} {what} after all clients had left, first in round {rounds[0]}"]


def faults_of_answers(tally: Tally) -> list[str]:
    """Whether each answer came as often as it was asked for, and no other."""
    faults = [f"{count} requests broke: {what}" for what, count in tally.broken.items()]
    wanted: Counter[str] = Counter()
    for kind in MIX:
        wanted[kind.wanted()] += tally.sent[kind.name]
    for answer in sorted(wanted | tally.got):
        sent, got = wanted[answer], tally.got[answer]
        if not sent - tally.left <= got <= sent:
            faults.append(f"{got} answers “{answer}”, where {sent} should have been")
    return faults


def faults_of_counts(tally: Tally, origin: Counter[str], metrics: dict[str, float]) -> list[str]:
    """Whether the origin heard what was sent, and nothing that it should not."""
    faults = []
    for kind in MIX:
        sent, heard = tally.sent[kind.name], origin[kind.name]
        least, most = (sent - tally.left, sent) if kind.reaches_origin else (0, 0)
        if not least <= heard <= most:
            faults.append(f"{sent} requests “{kind.name}” were sent, and the origin heard {heard}")
    whoami = "keybackup_whoami_total"
    asked = sum(value for name, value in metrics.items() if name.startswith(whoami))
    if asked != (heard := origin["whoami"]):
        faults.append(f"whoami was asked {asked:.0f} times, and the origin heard {heard}")
    return faults


def faults_of_trail(tally: Tally, metrics: dict[str, float]) -> list[str]:
    """Whether the guard counted the writes that were sent, and lost no record."""
    faults = []
    for outcome, kind in (("answered", "write"), ("refused", "bad_write")):
        name = f'keybackup_outcomes_total{{action="write",outcome="{outcome}"}}'
        counted, sent = metrics[name], tally.sent[kind]
        if not sent - tally.left <= counted <= sent:
            faults.append(f"{sent} requests “{kind}” were sent, and {counted:.0f} were {outcome}")
    for name, value in metrics.items():
        if name.startswith("keybackup_records_lost_total") and value:
            faults.append(f"records were lost: {name} {value:.0f}")
    return faults
