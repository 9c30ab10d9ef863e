"""Whatever clients call themselves, and whatever is searched for, is text: nothing runs, nothing is reordered."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from support.gateway import Gateway, records, run
from support.synapse import Synapse, User, account_data_path

from .chromium import Chromium, Visit
from .hostile import ALL, HTML, SOME, VISIBLE, as_field
from .scene import Scene

Open = Callable[..., Visit]

# The filters that take any text.
FREE = ["user", "device", "address", "violation", "client"]
# What only markup of the page's own, or somebody else's, could have made.
FOREIGN = (
    "script, iframe, object, embed, base, img, [onerror], [onload], [onmouseover], [style],"
    " link:not([href='/audit/style.css'], [href='data:,'])"
)
# What is typed again stands in its field, and names are kept apart from the text around them.
OPEN_TEXT = """(() => {
    const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (all.nextNode()) if (!all.currentNode.parentElement.closest('form, bdi')) found.push(all.currentNode.data);
    return found.join(' ');
})()"""
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Mallories:
    """Those who say hostile things wherever a client may say something.

    Each says one thing: many refusals of one user would be summed up.
    """

    def __init__(self, synapse: Synapse) -> None:
        self._synapse = synapse
        self.sent = 0

    def send(self, served: Gateway) -> None:
        for text in ALL:
            user = self._synapse.register("mallory")
            if text.strip() and len(text) < 200:
                # A client names its device itself, if it likes.
                user = self._synapse.log_in(user, text)
            fields = [("User-Agent", as_field(text)), ("X-Forwarded-For", as_field(text))]
            self._put(served, user, user.path(), fields)
            self._put(served, user, user.path(), [("User-Agent", as_field(f"{text}/1.0"))])
            # Somebody else's account data, whose name is the path's.
            self._put(served, user, account_data_path(text), fields)
            self._put(served, user, account_data_path(f"@{text}:localhost"), [])

    def _put(self, served: Gateway, user: User, path: str, fields: list[tuple[str, str]]) -> None:
        # A refusal, so that it is in every chart and table.
        got = served.request("PUT", path, token=user.token, body={"enabled": "no"}, fields=fields)
        # Without a user it is no guarded path, and Synapse's to answer.
        assert got.status in (400, 404), got
        self.sent += got.errcode == "M_BAD_JSON"


@pytest.fixture(scope="module")
def hostile(
    synapse: Synapse, chromium: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A trail that some mallories are in, too."""
    folder = tmp_path_factory.mktemp("hostile")
    scene = Scene(synapse, f"sqlite:{folder}/audit.db", folder, chromium)
    try:
        mallories = Mallories(synapse)
        mallories.send(scene.gateway)
        assert mallories.sent > 3 * len(ALL)
        scene.settle(scene.traffic.records() + mallories.sent)
        yield scene
    finally:
        scene.stop()


def assert_harmless(someone: Visit, where: str) -> None:
    foreign = someone.evaluate(f"Array.from(document.querySelectorAll({FOREIGN!r}), (each) => each.outerHTML)")
    assert foreign == [], (where, foreign)
    links = someone.evaluate("Array.from(document.links, (each) => each.getAttribute('href'))")
    assert [link for link in links if not link.startswith(("/audit", "#", "?"))] == [], (where, links)
    assert CONTROLS.findall(someone.evaluate(OPEN_TEXT)) == [], where


def test_no_page_runs_or_obeys_what_a_client_has_said(hostile: Scene, visit: Open, scripts: bool) -> None:
    someone = visit(hostile.desk.auditor, desk=hostile.desk, javaScriptEnabled=scripts)
    shown = ""
    for path in [
        "/audit/",
        "/audit/?range=day",
        "/audit/reports/would-break",
        "/audit/reports/drift",
        "/audit/reports/adoption",
    ]:
        assert someone.go(path) == 200
        assert_harmless(someone, path)
        shown += someone.text()
    # Page by page to the oldest record.
    assert someone.go("/audit/search") == 200
    for _ in range(50):
        assert_harmless(someone, someone.path)
        shown += someone.text()
        if not someone.count("a#older"):
            break
        assert someone.follow("a#older") == 200
    else:
        raise AssertionError("there is no end of it")
    for text in VISIBLE:
        # A client's name ends at the first `/`, and a table may break it.
        assert "".join(text.split())[:20] in "".join(shown.split()), text


