"""Phone and desktop, light and dark: every page is readable, and by whoever cannot see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .chromium import LOOKS, Look, Visit
from .desk import Desk
from .pages import pages
from .scene import Scene

Open = Callable[..., Visit]


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_fits_and_axe_finds_nothing_serious(scene: Scene, desk: Desk, visit: Open, look: Look) -> None:
    # axe is a script, which the page's own policy keeps out.
    someone = visit(look=look, bypassCSP=True)
    troubles = []

    def examine(name: str, path: str) -> None:
        someone.go(path)
        someone.picture(f"{name}-{look}")
        if someone.is_too_wide():
            troubles.append(f"{name}: wider than {look.width} pixels")
        # All that is folded is looked at, too.
        someone.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        if someone.is_too_wide():
            troubles.append(f"{name}, unfolded: wider than {look.width} pixels")
        troubles.extend(f"{name}: {found}" for found in someone.axe())

    examine("login", "/audit/login")
    desk.log_in(someone, desk.auditor)
    for name, path in pages(desk, scene.traffic).items():
        examine(name, path)
    assert troubles == [], "\n".join(troubles)


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_is_wider_than_any_screen(scene: Scene, desk: Desk, visit: Open, width: int) -> None:
    someone = visit(desk.auditor, look=Look(width=width))
    for name, path in pages(desk, scene.traffic).items():
        someone.go(path)
        assert not someone.is_too_wide(), name


def test_light_and_dark_are_two_looks(desk: Desk, visit: Open) -> None:
    script = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for colours in ("light", "dark"):
        someone = visit(desk.auditor, look=Look(colours=colours))
        someone.go("/audit/")
        seen[colours] = sum(map(int, someone.evaluate(f"{script}.match(/\\d+/g).slice(0, 3)")))
    assert seen["light"] > 600 and seen["dark"] < 200, seen


def test_every_page_has_a_title_one_heading_and_a_language(scene: Scene, desk: Desk, visit: Open) -> None:
    someone = visit(desk.auditor)
    titles = {}
    for name, path in pages(desk, scene.traffic).items():
        someone.go(path)
        titles[name] = str(someone.call("page.title"))
        assert titles[name].endswith(" · Key Backup audit"), titles[name]
        assert someone.count("h1") == 1, name
        assert someone.attribute("html", "lang") == "en", name
        assert someone.count("nav#main") == 1, name
        assert someone.count("main") == 1, name
