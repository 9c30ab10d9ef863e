"""`deploy/try`, as someone with a fresh clone runs it. Compiles in release mode the first time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.gateway import REPOSITORY
from support.http import request
from support.process import eventually

SCRIPT = REPOSITORY / "deploy" / "try"
FOLDER = REPOSITORY / "deploy" / ".try"
# The first build is a release build of everything; after it, a minute is the most it may take.
FIRST, LATER = 45 * 60, 60

ODD = "/_matrix/client/unstable/user/%40alice%3Alocalhost/account_data/m%2Ekey%5Fbackup?x"


def start(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(SCRIPT), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Wherever it is called from.
            cwd="/",
        )


def left_running() -> list[str]:
    """The command lines of processes that have to do with the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            works_in = os.readlink(process / "cwd")
        except OSError:
            continue
        if str(FOLDER) in command or Path(works_in).is_relative_to(FOLDER):
            found.append(command)
    return found


def untracked() -> str:
    """What git sees that no commit has."""
    command = ["git", "-C", str(REPOSITORY), "status", "--porcelain"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a first `deploy/try --once` printed."""
    log = tmp_path_factory.mktemp("try") / "output.txt"
    before = untracked()
    running = start("--once", log=log)
    try:
        code = running.wait(FIRST)
    finally:
        stop(running)
    output = log.read_text()
    assert code == 0, output
    assert left_running() == []
    assert untracked() == before
    return output


def stop(running: subprocess.Popen[bytes]) -> None:
    if running.poll() is None:
        running.terminate()
        running.wait(60)


def table(output: str) -> list[list[str]]:
    """The cells of the trail's rows, newest first. Cells are two spaces apart, or more."""
    lines = output[output.index("The trail") :].splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines if re.match(r"\d{4}-\d\d-\d\d", line)]
    assert rows, output
    return rows


def test_every_request_is_printed_with_its_answer(once: str) -> None:
    plain = "/_matrix/client/v3/user/@alice:localhost/account_data/m.key_backup"
    for request_line, body, answer in [
        (f"PUT {plain}", '{"enabled":true}', "200 {}"),
        (f"PUT {plain}", '{"enabled":"yes"}', '400 {"errcode":"M_BAD_JSON"'),
        (f"PUT {ODD}", '{"enabled":false}', "200 {}"),
        (f"GET {plain}", None, '200 {"enabled":false}'),
    ]:
        text = f"{request_line}\n" + (f"  {body}\n" if body else "") + f"→ {answer}"
        assert text in once, once


def test_the_table_shows_the_accepted_the_refused_the_odd_and_the_read(once: str) -> None:
    # What the gateway says of itself stands below.
    rows = [row for row in table(once) if row[1] in ("read", "write")]
    shown = [" ".join(row[1:]) for row in rows]
    # Newest first: the read, the odd write, the bad one, the good one.
    read, odd, odd_intent, refused, good, good_intent = shown
    assert all("@alice:localhost" in row for row in shown), shown
    assert read.startswith("read stable") and "answered 200" in read
    assert odd.startswith("write stable") and "accept disabled answered 200" in odd
    assert "(intent)" in odd_intent and "accept disabled" in odd_intent
    assert refused.startswith("write stable") and "field_not_boolean" in refused
    assert "refused" in refused
    assert good.startswith("write stable") and "accept enabled answered 200" in good
    assert "(intent)" in good_intent and "accept enabled" in good_intent
    # The device is the one that logged in, the same in every write.
    devices = {re.search(r"@alice:localhost ([A-Z]{10}) ", row) for row in shown[1:]}
    assert None not in devices and len({found[1] for found in devices if found}) == 1, shown
    # An intent and its outcome are one exchange.
    exchanges = [row[-1] for row in rows]
    assert exchanges[1] == exchanges[2] and exchanges[4] == exchanges[5]
    assert len(set(exchanges)) == 4


def test_the_gateway_says_that_it_has_begun_and_lives(once: str) -> None:
    assert {row[1] for row in table(once)} == {"read", "write", "heartbeat", "operation"}


def test_the_trail_is_sound_and_one_byte_of_another_is_found_and_named(once: str) -> None:
    verified = once[once.index("audit verify says:") :]
    sound, rewritten = verified.split("one byte is changed:")
    assert re.search(r"^sound$", sound, re.M), once
    assert re.search(r"^ +0  are not sealed", sound, re.M), once
    assert "@alice:localhost is now @mlice:localhost" in rewritten
    named = re.search(r"^NOT SOUND: record_changed: leaf (\d+): record ([0-9a-f-]{36}): (.*)$", rewritten, re.M)
    assert named and "claimed_user" in named[3], once


def test_the_auditors_page_is_named_with_a_token_and_tells_the_same_story(once: str) -> None:
    told = once[once.index("The same for an auditor") :]
    assert re.search(r"not known → enabled +stored$", told, re.M), once
    assert re.search(r"enabled → nothing usable +refused +field_not_boolean$", told, re.M), once
    assert re.search(r"enabled → disabled +stored$", told, re.M), once
    assert "now: disabled" in told
    assert re.search(r"^ +the page +http://127\.0\.0\.1:\d+/audit/$", told, re.M), once
    assert re.search(r"^ +its token +kbg_[A-Za-z0-9_-]{43}$", told, re.M), once


def test_a_second_run_is_quick_and_starts_anew(once: str, tmp_path: Path) -> None:
    began = time.monotonic()
    running = start("--once", log=tmp_path / "output.txt")
    try:
        code = running.wait(LATER)
    finally:
        stop(running)
    output = (tmp_path / "output.txt").read_text()
    assert code == 0, output
    assert len(table(output)) == len(table(once))
    assert "Installing" not in output
    assert time.monotonic() - began < LATER
    assert left_running() == []


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end_and_leaves_nothing_running(
    once: str, tmp_path: Path, by: signal.Signals
) -> None:
    log = tmp_path / "output.txt"
    running = start(log=log)
    try:
        eventually(lambda: "Ctrl-C" in log.read_text(), "the table and the last line", LATER)
        found = re.search(r"log in at http://127\.0\.0\.1:(\d+) ", log.read_text())
        assert found, log.read_text()
        assert request(int(found[1]), "GET", "/_matrix/client/versions").status == 200
        page = re.search(r"the page +http://127\.0\.0\.1:(\d+)/audit/", log.read_text())
        assert page and request(int(page[1]), "GET", "/audit/login").status == 200
        # Synapse and the gateway: what must not be there afterwards is there now.
        assert len(left_running()) >= 2
        running.send_signal(by)
        assert running.wait(60) == 0, log.read_text()
    finally:
        stop(running)
    assert left_running() == []


def test_ended_while_it_starts_it_leaves_nothing_running(once: str, tmp_path: Path) -> None:
    log = tmp_path / "output.txt"
    running = start(log=log)
    try:
        eventually(lambda: "Starting Synapse" in log.read_text(), "Synapse being started", LATER)
        running.terminate()
        assert running.wait(60) == 128 + signal.SIGTERM, log.read_text()
    finally:
        stop(running)
    assert left_running() == []


def test_an_unknown_argument_is_refused() -> None:
    told = subprocess.run([str(SCRIPT), "--twice"], capture_output=True, text=True, timeout=10)
    assert told.returncode == 64
    assert "--once" in told.stderr
