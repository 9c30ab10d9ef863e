"""Without a mouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .chromium import Visit
from .desk import Desk
from .pages import pages
from .scene import Scene

Open = Callable[..., Visit]

FOCUSED = """(() => {
    const at = document.activeElement;
    const style = getComputedStyle(at);
    const outline = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const box = at.getBoundingClientRect();
    return {
        name: at.outerHTML.slice(0, 120),
        place: Array.from(document.querySelectorAll('*')).indexOf(at),
        is_body: at === document.body,
        is_seen: box.width > 0 && box.height > 0 && (outline || style.boxShadow !== 'none'),
    };
})()"""
# Of radio buttons one is a stop, the one that is chosen.
FOCUSABLE = """Array.from(document.querySelectorAll(
    'a[href], button, input:not([type=hidden], [type=radio]:not(:checked)), select, textarea, summary, [tabindex="0"]'
)).filter((each) => each.checkVisibility()).length"""


def walk(someone: Visit) -> list[dict[str, Any]]:
    """What has the focus, tab by tab, from the top to the end of the page."""
    stops: list[dict[str, Any]] = []
    for _ in range(400):
        someone.press("Tab")
        at = someone.evaluate(FOCUSED)
        if at["is_body"] or (stops and at["place"] == stops[0]["place"]):
            break
        stops.append(at)
    return stops


@pytest.mark.parametrize("name", ["overview", "search-refused", "exchange-refused", "story", "would-break", "export"])
def test_tabs_reach_everything_in_its_order_and_show_where_they_are(
    scene: Scene, auditor: Visit, desk: Desk, name: str
) -> None:
    auditor.go(pages(desk, scene.traffic)[name])
    stops = walk(auditor)
    places = [stop["place"] for stop in stops]
    assert places == sorted(places)
    # A date has several stops, and shows some of them by a mark within it.
    seen = {stop["place"] for stop in stops if stop["is_seen"]}
    assert [stop["name"] for stop in stops if stop["place"] not in seen] == []
    assert len(set(places)) >= auditor.evaluate(FOCUSABLE), [stop["name"] for stop in stops]


def test_the_first_tab_leads_past_the_navigation(auditor: Visit) -> None:
    auditor.go("/audit/search")
    auditor.press("Tab")
    target = auditor.evaluate("document.activeElement.getAttribute('href')")
    assert target.startswith("#") and auditor.count(target) == 1, target
    auditor.press("Enter")
    assert auditor.path.endswith(target)
    auditor.press("Tab")
    inside = "document.querySelector('main').contains(document.activeElement)"
    assert auditor.evaluate(inside), auditor.evaluate(FOCUSED)


def test_logging_in_searching_and_opening_takes_no_mouse(
    scene: Scene, desk: Desk, visit: Open, scripts: bool
) -> None:
    someone = visit(javaScriptEnabled=scripts)
    someone.go("/audit/search")
    someone.on("form#login input[name=token]", "focus")
    someone.call("page.keyboard.type", desk.reader.text)
    assert someone.press_and_arrive("Enter") == 200
    assert someone.path == "/audit/search"
    someone.on("form#filters input[name=user]", "focus")
    someone.call("page.keyboard.type", scene.traffic.dave.user_id)
    assert someone.press_and_arrive("Enter") == 200
    assert someone.rows("table#records")
    someone.on("table#records a[href^='/audit/exchange/'] >> nth=0", "focus")
    assert someone.press_and_arrive("Enter") == 200
    assert someone.path.startswith("/audit/exchange/")
