"""Charts: each says in words what it shows, and its table has the numbers that were sent."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from support.gateway import run

from .chromium import Visit
from .clients import NHEKO
from .desk import Desk
from .scene import Scene

CHARTS = ["adoption", "writes", "violations-code", "violations-client"]


def numbers(someone: Visit, section: str) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of a chart's table."""
    return someone.heads(f"#{section} table"), someone.rows(f"#{section} table")


def columns(someone: Visit, section: str) -> dict[str, list[int]]:
    """The columns of numbers, each by its head in small letters."""
    heads, rows = numbers(someone, section)
    return {
        head.lower(): [int(row[at].replace(",", "")) for row in rows] for at, head in enumerate(heads) if at > 0
    }


@pytest.mark.parametrize("range_", ["day", "week", "month"])
def test_each_chart_has_a_title_a_description_axes_and_its_numbers(auditor: Visit, range_: str) -> None:
    auditor.go(f"/audit/?range={range_}")
    for section in CHARTS:
        svg = f"#{section} svg[role=img]"
        assert auditor.count(svg) == 1, section
        names = (auditor.attribute(svg, "aria-labelledby") or "").split()
        words = auditor.evaluate(f"{names}.map((id) => document.getElementById(id).textContent.trim())")
        assert len(words) == 2 and all(words), (section, words)
        drawn = auditor.evaluate(f"document.querySelector('{svg}').querySelectorAll('text').length")
        assert drawn >= 3, f"{section}: no axes"
        assert numbers(auditor, section)[1], section
        assert auditor.attribute(f"#{section} details summary", "id") or auditor.text(f"#{section} details summary")


def test_the_numbers_of_the_writes_are_those_that_were_sent(scene: Scene, auditor: Visit, desk: Desk) -> None:
    sent = scene.traffic.verdicts()
    for range_ in ("day", "week", "month"):
        auditor.go(f"/audit/?range={range_}")
        shown = [sum(column) for column in columns(auditor, "writes").values()]
        assert shown == [sent["accept"], sent["clear"], sent["refuse"]], range_
        told = desk.api(f"overview?range={range_}").json()["writes"]
        assert Counter({verdict: sum(step[verdict] for step in told) for verdict in sent}) == sent


def test_the_numbers_of_the_violations_are_those_that_were_sent(scene: Scene, auditor: Visit) -> None:
    auditor.go("/audit/")
    traffic = scene.traffic
    refused, forwarded = traffic.violations(forwarded=False), traffic.violations(forwarded=True)
    shown = {row[0]: [int(cell) for cell in row[1:]] for row in numbers(auditor, "violations-code")[1]}
    # What erin's client has stored was read once.
    reads = Counter({"field_not_boolean": 1})
    assert shown == {code: [refused[code], forwarded[code], reads[code]] for code in traffic.violations()}

    refused, forwarded = traffic.violations_by_client(forwarded=False), traffic.violations_by_client(forwarded=True)
    reads = Counter({(NHEKO.name, NHEKO.version): 1})
    by_client = {row[0]: [int(cell) for cell in row[1:]] for row in numbers(auditor, "violations-client")[1]}
    assert by_client == {
        " ".join(client): [refused[client], forwarded[client], reads[client]]
        for client in traffic.violations_by_client()
    }


def test_the_last_day_of_the_adoption_is_what_is_known_now(scene: Scene, auditor: Visit, desk: Desk) -> None:
    auditor.go("/audit/?range=week")
    last = {head: column[-1] for head, column in columns(auditor, "adoption").items()}
    wanted = scene.traffic.adoption()
    assert list(last.values()) == list(wanted.values()), last
    told: dict[str, Any] = desk.api("overview?range=week").json()["adoption"][-1]
    assert {name: told[name] for name in wanted} == wanted


def test_a_chosen_range_without_anything_in_it_is_drawn_too(auditor: Visit) -> None:
    for days in ("from=2001-02-03&to=2001-02-03", "from=2001-02-03&to=2001-02-09"):
        assert auditor.go(f"/audit/?range=chosen&{days}") == 200
        for section in ("adoption", "writes"):
            assert auditor.count(f"#{section}") == 1
        assert sum(sum(column) for column in columns(auditor, "writes").values()) == 0
    assert auditor.go("/audit/?range=chosen&from=2001-02-09&to=2001-02-03") == 400
    assert auditor.go("/audit/?range=chosen&from=tomorrow") == 400


def test_would_break_says_what_observe_let_through_and_for_which_client(scene: Scene, auditor: Visit) -> None:
    auditor.go("/audit/reports/would-break")
    told = auditor.text("main")
    rows = auditor.rows("main table")
    wanted = Counter(
        (code, write.client.name, write.client.version)
        for write in scene.traffic.writes
        if write.forwarded
        for code in write.codes
    )
    for (code, name, version), count in wanted.items():
        found = [row for row in rows if code in " ".join(row) and name in " ".join(row) and version in " ".join(row)]
        assert found and any(str(count) in row for row in found), (code, name, version, told)
    # What is refused now is broken already.
    assert "not_json" not in told


def test_drift_names_the_value_that_nobody_wrote_through_us_and_who_disagrees(scene: Scene, auditor: Visit) -> None:
    auditor.go("/audit/reports/drift")
    traffic = scene.traffic
    rows = [" ".join(row) for row in auditor.rows("main table")]
    [drift] = [row for row in rows if traffic.dave.user_id in row]
    assert "enabled" in drift and "disabled" in drift, drift
    assert any(traffic.bob.user_id in row for row in rows), rows
    assert not any(traffic.alice.user_id in row for row in rows), rows


def test_the_report_of_adoption_has_the_numbers_of_the_overview(scene: Scene, auditor: Visit) -> None:
    auditor.go("/audit/reports/adoption")
    last = auditor.rows("main table")[-1]
    assert [int(cell) for cell in last[1:4]] == list(scene.traffic.adoption().values()), last


@pytest.mark.parametrize("report", ["drift", "would-break", "adoption"])
def test_a_terminal_is_told_what_the_api_tells(desk: Desk, report: str) -> None:
    database = ("--database", desk.database, "--format", "json")
    stats = json.loads(run("audit", "stats", *database).stdout)
    told = desk.api("overview").json()
    for part in ("range", "adoption", "writes", "violations"):
        assert stats[part] == told[part], part
    reported = run("audit", "report", report, *database)
    assert reported.returncode == 0, reported.stderr
    assert json.loads(reported.stdout) == desk.api(f"reports/{report}").json()
