"""Makes the README's pictures; `tests/e2e/browser/pictures` runs it, no step does."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from conftest import CURRENT
from support.synapse import Synapse

from .chromium import Chromium, Look
from .history import History
from .pages import pages
from .scene import Scene
from .test_pictures import FOLDER

# On paper or in a README wider is only smaller. Below this height nothing more is told.
WIDTH, HEIGHT = 1100, 1200
COLOURS = 128
# Which page each picture shows.
SHOWN = {
    "overview": "overview",
    "search": "search-refused",
    "exchange": "exchange-refused",
    "story": "story",
    "would-break": "would-break",
}


def test_makes_the_pictures(tmp_path: Path, chromium: Chromium) -> None:
    synapse = Synapse(CURRENT, tmp_path / "synapse", server_name="example.org")
    scene = None
    try:
        scene = Scene(synapse, f"sqlite:{tmp_path}/audit.db", tmp_path, chromium, history=History)
        take(scene)
    finally:
        if scene is not None:
            scene.stop()
        synapse.stop()


def take(scene: Scene) -> None:
    FOLDER.mkdir(exist_ok=True)
    someone = scene.desk.visit(Look(width=WIDTH))
    scene.desk.log_in(someone, scene.desk.auditor)
    paths = pages(scene.desk, scene.traffic)
    for name, page in SHOWN.items():
        someone.call("page.setViewportSize", {"width": WIDTH, "height": 400})
        someone.go(paths[page])
        file = FOLDER / f"{name}.png"
        height = min(HEIGHT, int(someone.evaluate("document.documentElement.scrollHeight")))
        someone.call("page.setViewportSize", {"width": WIDTH, "height": height})
        someone.call("page.screenshot", {"path": str(file)})
        make_light(file)
    someone.close()


def make_light(file: Path) -> None:
    """A palette is plenty for letters and lines, and a third as large."""
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, optimize=True)
