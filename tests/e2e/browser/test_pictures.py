"""The README's pictures."""

from __future__ import annotations

import re

from support.gateway import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "pictures"
NAMES = {"overview", "search", "exchange", "story", "would-break"}


def test_the_pictures_are_there_and_light() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == NAMES
    for file in FOLDER.iterdir():
        assert file.suffix == ".png" and file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n"), file
        assert file.stat().st_size < 200 * 1024, file



def test_the_readme_shows_each_and_says_in_words_what_it_is() -> None:
    text = (REPOSITORY / "README.md").read_text()
    shown = dict(re.findall(r"!\[([^\]]+)\]\(deploy/pictures/([a-z-]+)\.png\)", text))
    assert set(shown.values()) == NAMES