def test_every_exchange_and_every_user_of_theirs_is_shown_as_text(hostile: Scene, visit: Open) -> None:
    someone = visit(hostile.desk.auditor, desk=hostile.desk)
    seen = {}
    for record in hostile.gateway.records(verdict="refuse"):
        for field in ("claimed_user", "device_id", "user_agent"):
            seen.setdefault((field, record[field]), record)
    some = [(key, record) for key, record in seen.items() if key[1] and any(text[:12] in key[1] for text in HTML)]
    assert len(some) > 10
    for (field, value), record in some:
        assert someone.go(f"/audit/exchange/{record['exchange_id']}") == 200
        assert_harmless(someone, value)
        assert "".join(value.split())[:40] in "".join(someone.text().split()), (field, value)
    for user in {record["claimed_user"] for _, record in some if record["claimed_user"]}:
        assert someone.go("/audit/user?" + urlencode({"user": user})) == 200
        assert_harmless(someone, user)


def test_whatever_is_searched_for_comes_back_as_what_was_typed(hostile: Scene, visit: Open) -> None:
    someone = visit(hostile.desk.auditor, desk=hostile.desk)
    for text in ALL:
        status = someone.go("/audit/search?" + urlencode(dict.fromkeys(FREE, text)))
        assert status in (200, 400), (text, status)
        assert_harmless(someone, repr(text))
        if CONTROLS.search(text):
            continue
        for name in FREE:
            typed = someone.on(f"form#filters [name={name}]", "inputValue")
            # An input has no line ends.
            assert re.sub("[\r\n]", "", typed) == re.sub("[\r\n]", "", text), name


def test_no_parameter_breaks_a_page(hostile: Scene, visit: Open) -> None:
    someone = visit(hostile.desk.auditor, desk=hostile.desk)
    pages = [
        ("/audit/", ["range", "from", "to"]),
        ("/audit/search", ["since", "until", "action", "event_type", "verdict", "outcome", "before", "x"]),
        ("/audit/user", ["user", "before"]),
        ("/audit/reports/drift", ["after"]),
        ("/audit/login", ["next"]),
    ]
    for path, names in pages:
        for name in names:
            for text in SOME:
                status = someone.go(f"{path}?{urlencode({name: text})}")
                assert status < 500, (path, name, text)
                assert_harmless(someone, f"{path} {name}={text!r}")
    for text in SOME:
        if text.strip("./ "):
            assert someone.go(f"/audit/exchange/{quote(text, safe='')}") in (400, 404), text
            assert_harmless(someone, text)


def test_next_leads_nowhere_else(hostile: Scene, visit: Open) -> None:
    aims = ["https://evil.example/", "//evil.example/", "/\\evil.example", "/audit/../x", "javascript:alert(1)"]
    for aim in aims:
        someone = visit(desk=hostile.desk)
        someone.go("/audit/login?" + urlencode({"next": aim}))
        someone.fill("form#login input[name=token]", hostile.desk.reader.text)
        assert someone.follow("form#login button") == 200
        assert someone.path.startswith("/audit/"), aim


def test_terminals_and_spreadsheets_get_text_as_well(hostile: Scene, tmp_path: Path) -> None:
    database = ("--database", hostile.database)
    exchanges = {record["exchange_id"] for record in records(hostile.database, verdict="refuse")}
    outputs = {
        "list": run("audit", "list", *database, "--limit", "0"),
        "jsonl": run("audit", "list", *database, "--limit", "0", "--format", "jsonl"),
        "export": run("audit", "export", *database, "--format", "jsonl"),
        "csv": run("audit", "export", *database, "--format", "csv"),
        **{each: run("audit", "show", *database, each) for each in sorted(exchanges)[::7]},
    }
    for name, done in outputs.items():
        assert done.returncode == 0, done.stderr
        said = done.stdout.replace("\n", "").replace("\t", "").replace("\r", "")
        assert not CONTROLS.search(said), (name, CONTROLS.search(said))
    cells = [cell for row in csv.reader(io.StringIO(outputs["csv"].stdout, newline="")) for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    # And nobody's table was dropped.
    assert hostile.desk.api("records?limit=1").status == 200
