"""A Postgres that can be hurt."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.postgres import Postgres
from support.process import Process, eventually

from .disks import fill

# What a gateway connects as: no superuser, so that limits are its limits, too.
ROLE = "gateway"


def has_ended(pid: int) -> bool:
    """Whether a process holds nothing any more, be it that nobody has asked how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


class Cluster(Postgres):
    """As `Postgres`; its databases belong to a role that is no superuser."""

    def __init__(self) -> None:
        super().__init__()
        self.query("/postgres", f"CREATE ROLE {ROLE} LOGIN")

    def database(self, *options: str) -> str:
        """A new database. `options` as of `createdb`."""
        name = f"test{next(self._numbers)}"
        self._tool("createdb", "--owner", ROLE, *options, name)
        return f"postgres://{ROLE}@127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        """As the power goes."""
        assert self.process is not None
        killed = self._signal(signal.SIGKILL)
        self.process.child.wait(30)
        # The others die in their own time, with files open.
        eventually(lambda: all(has_ended(pid) for pid in killed), "every process of Postgres ended", 30)

    def freeze(self) -> None:
        """Connected, and silent. The kernel still takes connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        if self.process is not None and self.process.running():
            # Nobody will look at it again.
            self.kill()
        if self._small.is_mount():
            subprocess.run(["umount", str(self._small)], check=True, timeout=30)
        super().remove()

    @contextlib.contextmanager
    def transaction(self, url: str, sql: str) -> Iterator[None]:
        """Somebody's transaction, in which `sql` was run, and which does not end before the block."""
        sleeps = f"BEGIN; {sql}; SELECT pg_sleep(3600)"
        command = [str(self.bin / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        command += ["-d", url.rsplit("/", 1)[1], "-v", "ON_ERROR_STOP=1"]
        for part in sleeps.split("; "):
            command += ["-c", part]
        psql = Process(command, self.folder / "transaction.txt", env={"PGAPPNAME": "careless"})
        mine = "FROM pg_stat_activity WHERE application_name = 'careless'"
        try:
            asleep = f"SELECT count(*) {mine} AND wait_event = 'PgSleep'"
            eventually(lambda: self.query("/postgres", asleep) == "1", "the transaction under way", 30)
            yield
        finally:
            self.query("/postgres", f"SELECT pg_terminate_backend(pid) {mine}")
            psql.child.wait(30)

    @property
    def _small(self) -> Path:
        return self.folder / "small"

    def database_on_small_disk(self) -> str:
        """A new database, on a disk that `fill_small_disk` can fill. Needs root."""
        if not self._small.is_mount():
            self._small.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(self._small)]
            subprocess.run(mount, check=True, timeout=30)
            (self._small / "space").mkdir()
            shutil.chown(self._small / "space", self.user, self.user)
            self.query("/postgres", f"CREATE TABLESPACE small LOCATION '{self._small}/space'")
        return self.database("--tablespace", "small")

    def fill_small_disk(self) -> Path:
        return fill(self._small)

    def disconnect(self, url: str) -> None:
        """Ends all connections of the gateways to a database."""
        name = url.rsplit("/", 1)[1]
        self.query(
            "/postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND usename = '{ROLE}'",
        )

    def _signal(self, number: int) -> list[int]:
        """Returns whom it was sent to."""
        assert self.process is not None
        # The postmaster first, so that it starts nobody while the others are signalled.
        pids = [self.process.pid, *children(self.process.pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids
