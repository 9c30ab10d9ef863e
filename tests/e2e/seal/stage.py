"""A homeserver's double, gateways before it, the trail that they seal, and what both verifiers say of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faults.cluster import Cluster
from faults.stage import codes
from support.gateway import Gateway, Record, records, run
from support.load import Client, Load, Said
from support.process import eventually
from support.synapse import account_data_path
from tamper.homeserver import USERS, Homeserver, user
from tamper.verifiers import Both, verify
from verifier.notes import notes_in

from .stores import PostgresStore, SqliteStore, Store

NAME = "example.org/seal"
# A record is sealed within a second or so. Timings are no tests: this is only to tell late from never.
SOON = 5.0
CLOSEST = """
    SELECT min(extract(epoch FROM gap)) FROM (
        SELECT made_at - lag(made_at) OVER (ORDER BY size) AS gap FROM audit_checkpoint
    ) AS gaps
"""
LEFT = """
    SELECT (SELECT count(*) FROM audit_record) - (SELECT count(*) FROM audit_leaf),
        (SELECT count(*) FROM audit_pending)
"""


class Stage:
    """One test's world. `clear` ends all of it."""

    def __init__(self, folder: Path, cluster: Cluster | None, seed: int) -> None:
        self.folder = folder
        # Each test has moments of its own, whichever others run before it.
        self.chance = random.Random(seed ^ zlib.crc32(folder.name.encode()))
        self.homeserver = Homeserver()
        self.store: Store = PostgresStore(cluster) if cluster else SqliteStore(folder)
        self.file = folder / "checkpoints.txt"
        self.audit: dict[str, Any] = {}
        if cluster:
            self.key = folder / "seal.key"
            self.audit = {"durability": "store", "spool": "none"}
            made = run("audit", "keygen", "--name", NAME, "--key-file", str(self.key))
            assert made.returncode == 0, made.stderr
        else:
            # Made by the first gateway.
            self.key = folder / "audit.db.key"
        self._started: list[Gateway] = []
        self._numbers = itertools.count(1)
        self._undo = contextlib.ExitStack()

    @property
    def database(self) -> str:
        return self.store.url

    @property
    def public_key(self) -> Path:
        return self.key.with_suffix(".pub")

    def undo_with(self, undo: Callable[[], Any]) -> None:
        """Something to be done at the end, whatever happens."""
        self._undo.callback(undo)

    # === gateways ===

    def start(
        self, database: str | None = None, wait: bool = True, log: str = "info", **checkpoint: Any
    ) -> Gateway:
        """One more gateway. `checkpoint` is added to `[checkpoint]`; what is `None` is left out."""
        sections: dict[str, Any] = {"interval": "1s", "file": str(self.file)}
        if isinstance(self.store, PostgresStore):
            sections["key_file"] = str(self.key)
        sections |= checkpoint
        config = {
            "checkpoint": {name: value for name, value in sections.items() if value is not None},
            "audit": self.audit,
            "log": {"level": log},
        }
        folder = self.folder / f"gateway-{next(self._numbers)}"
        gateway = Gateway(self.homeserver.url, database or self.database, folder, config)
        self._started.append(gateway)
        if wait:
            gateway.wait()
        return gateway

    def stop(self, *gateways: Gateway) -> None:
        """In good order."""
        for gateway in gateways:
            gateway.process.child.send_signal(signal.SIGTERM)
        for gateway in gateways:
            assert gateway.stop() == 0, gateway.log[-3000:]

    def kill(self, gateway: Gateway) -> None:
        gateway.stop(signal.SIGKILL)

    def clear(self) -> None:
        for gateway in self._started:
            if gateway.process.running():
                gateway.process.child.send_signal(signal.SIGCONT)
                gateway.stop(signal.SIGKILL)
        self.homeserver.cut()
        self._undo.close()
        self.store.drop()
        panicked = [each.log for each in self._started if "panicked at" in each.log]
        assert not panicked, panicked[0][-5000:]

    # === traffic ===

    def write(self, gateway: Gateway, times: int = 1) -> None:
        """So many writes, each with its intent and its outcome in the trail."""
        client = Client(gateway.port)
        for _ in range(times):
            said = self._write(client)
            assert said.status == 200, said
        client.close()

    @contextlib.contextmanager
    def load(self, ports: Callable[[], list[int]], clients: int = 4, pause: float = 0.01) -> Iterator[Load]:
        """Clients that write to any of the gateways until the end of the block, whatever they are told."""

        def client() -> Callable[[], Said | None]:
            kept: dict[int, Client] = {}

            def ask() -> Said | None:
                there = ports()
                if not there:
                    return None
                port = self.chance.choice(there)
                return self._write(kept.setdefault(port, Client(port)))

            return ask

        with Load() as load:
            for _ in range(clients):
                load.add(client(), lambda: pause)
            yield load

    def _write(self, client: Client) -> Said:
        number = self.chance.randint(1, USERS)
        body = json.dumps({"enabled": self.chance.random() < 0.5}).encode()
        return client.ask("PUT", account_data_path(user(number)), body, {"Authorization": f"Bearer t{number}"})

    # === the trail ===

    def sql(self, statement: str) -> str:
        return self.store.sql(statement)

    def number(self, statement: str) -> int:
        return int(self.sql(statement))

    def leaves(self) -> int:
        return self.number("SELECT count(*) FROM audit_leaf")

    def count(self) -> int:
        """How many records there are."""
        return self.number("SELECT count(*) FROM audit_record")

    def checkpoints(self) -> list[int]:
        """The sizes of those in the database."""
        return [int(line) for line in self.sql("SELECT size FROM audit_checkpoint ORDER BY size").split()]

    def closest(self) -> float:
        """How many seconds apart the closest two checkpoints are; of Postgres alone."""
        return float(self.sql(CLOSEST))

    def checkpointed(self) -> int:
        """Waits until a checkpoint covers every record; how many leaves it has."""
        eventually(lambda: self.checkpoints()[-1:] == [self.sealed()], "a checkpoint of all leaves")
        return self.checkpoints()[-1]

    def sealed(self, timeout: float = SOON) -> int:
        """Waits until every record is a leaf, once, and nothing waits; how many there are."""
        try:
            eventually(lambda: self.sql(LEFT) == "0|0", "every record sealed", timeout)
        except AssertionError as error:
            logs = "\n".join(each.log[-1500:] for each in self._started[-2:])
            raise AssertionError(f"{error}: {self.sql(LEFT)} are left\n{logs}") from None
        row = self.sql(
            "SELECT count(*), count(DISTINCT record_id), coalesce(min(leaf_index), 0), max(leaf_index) + 1, "
            "(SELECT size FROM audit_tree_head) FROM audit_leaf"
        )
        leaves, records_, first, after, size = map(int, row.split("|"))
        assert (leaves, first, after, size) == (records_, 0, records_, records_), row
        return leaves

    def operations(self, name: str) -> list[Record]:
        """The records of one operation, oldest first."""
        found = records(self.database, kind="operation")
        return [each for each in found if (each["detail"] or {}).get("operation") == name]

    def verdict(self, *arguments: str) -> Both:
        """What both verifiers say of the database."""
        return verify("--database", self.database, "--public-key", str(self.public_key), *arguments)

    def is_sound(self, *arguments: str) -> dict[str, Any]:
        """Both say so, and count alike; their report."""
        said = self.verdict(*arguments)
        assert said.gateway.exit == 0, said.gateway.said
        assert said.agree, f"{said.gateway.said}\n{said.python.said}"
        return said.gateway.report

    def is_whole(self, *gateways: Gateway) -> dict[str, Any]:
        """Ends the gateways, after which every record is sealed once, and all of it is sound, also by what was
        published."""
        self.stop(*gateways)
        size = self.sealed()
        report = self.is_sound("--checkpoint", str(self.file))
        assert (report["records"], report["sealed"], report["unsealed"]) == (size, size, 0), report
        assert self.checkpoints()[-1] == size
        return report

    def published(self) -> list[str]:
        """The notes in the file."""
        return notes_in(self.file.read_text()) if self.file.is_file() else []


def says(gateway: Gateway, code: str, timeout: float = SOON) -> str:
    """Waits until `/health/audit` names `code`, and returns what it says."""
    try:
        eventually(lambda: code in codes(gateway), f"{code} in /health/audit", timeout)
    except AssertionError as error:
        raise AssertionError(f"{error}; it says {codes(gateway)}\n{gateway.log[-2000:]}") from None
    reasons = gateway.admin("/health/audit").json()["reasons"]
    return str(next((each["message"] for each in reasons if each["code"] == code), ""))


def is_well(gateway: Gateway, timeout: float = SOON) -> None:
    try:
        eventually(lambda: gateway.health("audit") == 200, "/health/audit well", timeout)
    except AssertionError as error:
        raise AssertionError(f"{error}; it says {codes(gateway)}\n{gateway.log[-2000:]}") from None
