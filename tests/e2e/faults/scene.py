"""A homeserver, a crowd before gateways, a store behind them, and the reckoning afterwards."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.gateway import Gateway, Record, records
from support.leases import make_older
from support.process import eventually
from support.relay import Listener
from support.synapse import Synapse, User

from .cluster import Cluster
from .crowd import Crowd
from .ledger import Told
from .reconcile import Reconciled, Terms, reconcile
from .recorder import Recorder

# Where the trail is kept, and whether a spool stands before it.
STORES = ("sqlite", "postgres", "spool")


class Scene:
    """One fault's world. `clear` ends all of it."""

    def __init__(
        self, synapse: Synapse, cluster: Cluster, folder: Path, seed: int, lines: list[str]
    ) -> None:
        self.synapse = synapse
        self.cluster = cluster
        self.folder = folder
        # Each test has moments of its own, whichever others run before it.
        self.seed = seed ^ zlib.crc32(folder.name.encode())
        self.chance = random.Random(self.seed)
        self.users: list[User] = [synapse.register("user") for _ in range(6)]
        self.origin = Recorder(synapse.port)
        self.database = ""
        self.store = ""
        # The key of each gateway's `database.url`, if it is not `database`: a way through a relay.
        self.through: str | None = None
        self.audit: dict[str, Any] = {}
        self.spool = folder / "spool.db"
        self._started: list[Gateway] = []
        self.serving: list[Gateway] = []
        # Of all crowds, once they have gone.
        self.told: list[Told] = []
        self._lines = lines
        self._numbers = itertools.count(1)
        self._undo = contextlib.ExitStack()

    def keep_trail_in(
        self, store: str, on_small_disk: bool = False, folder: Path | None = None
    ) -> None:
        """Chooses one of `STORES`, empty; SQLite's file is in `folder`."""
        self.store = store
        if store == "sqlite":
            self.database = f"sqlite:{folder or self.folder}/audit.db"
            return
        cluster = self.cluster
        self.database = cluster.database_on_small_disk() if on_small_disk else cluster.database()
        if store == "spool":
            self.audit |= {"durability": "spool", "spool": str(self.spool)}
        else:
            self.audit |= {"durability": "store", "spool": "none"}

    def before_postgres(self, relay: Listener) -> None:
        """Gateways that are started from now on go through `relay`."""
        self.through = self.database.replace(f":{self.cluster.port}/", f":{relay.port}/")
        self._undo.callback(relay.cut)

    def mend_with(self, mend: Any, *arguments: Any) -> None:
        """Something to be done at the end, whatever happens."""
        self._undo.callback(mend, *arguments)

    def start(
        self,
        wait_for_store: bool = True,
        env: dict[str, str] | None = None,
        **config: dict[str, Any],
    ) -> Gateway:
        """One more gateway, for the crowd to use."""
        folder = self.folder / f"gateway-{next(self._numbers)}"
        sections = {**config, "audit": self.audit | config.get("audit", {})}
        served = Gateway(self.origin.url, self.through or self.database, folder, sections, env)
        self._started.append(served)
        served.wait()
        if wait_for_store:
            eventually(lambda: served.health("audit") == 200, "the trail recording", 30)
        self.serving.append(served)
        return served

    def end(self, served: Gateway, by: int = signal.SIGTERM) -> int:
        """Ends a gateway; it is not offered to the crowd any more."""
        if served in self.serving:
            self.serving.remove(served)
        return served.stop(by)

    @contextlib.contextmanager
    def crowd(self, clients: int = 12, pause: float = 0.0) -> Iterator[Crowd]:
        """Clients of all gateways that serve, until the end of the block."""
        crowd = Crowd(self.users, lambda: [each.port for each in self.serving], clients, self.seed)
        crowd.pace(pause)
        with crowd:
            yield crowd
        self.told += crowd.told

    def moment(self, at_most: float) -> None:
        """Waits until some moment."""
        time.sleep(self.chance.uniform(0, at_most))

    def reconcile(
        self, fault: str, terms: Terms = Terms(), ignoring: frozenset[str] | set[str] = frozenset()
    ) -> Reconciled:
        """Ends all gateways in order, lets the last one close what dead ones left, and reconciles; but
        for the requests with the ids `ignoring`."""
        for served in list(self.serving):
            assert self.end(served) == 0, served.log[-3000:]
        self.origin.wait_until_idle()
        make_older(self.database, None if self.store == "sqlite" else self.cluster)
        self.through = None
        closer = self.start()
        found = self._when_settled(terms, ignoring)
        assert self.end(closer) == 0, closer.log[-3000:]
        self.say(found.line(f"{fault} ({self.store})"))
        assert not found.findings, "\n".join(map(str, found.findings[:20]))
        return found

    def say(self, line: str) -> None:
        """A line for the end of the run."""
        self._lines.append(line)

    def _when_settled(self, terms: Terms, ignoring: frozenset[str] | set[str]) -> Reconciled:
        """What is shipped takes a moment, and a run is only judged by one that has lived for a while."""
        held = {user.user_id: self.synapse.content(user) for user in self.users}
        deadline = time.monotonic() + 60
        while True:
            trail = [record for record in self.trail() if record["request_id"] not in ignoring]
            asked = [each for each in self.origin.asked if each.request_id not in ignoring]
            found = reconcile(self.told, asked, trail, held, terms)
            if not found.findings or time.monotonic() > deadline:
                return found
            time.sleep(0.2)

    def trail(self) -> list[Record]:
        return records(self.database)

    def clear(self) -> None:
        for served in self._started:
            if served.process.running():
                served.process.child.send_signal(signal.SIGCONT)
                served.stop(signal.SIGKILL)
        self.origin.cut()
        self._undo.close()
        panicked = [served.log for served in self._started if "panicked at" in served.log]
        assert not panicked, panicked[0][-5000:]
