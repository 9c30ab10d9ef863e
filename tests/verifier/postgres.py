"""Reading a trail from Postgres, through `psql`: each row is a line of JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

from .database import assemble
from .leaf import ANY, COLUMNS, FLAG, HASH, INTEGER, SALT, TEXT, TEXTS, TIME, UUID, as_it_is, read
from .trail import CouldNotTell, Trail
from .values import parse

# Postgres writes each so that nothing of it is lost. A time that is none becomes null.
_SQL = {
    UUID: "replace({}::text, '-', '')",
    TIME: "CASE WHEN isfinite({0}) THEN (extract(epoch FROM {0}) * 1000000)::bigint END",
    SALT: "encode({}, 'hex')",
    HASH: "encode({}, 'hex')",
    TEXTS: "{}::text",
    ANY: "{}::text",
}

_TABLES = {
    "record": (
        ", ".join(_SQL.get(kind, "{}").format(name) for name, kind in COLUMNS.items()),
        "audit_record",
    ),
    "leaf": ("leaf_index, replace(record_id::text, '-', ''), encode(leaf_hash, 'hex')", "audit_leaf"),
    "tile": ("level, tile_index, encode(hashes, 'hex')", "audit_tile"),
    "head": ("size, encode(root, 'hex'), note", "audit_tree_head"),
    "checkpoint": ("size, note", "audit_checkpoint ORDER BY size"),
}

# One transaction, and so one moment.
_SCRIPT = "".join(
    [
        "\\set FETCH_COUNT 2000\n",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n",
        *(
            f"SELECT json_build_array('{tag}', {columns}) FROM {table};\n"
            for tag, (columns, table) in _TABLES.items()
        ),
        "COMMIT;\n",
    ]
)


def load(url: str) -> Trail:
    """All of it, as of one moment."""
    rows: dict[str, list[list[Any]]] = defaultdict(list)
    for line in _psql(url).split("\n"):
        if line:
            tag, *row = json.loads(line)
            rows[tag].append(row)
    return assemble(
        (read(dict(zip(COLUMNS, row)), _READERS) for row in rows["record"]),
        ((index, bytes.fromhex(of), bytes.fromhex(hash_)) for index, of, hash_ in rows["leaf"]),
        ((level, index, bytes.fromhex(hashes)) for level, index, hashes in rows["tile"]),
        ((size, bytes.fromhex(root), note) for size, root, note in rows["head"]),
        ((size, note) for size, note in rows["checkpoint"]),
    )


def _psql(url: str) -> str:
    try:
        done = subprocess.run(
            [_program(), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url],
            input=_SCRIPT,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        )
    except OSError as error:
        raise CouldNotTell(f"psql cannot be run: {error}") from error
    if done.returncode != 0:
        raise CouldNotTell(f"the database cannot be read: {done.stderr.strip()}")
    return done.stdout


def _program() -> str:
    """Also where Debian keeps it if only the server is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"), key=lambda at: int(at.parts[-3]))
    return shutil.which("psql") or (str(found[-1]) if found else "psql")


_READERS = {
    UUID: bytes.fromhex,
    TEXT: as_it_is,
    TIME: as_it_is,
    FLAG: as_it_is,
    TEXTS: parse,
    SALT: bytes.fromhex,
    HASH: bytes.fromhex,
    INTEGER: as_it_is,
    ANY: parse,
}
