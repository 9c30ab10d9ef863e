"""A Postgres that can be hurt."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.postgres import Postgres

# What a gateway connects as: no superuser, so that limits are its limits, too.
ROLE = "gateway"


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
        self._signal(signal.SIGKILL)
        self.process.child.wait(30)

    def freeze(self) -> None:
        """Connected, and silent. The kernel still takes connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        if self.process is not None and self.process.running():
            self.thaw()
        super().remove()

    def disconnect(self, url: str) -> None:
        """Ends all connections of the gateways to a database."""
        name = url.rsplit("/", 1)[1]
        self.query(
            "/postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND usename = '{ROLE}'",
        )

    def _signal(self, number: int) -> None:
        assert self.process is not None
        # The postmaster first, so that it starts nobody while the others are signalled.
        for pid in (self.process.pid, *children(self.process.pid)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
