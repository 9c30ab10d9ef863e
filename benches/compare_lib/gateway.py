"""The gateway with every layer in place: the trail in Postgres behind a spool, and sealed."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

from audit_lib.cluster import Cluster
from soak_lib.machine import Trouble, wait_for

from .ports import free
from .proxies import Proxy

# Its trail is moved and sealed by then.
DRAINING = 60
WORKERS = "workers = 1"


class Gateway(Proxy):
    name = "gateway"

    def __init__(self, folder: Path, origin: int, certificate: Path, binary: Path, trail: Trail) -> None:
        self.trail, self.admin = trail, free()
        ports = {"http": free(), "https": free()}
        tls = f'{{ certificate_file = "{certificate}", key_file = "{certificate}" }}'
        config = folder / "gateway.toml"
        config.write_text(f"""
[server]
listen = ["127.0.0.1:{ports["http"]}", {{ address = "127.0.0.1:{ports["https"]}", tls = {tls} }}]
admin_listen = "127.0.0.1:{self.admin}"
{WORKERS}

[origin]
url = "http://127.0.0.1:{origin}"

[audit]
spool = "{folder}/spool.db"

[database]
url = "{trail.url}"

[checkpoint]
key_file = "{trail.key}"
""")
        super().__init__(folder, [str(binary), "serve", "--config", str(config)], **ports)

    def __enter__(self) -> Gateway:
        super().__enter__()
        for health in ("ready", "audit"):
            wait_for(lambda h=health: self._is_healthy(h), f"/health/{health} is green")
        return self

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by name and labels."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except OSError as error:
            raise Trouble(f"the gateway has no metrics: {error}\n{self.process.log()[-2000:]}") from error
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def drain(self) -> None:
        """Until all that was recorded is in Postgres and sealed."""
        wait_for(self._is_drained, "the trail is shipped and sealed", DRAINING)

    def dropped_reads(self) -> int:
        """How many reads have no record of their own, because too much was waiting."""
        return round(self.metrics()['keybackup_records_collapsed_total{what="dropped_read"}'])

    def _is_drained(self) -> bool:
        metrics = self.metrics()
        waiting = metrics["keybackup_writer_queue"] + metrics["keybackup_spool_records"]
        return waiting == 0 and self.trail.waiting() == 0

    def _is_healthy(self, health: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/health/{health}", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            if not self.process.running():
                raise Trouble(f"the gateway ended by itself:\n{self.process.log()[-2000:]}") from None
            return False


class Trail:
    """A database of the cluster, and the key by which it is sealed."""

    def __init__(self, cluster: Cluster, name: str, key: Path) -> None:
        self.cluster, self.name, self.key = cluster, name, key
        cluster.psql("postgres", f"CREATE DATABASE {name}")

    @property
    def url(self) -> str:
        return self.cluster.url(self.name)

    def waiting(self) -> int:
        """How many records are not sealed."""
        return int(self.cluster.psql(self.name, "SELECT count(*) FROM audit_pending"))

    def reads(self) -> int:
        """How many reads are recorded, and sealed."""
        return int(self.cluster.psql(self.name, """
            SELECT count(*) FROM audit_record JOIN audit_leaf ON record_id = id
            WHERE kind = 'exchange' AND action = 'read'"""))
