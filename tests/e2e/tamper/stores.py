"""Where a sealed trail is kept, copies of it, and the few words that both databases spell differently."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from support.postgres import Postgres


class Id(bytes):
    """A UUID, which is no mere bytes to Postgres."""


class Moment(int):
    """Microseconds since 1970, which are no mere number to Postgres."""


class Store(Protocol):
    """Of one kind of database."""

    name: str

    def literal(self, value: Any) -> str:
        """A value as SQL."""

    def copy(self, url: str) -> contextlib.AbstractContextManager[str]:
        """The URL of a copy, which is gone after the block."""

    def run(self, url: str, statements: list[str]) -> None:
        """As whoever may do everything: nothing in the database is asked whether it may be done."""

    def columns(self, url: str, table: str) -> set[str]:
        """Those of a table."""


class Sqlite:
    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def literal(self, value: Any) -> str:
        if isinstance(value, bytes):
            return f"x'{value.hex()}'"
        return str(int(value)) if isinstance(value, bool) else _literal(value)

    @contextlib.contextmanager
    def copy(self, url: str) -> Iterator[str]:
        file = self._folder / f"copy-{next(self._numbers)}.db"
        shutil.copy(url.removeprefix("sqlite:"), file)
        try:
            yield f"sqlite:{file}"
        finally:
            file.unlink()

    def run(self, url: str, statements: list[str]) -> None:
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:"))) as database:
            database.execute("DROP TRIGGER audit_record_pending")
            database.executescript(";\n".join(["BEGIN", *statements, "COMMIT"]) + ";")
            # One file again, which is easily copied and thrown away.
            database.execute("PRAGMA journal_mode = DELETE")

    def columns(self, url: str, table: str) -> set[str]:
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:"))) as database:
            return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


class PostgresStore(Postgres):
    name = "Postgres"

    def literal(self, value: Any) -> str:
        if isinstance(value, Id):
            return f"'{value.hex()}'"
        if isinstance(value, bytes):
            return rf"'\x{value.hex()}'::bytea"
        if isinstance(value, Moment):
            return f"('epoch'::timestamptz + {int(value)} * interval '1 microsecond')"
        return str(value).lower() if isinstance(value, bool) else _literal(value)

    @contextlib.contextmanager
    def copy(self, url: str) -> Iterator[str]:
        name = f"copy{next(self._numbers)}"
        self._tool("createdb", "--template", _name(url), name)
        try:
            yield f"{url.rsplit('/', 1)[0]}/{name}"
        finally:
            self._tool("dropdb", "--force", name)

    def run(self, url: str, statements: list[str]) -> None:
        # More than an argument may hold.
        script = self.folder / "script.sql"
        script.write_text(";\n".join(["SET session_replication_role = replica", *statements]) + ";")
        self._tool("psql", "-Xq", "-1", "-v", "ON_ERROR_STOP=1", "-d", _name(url), "-f", str(script))

    def columns(self, url: str, table: str) -> set[str]:
        sql = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
        return set(self.query(url, sql).splitlines())


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(int(value))
    quoted = str(value).replace("'", "''")
    return f"'{quoted}'"


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]
