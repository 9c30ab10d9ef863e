"""An auditor's work, from logging in to logging out; with scripts, and without any."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from support.synapse import Synapse

from .chromium import Chromium, Visit
from .desk import Desk
from .pages import exchange_of_a_refusal
from .scene import Scene

Open = Callable[..., Visit]


def test_whoever_has_no_token_is_led_to_the_form_and_from_there_to_what_was_wanted(
    desk: Desk, visit: Open, scripts: bool
) -> None:
    someone = visit(javaScriptEnabled=scripts)
    wanted = "/audit/search?verdict=refuse&user=%40carol%3Alocalhost"
    someone.go(wanted)
    assert urlsplit(someone.path).path == "/audit/login"
    someone.fill("form#login input[name=token]", "  " + desk.reader.text + " ")
    assert someone.follow("form#login button") == 200
    assert urlsplit(someone.path).path == "/audit/search"
    assert parse_qs(urlsplit(someone.path).query) == parse_qs(urlsplit(wanted).query)


def test_a_wrong_token_is_told_so_and_slowed_and_the_right_one_gets_a_cookie_that_is_kept_close(
    desk: Desk, visit: Open, scripts: bool
) -> None:
    # Failures are counted by the client's address: nobody else is to wait for these.
    address = "192.0.2.1" if scripts else "192.0.2.2"
    someone = visit(javaScriptEnabled=scripts, extraHTTPHeaders={"X-Forwarded-For": address})
    someone.go("/audit/login")
    took = []
    # The first few are forgiven: people mistype.
    for _ in range(5):
        began = time.monotonic()
        someone.fill("form#login input[name=token]", "kbg_" + "A" * 43)
        assert someone.follow("form#login button") in (401, 403, 429)
        took.append(time.monotonic() - began)
        assert "wrong" in someone.text("[role=alert]") or "not" in someone.text("[role=alert]")
        assert someone.call("context.cookies") == []
        assert "A" * 43 not in someone.source()
    assert took[-1] > 0.7, took
    someone.fill("form#login input[name=token]", desk.auditor.text)
    assert someone.follow("form#login button") == 200
    [cookie] = someone.call("context.cookies")
    assert cookie["name"] == "kbg_session"
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/audit"
    # Plain HTTP here; behind a proxy that says https it is.
    assert not cookie["secure"]
    assert someone.evaluate("document.cookie") == ""


def test_behind_a_proxy_with_https_the_cookie_is_for_https_alone(desk: Desk, visit: Open) -> None:
    someone = visit()
    form = {"token": desk.reader.text, "next": "/audit/"}
    fields = {"X-Forwarded-Proto": "https"}
    asked = {"form": form, "headers": fields, "maxRedirects": 0}
    answered = someone.call("context.request.post", f"{desk.gateway.admin_url}/audit/login", asked)
    assert answered["status"] == 303
    assert "secure" in answered["fields"]["set-cookie"].lower()


def test_a_refused_write_is_found_opened_and_proved(
    scene: Scene, auditor: Visit, desk: Desk, tmp_path: Path
) -> None:
    alice = scene.traffic.alice
    auditor.go("/audit/")
    assert auditor.follow("nav#main a[href^='/audit/search']") == 200
    auditor.fill("form#filters input[name=user]", alice.user_id)
    auditor.choose("form#filters select[name=verdict]", "refuse")
    assert auditor.follow("form#filters button[type=submit], form#filters button:not([type])") == 200
    # The search is its URL.
    asked = parse_qs(urlsplit(auditor.path).query)
    assert asked["user"] == [alice.user_id] and asked["verdict"] == ["refuse"]
    assert auditor.on("form#filters input[name=user]", "inputValue") == alice.user_id
    assert auditor.on("form#filters select[name=verdict]", "inputValue") == "refuse"
    [row] = auditor.rows("table#records")
    for cell in (alice.user_id, alice.device_id, "field_not_boolean"):
        assert any(cell in each for each in row), row

    exchange = exchange_of_a_refusal(desk, scene.traffic)
    assert auditor.follow(f"table#records a[href='/audit/exchange/{exchange}']") == 200
    told = auditor.text("main")
    for part in ("400", "M_BAD_JSON", "enabled must be true or false", "field_not_boolean"):
        assert part in told, part
    for part in (alice.user_id, alice.device_id, "203.0.113.7", "Element X", "1.9.0", exchange):
        assert part in told, part

    proof = tmp_path / "proof.json"
    assert auditor.download("a#proof", proof) == f"proof-{exchange}.json"
    verified = scene.verify("--proof", str(proof))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert alice.user_id in proof.read_text()
    # One letter of it is another.
    proof.write_text(proof.read_text().replace(alice.user_id, "@mallory:localhost"))
    assert scene.verify("--proof", str(proof)).returncode == 1


def test_the_exchange_of_a_write_shows_its_intent_its_outcome_and_where_it_is_in_the_tree(
    scene: Scene, auditor: Visit, desk: Desk
) -> None:
    alice = scene.traffic.alice
    intent, outcome = [
        record for record in desk.gateway.records(user=alice.user_id, action="write") if record["verdict"] == "accept"
    ][-2:]
    assert (intent["phase"], outcome["phase"]) == ("intent", "outcome")
    auditor.go(f"/audit/exchange/{intent['exchange_id']}")
    told = auditor.content().lower()
    for part in (intent["id"], outcome["id"], "intent", "outcome", "leaf", "checkpoint", "200"):
        assert part in told, part
    # A record leads to its exchange, too.
    assert auditor.go(f"/audit/exchange/{outcome['id']}") == 200
    assert intent["exchange_id"] in auditor.content()


def test_a_users_story_says_what_became_of_every_change_in_order(scene: Scene, auditor: Visit, desk: Desk) -> None:
    traffic = scene.traffic
    alice = traffic.alice
    auditor.go(f"/audit/exchange/{exchange_of_a_refusal(desk, traffic)}")
    assert auditor.follow("main a[href^='/audit/user?user='] >> nth=0") == 200
    assert parse_qs(urlsplit(auditor.path).query)["user"] == [alice.user_id]
    assert auditor.count("#story") == 1
    rows = [" ".join(row) for row in auditor.rows("table#changes")]
    writes = [write for write in traffic.writes if write.user.user_id == alice.user_id]
    assert len(rows) == len(writes), rows
    for row, write in zip(in_order(rows, auditor), writes, strict=True):
        for part in (write.user.device_id, write.client.name, write.client.version, write.address, *write.codes):
            assert part in row, (part, row)
        assert ("refused" in row.lower()) == (write.verdict == "refuse"), row
    # From what to what.
    last_stable = in_order(rows, auditor)[-2]
    assert "enabled" in last_stable and "disabled" in last_stable
    assert "disabled" in auditor.text("#story")


def in_order(rows: list[str], someone: Visit) -> list[str]:
    """The oldest first, whichever way the page tells them."""
    times = someone.evaluate(
        "Array.from(document.querySelectorAll('table#changes tbody tr'), (row) => row.querySelector('time').dateTime)"
    )
    assert times == sorted(times) or times == sorted(times, reverse=True), times
    return rows if times == sorted(times) else rows[::-1]


def test_where_the_two_types_disagree_the_story_says_so(scene: Scene, auditor: Visit) -> None:
    auditor.go(f"/audit/user?user={quote(scene.traffic.bob.user_id)}")
    assert "disagree" in auditor.text("#story").lower()
    auditor.go(f"/audit/user?user={quote(scene.traffic.alice.user_id)}")
    assert "types disagree" not in auditor.text("#story").lower()


def test_a_reader_sees_and_takes_nothing_away(scene: Scene, desk: Desk, visit: Open, scripts: bool) -> None:
    someone = visit(desk.reader, javaScriptEnabled=scripts)
    exchange = exchange_of_a_refusal(desk, scene.traffic)
    assert someone.go(f"/audit/exchange/{exchange}") == 200
    assert someone.count("a#proof") == 0
    assert "auditor" in someone.text("main")
    assert someone.go(f"/audit/exchange/{exchange}/proof") == 403
    assert someone.go("/audit/export") == 403


def test_who_has_logged_out_is_out_with_the_old_cookie_and_the_back_button(
    desk: Desk, visit: Open, scripts: bool
) -> None:
    someone = visit(javaScriptEnabled=scripts)
    someone.go("/audit/login")
    someone.fill("form#login input[name=token]", desk.reader.text)
    someone.follow("form#login button")
    someone.go("/audit/search")
    cookies = someone.call("context.cookies")
    assert someone.follow("form#logout button") == 200
    assert urlsplit(someone.path).path == "/audit/login"
    someone.call("page.goBack")
    assert urlsplit(someone.path).path == "/audit/login", "a page that was seen is kept"
    someone.call("context.addCookies", cookies)
    someone.go("/audit/")
    assert urlsplit(someone.path).path == "/audit/login"


def test_over_postgres_it_is_the_same_desk(
    synapse: Synapse,
    chromium: Chromium,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    visit: Open,
) -> None:
    scene = Scene(synapse, request.getfixturevalue("postgres").database(), tmp_path, chromium)
    try:
        someone = visit(scene.desk.auditor, desk=scene.desk)
        test_a_refused_write_is_found_opened_and_proved(scene, someone, scene.desk, tmp_path)
        test_a_users_story_says_what_became_of_every_change_in_order(scene, someone, scene.desk)
        overview = scene.desk.api("overview?range=week").json()
        assert json.dumps(overview)
    finally:
        scene.stop()
