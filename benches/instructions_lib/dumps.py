"""What callgrind writes (its manual, "Callgrind Format Specification")."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from soak_lib.machine import Trouble

# "fn=(12) name", and "fn=(12)" where the name was said before; "cfn=" is one that is called.
NAME = re.compile(r"^(c?fn)=\((\d+)\)(?: (.+))?$")
# A line of the source, or how far it is from the last one, and the instructions.
COST = re.compile(r"^[+\-*]?\d* (\d+)$")
# What tells instances of a generic function, and calls of a recursive one, apart.
INSTANCE = re.compile(r"(::h[0-9a-f]{16})?('\d+)?$")


def read(dump: Path) -> Counter[str]:
    """Instructions by function, without what it calls; instances of a generic one are one."""
    found: Counter[str] = Counter()
    names: dict[str, str] = {}
    function, is_of_called = "", False
    for line in dump.read_text().splitlines():
        if match := NAME.match(line):
            what, number, name = match.groups()
            if name is not None:
                names[number] = INSTANCE.sub("", name)
            if what == "fn":
                function = names[number]
        elif line.startswith("calls="):
            is_of_called = True
        elif match := COST.match(line):
            if not is_of_called:
                found[function] += int(match[1])
            is_of_called = False
    total = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.M)
    if total is None or not found or abs(found.total() - int(total[1])) > 0.01 * found.total():
        raise Trouble(f"{dump.name} cannot be read: {found.total()} instructions of {total and total[1]}")
    return found
