"""What opens the page is seen by nobody: not in the log, a page, a URL, a record or a metric."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from support.gateway import records

from .chromium import Visit
from .desk import Desk
from .pages import pages
from .scene import Scene

Open = Callable[..., Visit]


def test_a_token_and_a_session_are_in_nothing_that_is_written_shown_or_sent_on(
    scene: Scene, desk: Desk, visit: Open
) -> None:
    wrong = "kbg_" + "W" * 43
    address = "192.0.2.77"
    someone = visit(extraHTTPHeaders={"X-Forwarded-For": address})
    sources = []
    someone.go("/audit/login?next=/audit/search")
    for token in (wrong, desk.auditor.text):
        someone.fill("form#login input[name=token]", token)
        someone.follow("form#login button")
        sources.append(someone.source())
    for path in pages(desk, scene.traffic).values():
        someone.go(path)
        sources.append(someone.source())
    [session] = [cookie["value"] for cookie in someone.call("context.cookies")]
    csrf = someone.on("form#logout input[name=csrf]", "inputValue")
    # A client that puts it where it does not belong.
    for odd in (f"/audit/search?token={wrong}", f"/audit/{wrong}", f"/api/v1/records?access_token={wrong}"):
        assert desk.gateway.admin(odd).status in (303, 401, 404), odd

    tokens = [wrong, desk.auditor.text, desk.reader.text]
    digests = [hashlib.sha256(token.encode()).hexdigest() for token in tokens]
    secrets = [token.removeprefix("kbg_") for token in tokens] + digests + [session]
    requests = someone.seen()["requests"]
    looked_at = {
        "the log": desk.gateway.log,
        "records": repr(records(scene.database, kind=None)),
        "metrics": desk.gateway.admin("/metrics").body.decode(),
        "pages": "\n".join(sources),
        "URLs": "\n".join(each["url"] for each in requests),
        "Referer": "\n".join(each["fields"].get("referer", "") for each in requests),
    }
    for name, text in looked_at.items():
        assert text.strip() or name == "Referer", name
        for secret in [*secrets, *([] if name == "pages" else [csrf])]:
            assert secret not in text, f"{secret} is in {name}"


def test_logging_in_and_failing_to_is_in_the_trail_by_name(scene: Scene, desk: Desk, visit: Open) -> None:
    someone = visit(extraHTTPHeaders={"X-Forwarded-For": "192.0.2.78"})
    someone.go("/audit/login")
    for token in ("kbg_" + "V" * 43, desk.auditor.text):
        someone.fill("form#login input[name=token]", token)
        someone.follow("form#login button")
    found = [record for record in records(scene.database, kind="operation") if record["client_address"] == "192.0.2.78"]
    said = [record["detail"] for record in found]
    assert [each["operation"] for each in said] == ["log_in_failed", "log_in"], said
    assert (said[1]["token"], said[1]["role"]) == ("kim", "auditor")
    someone.go("/audit/search")
    assert "192.0.2.78" not in scene.gateway.log


def test_the_public_port_knows_nothing_of_the_page(desk: Desk) -> None:
    for path in ("/audit/", "/audit/login", "/api/v1/records"):
        # Whatever Synapse says, it is Synapse that says it.
        answer = desk.gateway.request("GET", path, token=desk.auditor.text)
        assert answer.status == 404 and "Synapse" in (answer.field("Server") or ""), answer
