"""The table of faults, the README and the tests say the same."""

from __future__ import annotations

import re

import pytest

from support.gateway import REPOSITORY

from .hurts import KINDS
from .table import TABLE, Fault

HEADING = "## What happens when"


def rows() -> list[str]:
    """The names in the first column of the README's table, below its head."""
    readme = (REPOSITORY / "README.md").read_text()
    assert readme.count(f"\n{HEADING}\n") == 1
    section = readme.split(f"\n{HEADING}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| ([a-z-]+) \|", section, re.MULTILINE)[1:]


def test_the_readme_has_a_row_for_every_fault_and_for_no_other() -> None:
    assert rows() == [fault.name for fault in TABLE]


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
def test_every_fault_is_held_by_tests_that_are_there(fault: Fault) -> None:
    assert fault.tests
    for test in fault.tests:
        file, name = test.split("::")
        code = (REPOSITORY / "tests" / file).read_text()
        assert re.search(rf"^ *(async )?(def|fn) {name}\(", code, re.MULTILINE), test


def test_every_way_to_hurt_postgres_is_a_fault() -> None:
    assert set(KINDS) <= {fault.name for fault in TABLE}
