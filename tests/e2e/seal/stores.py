"""The database of a trail, as whoever may do everything in it sees it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Protocol

from faults.cluster import ROLE, Cluster
from support.process import eventually

# For `@pytest.mark.parametrize("stage", STORES, indirect=True)`.
STORES = ("postgres", "sqlite")


class Store(Protocol):
    """One database of a kind."""

    url: str

    def sql(self, statement: str) -> str:
        """Runs it; rows as lines, columns apart by `|`."""

    def hold_up(self, event: str) -> None:
        """From now on, whoever does `event` (`INSERT ON audit_leaf`) takes seconds within that statement."""

    def is_held_up(self) -> bool:
        """Whether somebody is there just now."""

    def let_go(self) -> None:
        """Undoes `hold_up`."""

    def blob(self, data: bytes) -> str:
        """As SQL."""

    def keep(self) -> None:
        """Backs the database up, as it is."""

    def restore(self) -> None:
        """Brings it back to what was kept."""

    def drop(self) -> None:
        """Nobody will look at it again."""


class PostgresStore:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.url = cluster.database()
        self.name = self.url.rsplit("/", 1)[1]

    def sql(self, statement: str) -> str:
        return self.cluster.query(self.url, statement)

    def blob(self, data: bytes) -> str:
        return rf"'\x{data.hex()}'::bytea"

    def hold_up(self, event: str) -> None:
        self.sql("""
            CREATE OR REPLACE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END'
        """)
        if event == "COMMIT":
            self.sql(
                "CREATE CONSTRAINT TRIGGER nap AFTER UPDATE ON audit_tree_head DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION nap()"
            )
        else:
            self.sql(f"CREATE TRIGGER nap AFTER {event} FOR EACH STATEMENT EXECUTE FUNCTION nap()")

    def is_held_up(self) -> bool:
        mine = f"FROM pg_stat_activity WHERE datname = '{self.name}'"
        return self.cluster.query("/postgres", f"SELECT count(*) {mine} AND wait_event = 'PgSleep'") != "0"

    def let_go(self) -> None:
        # The server finishes the statement of a client that is gone, and then looks for the next.
        eventually(lambda: not self.is_held_up(), "nobody asleep in the database")
        self.sql("DROP FUNCTION nap() CASCADE")

    def keep(self) -> None:
        self._copy(self.name, f"{self.name}_kept")

    def restore(self) -> None:
        self._copy(f"{self.name}_kept", self.name)

    def drop(self) -> None:
        # While it is in memory; a whole cluster at the end takes many times as long.
        for name in (self.name, f"{self.name}_kept"):
            self.cluster.query("/postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _copy(self, source: str, target: str) -> None:
        """Whoever is connected to either is thrown out, as with any restore."""
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{source}'"
        make = f"CREATE DATABASE {target} TEMPLATE {source} OWNER {ROLE}"
        self.cluster.query("/postgres", f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        self.cluster.query("/postgres", f"ALTER DATABASE {source} ALLOW_CONNECTIONS false")
        self.cluster.query("/postgres", end)
        self.cluster.query("/postgres", make)
        self.cluster.query("/postgres", f"ALTER DATABASE {source} ALLOW_CONNECTIONS true")


class SqliteStore:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "audit.db"
        self.url = f"sqlite:{self.file}"

    def sql(self, statement: str) -> str:
        with contextlib.closing(sqlite3.connect(self.file, timeout=20)) as database:
            rows = database.execute(statement).fetchall()
            database.commit()
        lines = ["|".join("" if each is None else str(each) for each in row) for row in rows]
        return "\n".join(lines).strip()

    def blob(self, data: bytes) -> str:
        return f"x'{data.hex()}'"

    def hold_up(self, event: str) -> None:
        # Triggers know no sleep, and count to many millions only behind a view.
        self.sql("""
            CREATE VIEW nap AS SELECT max(n) AS n FROM (
                WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 60000000)
                SELECT n FROM counted
            )
        """)
        operations, table = event.split(" ON ")
        for operation in operations.split(" OR "):
            when = f"AFTER {operation} ON {table}"
            self.sql(f"CREATE TRIGGER nap_{operation} {when} BEGIN SELECT n FROM nap; END")

    def is_held_up(self) -> bool:
        """Somebody has the lock for much longer than any step takes."""
        with contextlib.closing(sqlite3.connect(self.file, timeout=0.7)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            database.rollback()
            return False

    def let_go(self) -> None:
        for name in ("INSERT", "UPDATE", "DELETE"):
            self.sql(f"DROP TRIGGER IF EXISTS nap_{name}")
        self.sql("DROP VIEW nap")

    def keep(self) -> None:
        with contextlib.closing(sqlite3.connect(self.file, timeout=20)) as database:
            with contextlib.closing(sqlite3.connect(self._kept)) as kept:
                database.backup(kept)

    def restore(self) -> None:
        for companion in ("-wal", "-shm"):
            Path(f"{self.file}{companion}").unlink(missing_ok=True)
        shutil.copy(self._kept, self.file)

    def drop(self) -> None:
        """pytest does, with the folder."""

    @property
    def _kept(self) -> Path:
        return self.file.with_suffix(".kept")
