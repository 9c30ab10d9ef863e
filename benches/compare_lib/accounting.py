"""What a process and its children have cost so far, by the kernel's accounts."""

from __future__ import annotations

import re
import time
from pathlib import Path

from soak_lib.machine import Trouble

# From the kernel's include/linux/posix-timers_types.h, as glibc's clock_getcpuclockid has it.
CPUCLOCK_SCHED = 2


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name may have blanks and parentheses in it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def cpu(pids: list[int]) -> float:
    """The CPU seconds of all their threads, those that have ended too, in user and system mode.

    It is the sum of which `utime` and `stime` in /proc/PID/stat are the rounded parts. What a thread
    that runs just now has used since the last tick is not in it, so read it at rest.
    """
    try:
        return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in pids) / 1e9
    except OSError as error:
        raise Trouble(f"a process that was measured has ended: {error}") from error


def resident(pids: list[int]) -> int:
    """Their resident memory in bytes. The cheaper figure of /proc/PID/status is out by some pages."""
    try:
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    except OSError as error:
        raise Trouble(f"a process that was measured has ended: {error}") from error
    return sum(int(kib) * 1024 for text in rollups for kib in re.findall(r"^Rss:\s+(\d+) kB", text, re.M))
