"""Reading a trail from SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .database import assemble
from .leaf import ANY, COLUMNS, FLAG, HASH, INTEGER, SALT, TEXT, TEXTS, TIME, UUID, as_it_is, read
from .trail import CouldNotTell, Trail
from .values import Malformed, parse


def file_of(url: str) -> Path:
    """The file that a `sqlite:` URL names."""
    return Path(url.removeprefix("sqlite:").removeprefix("//").split("?", 1)[0])


def load(url: str) -> Trail:
    """All of it, as of one moment."""
    try:
        with contextlib.closing(_open(file_of(url))) as database:
            database.execute("BEGIN")
            records = database.execute(f"SELECT {', '.join(COLUMNS)} FROM audit_record")
            return assemble(
                (read(dict(zip(COLUMNS, row)), _READERS) for row in records),
                database.execute("SELECT leaf_index, record_id, leaf_hash FROM audit_leaf"),
                database.execute("SELECT level, tile_index, hashes FROM audit_tile"),
                database.execute("SELECT size, root, note FROM audit_tree_head"),
                database.execute("SELECT size, note FROM audit_checkpoint ORDER BY size"),
            )
    except sqlite3.Error as error:
        raise CouldNotTell(f"the database cannot be read: {error}") from error


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, isolation_level=None)
    # What is not UTF-8 is kept, so that it is found to be none.
    database.text_factory = lambda data: data.decode(errors="surrogateescape")
    return database


def _flag(value: Any) -> bool:
    if value not in (0, 1):
        raise Malformed("neither 0 nor 1")
    return bool(value)


_READERS = {
    UUID: as_it_is,
    TEXT: as_it_is,
    TIME: as_it_is,
    FLAG: _flag,
    TEXTS: parse,
    SALT: as_it_is,
    HASH: as_it_is,
    INTEGER: as_it_is,
    ANY: parse,
}
