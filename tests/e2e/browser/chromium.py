"""A Chromium of the tests' own, and visits to pages with it.

One runs for the whole session. A visit is a window of its own: it knows no cookie of another, and remembers every
request, every line of the console and every dialog.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.js import MODULES, SCRIPTS


class Chromium:
    """The browser, and the program that tells it what to do."""

    def __init__(self) -> None:
        assert (MODULES / "node_modules/playwright-core").exists(), f"{MODULES}: `tests/run browser` makes it"
        node, browser = shutil.which("node"), shutil.which("chromium")
        assert node and browser, "node or chromium is missing: `tests/run browser` installs them"
        self._log = tempfile.TemporaryFile("w+")
        self._driver = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", node, str(SCRIPTS / "browser.mjs"), browser],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "JS_MODULES": str(MODULES)},
        )
        self.version = self._answer()

    def _answer(self) -> Any:
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        if not line:
            self._log.seek(0)
            raise AssertionError(f"the browser has ended:\n{self._log.read()[-3000:]}")
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def tell(self, do: str, **rest: Any) -> Any:
        """One word of the driver, and its answer."""
        assert self._driver.stdin is not None
        self._driver.stdin.write(json.dumps({"do": do, **rest}) + "\n")
        self._driver.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        assert self._driver.stdin is not None
        self._driver.stdin.close()
        self._driver.wait(30)


@dataclass(frozen=True)
class Look:
    """How a visitor looks at a page."""

    width: int = 1280
    height: int = 800
    colours: str = "light"

    def __str__(self) -> str:
        return f"{self.width}-{self.colours}"

    def options(self) -> dict[str, Any]:
        size = {"width": self.width, "height": self.height}
        phone = {"isMobile": True, "hasTouch": True} if self.width < 500 else {}
        return {"viewport": size, "colorScheme": self.colours, **phone}


LOOKS = [Look(width, height, colours) for width, height in ((1280, 800), (360, 740)) for colours in ("light", "dark")]


class Visit:
    """One window. Its methods do what a visitor does, and read what a visitor reads."""

    def __init__(self, chromium: Chromium, origin: str, **options: Any) -> None:
        self._chromium = chromium
        self.origin = origin
        # A page may have a script run in it (by axe), or none at all.
        self.scripts = options.get("javaScriptEnabled", True)
        self._number = chromium.tell("open", options={"baseURL": origin, "locale": "en-GB", **options})

    def call(self, name: str, *args: Any) -> Any:
        """A method of playwright's `page` or `context`."""
        return self._chromium.tell("call", of=self._number, name=name, args=args)

    def on(self, selector: str, name: str, *args: Any) -> Any:
        """A method of the locator of `selector`."""
        return self._chromium.tell("locate", of=self._number, selector=selector, name=name, args=args)

    def go(self, path: str) -> int:
        """Opens a page; the status of its answer."""
        return int(self.call("page.goto", path)["status"])

    def follow(self, selector: str) -> int:
        """Clicks on what leads to another page; the status of its answer."""
        return int(self._chromium.tell("follow", of=self._number, selector=selector)["status"])

    def press(self, key: str) -> None:
        self.call("page.keyboard.press", key)

    def press_and_arrive(self, key: str) -> int:
        """Presses what leads to another page; the status of its answer."""
        return int(self._chromium.tell("follow", of=self._number, key=key)["status"])

    def fill(self, selector: str, text: str) -> None:
        self.on(selector, "fill", text)

    def choose(self, selector: str, value: str) -> None:
        self.on(selector, "selectOption", value)

    def download(self, selector: str, to: Path) -> str:
        """Clicks on what downloads a file, into `to`; the name that was proposed for it."""
        return str(self._chromium.tell("download", of=self._number, selector=selector, to=str(to))["name"])

    @property
    def path(self) -> str:
        """Where we are, without the origin."""
        url = str(self.evaluate("location.href"))
        assert url.startswith(self.origin), url
        return url.removeprefix(self.origin)

    def evaluate(self, script: str, *args: Any) -> Any:
        return self.call("page.evaluate", script, *args)

    def text(self, selector: str = "body") -> str:
        """What is to be read there."""
        return str(self.on(selector, "innerText"))

    def content(self, selector: str = "main") -> str:
        """What stands there, folded or not."""
        return str(self.on(selector, "textContent"))

    def count(self, selector: str) -> int:
        return int(self.on(selector, "count"))

    def attribute(self, selector: str, name: str) -> str | None:
        value = self.on(selector, "getAttribute", name)
        return None if value is None else str(value)

    def source(self) -> str:
        return str(self.call("page.content"))

    def rows(self, selector: str) -> list[list[str]]:
        """The cells of a table's body, closed details included."""
        found = json.dumps(f"{selector} tbody tr")
        cells = "Array.from(row.cells, (cell) => cell.textContent.trim().replace(/\\s+/g, ' '))"
        return list(self.evaluate(f"Array.from(document.querySelectorAll({found}), (row) => {cells})"))

    def heads(self, selector: str) -> list[str]:
        """The heads of a table's columns."""
        found = json.dumps(f"{selector} thead th")
        return list(self.evaluate(f"Array.from(document.querySelectorAll({found}), (cell) => cell.textContent.trim())"))

    def is_too_wide(self) -> bool:
        """Whether the page itself scrolls sideways."""
        return bool(self.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def picture(self, name: str, whole: bool = True) -> None:
        """Keeps what it looks like as `name`, if anybody wants that."""
        if folder := os.environ.get("PICTURES"):
            self.call("page.screenshot", {"path": f"{folder}/{name}.png", "fullPage": whole})

    def axe(self) -> list[dict[str, Any]]:
        """What axe-core finds that is serious, or worse."""
        said = self._chromium.tell("axe", of=self._number)
        assert said["passed"] > 5, "axe has looked at nothing"
        return [found for found in said["found"] if found["impact"] in ("serious", "critical")]

    def seen(self) -> dict[str, Any]:
        """The console's lines, errors of scripts, dialogs and requests, so far."""
        return dict(self._chromium.tell("seen", of=self._number))

    def close(self) -> None:
        """Ends the visit, and says what must never happen in one."""
        seen = self.seen()
        self._chromium.tell("close", of=self._number)
        pages = {request["url"] for request in seen["requests"] if request["type"] == "document"}
        # That a page was answered with 4xx is what a test asked for.
        said = [each for each in seen["console"] if not ("Failed to load" in each["text"] and each["url"] in pages)]
        assert said == [], said
        assert seen["errors"] == [] and seen["dialogs"] == [], seen
        elsewhere = [each["url"] for each in seen["requests"] if not each["url"].startswith(self.origin + "/")]
        assert elsewhere == [], elsewhere
