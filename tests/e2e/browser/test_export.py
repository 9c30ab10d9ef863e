"""What an auditor takes away: files that hold, and paper."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from support.gateway import records, run

from .chromium import Look, Visit
from .desk import Desk
from .scene import Scene

Open = Callable[..., Visit]
SUBMIT = "form#export button"


def exported(someone: Visit, kind: str, to: Path, **filters: str) -> str:
    """Downloads the records that `filters` let through; the file's proposed name."""
    someone.go("/audit/export")
    for name, value in filters.items():
        field = f"form#export [name={name}]"
        if someone.evaluate(f"document.querySelector({field!r}).tagName") == "SELECT":
            someone.choose(field, value)
        else:
            someone.fill(field, value)
    if someone.count(f"{SUBMIT}[name=format][value={kind}]"):
        return someone.download(f"{SUBMIT}[name=format][value={kind}]", to)
    someone.on(f"form#export input[name=format][value={kind}]", "check")
    return someone.download(SUBMIT, to)


def test_an_export_of_the_whole_trail_is_sound(scene: Scene, auditor: Visit, tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    name = exported(auditor, "jsonl", file)
    assert re.fullmatch(r"key-backup-trail-.*\.jsonl", name), name
    verified = scene.verify("--export", str(file))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    ids = [record["id"] for record in records(scene.database)]
    lines = file.read_text()
    assert all(id in lines for id in ids)
    # Cut anywhere, it is not.
    file.write_text(lines[: len(lines) // 2])
    assert scene.verify("--export", str(file)).returncode != 0


def test_an_export_with_filters_has_what_the_command_line_gives(
    scene: Scene, auditor: Visit, tmp_path: Path
) -> None:
    carol = scene.traffic.carol.user_id
    file = tmp_path / "carol.jsonl"
    exported(auditor, "jsonl", file, user=carol, verdict="refuse")
    assert scene.verify("--export", str(file)).returncode == 0
    filters = ("--user", carol, "--verdict", "refuse")
    given = run("audit", "export", "--format", "jsonl", "--database", scene.database, *filters)
    ids = re.compile(r'"id":"([0-9a-f-]{36})"')
    assert ids.findall(file.read_text()) == ids.findall(given.stdout) != []


def test_a_table_opens_and_has_no_formula(scene: Scene, auditor: Visit, tmp_path: Path) -> None:
    file = tmp_path / "trail.csv"
    name = exported(auditor, "csv", file)
    assert re.fullmatch(r"key-backup-trail-.*\.csv", name), name
    with file.open(newline="") as opened:
        rows = list(csv.reader(opened, strict=True))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) > scene.traffic.records()
    formulas = [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert formulas == []
    assert any(scene.traffic.alice.user_id in cell for row in rows for cell in row)


def test_the_story_prints_on_one_page_without_what_is_for_the_screen(
    scene: Scene, auditor: Visit, tmp_path: Path
) -> None:
    auditor.go(f"/audit/user?user={quote(scene.traffic.alice.user_id)}")
    assert auditor.on("nav#main", "isVisible")
    paper = tmp_path / "story.pdf"
    margin = dict.fromkeys(("top", "right", "bottom", "left"), "10mm")
    auditor.call("page.pdf", {"path": str(paper), "format": "A4", "margin": margin})
    pages = re.findall(rb"/Type\s*/Page\b(?!s)", paper.read_bytes())
    assert len(pages) == 1
    auditor.call("page.emulateMedia", {"media": "print"})
    assert not auditor.on("nav#main", "isVisible")
    assert not auditor.on("form#logout", "isVisible")
    assert auditor.on("table#changes", "isVisible")
    # Nothing runs over the edge of A4, less its margins.
    auditor.call("page.setViewportSize", {"width": 718, "height": 1047})
    assert not auditor.is_too_wide()
    auditor.picture(f"story-paper-{'with' if auditor.scripts else 'without'}-scripts")


def test_dark_is_not_printed(scene: Scene, desk: Desk, visit: Open) -> None:
    someone = visit(desk.auditor, look=Look(colours="dark"))
    someone.go(f"/audit/user?user={quote(scene.traffic.alice.user_id)}")
    someone.call("page.emulateMedia", {"media": "print"})
    colours = someone.evaluate("getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3)")
    assert sum(map(int, colours)) < 300, f"light letters on white paper: {colours}"
