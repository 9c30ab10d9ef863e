"""PgBouncer in transaction mode, with one connection to the server for each database."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from faults.cluster import ROLE, Cluster
from support.process import Process, free_port

PROGRAM = Path("/usr/sbin/pgbouncer")


class Bouncer:
    def __init__(self, cluster: Cluster) -> None:
        self._server = cluster.port
        self.port = free_port()
        # It refuses to run as root, too, and pytest's folders belong to root alone.
        self.folder = Path(tempfile.mkdtemp(prefix="kbg-pgbouncer-"))
        (self.folder / "users").write_text(f'"{ROLE}" ""\n')
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={self._server}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {self.folder}/users",
            "pool_mode = transaction",
            "default_pool_size = 1",
            "server_login_retry = 1",
        ]
        (self.folder / "settings").write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, cluster.user, cluster.user)
        command = [str(PROGRAM), str(self.folder / "settings")]
        self.process = Process(command, self.folder / "output.txt", user=cluster.user)
        self.process.wait_for(self._listens, "PgBouncer listening")

    def through(self, url: str) -> str:
        return url.replace(f":{self._server}/", f":{self.port}/")

    def remove(self) -> None:
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
