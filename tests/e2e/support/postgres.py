"""A Postgres cluster of the tests' own."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .process import Process, free_port


def binaries() -> Path:
    """The folder of the newest server binaries on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda at: int(at.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        raise AssertionError("no Postgres server binaries: `tests/run e2e` installs them")
    return Path(on_path).parent


class Postgres:
    """One cluster, on a free port of 127.0.0.1, that trusts everyone."""

    def __init__(self) -> None:
        self.bin = binaries()
        # Postgres refuses to run as root, and pytest's folders belong to root alone.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.folder = Path(tempfile.mkdtemp(prefix="kbg-postgres-"))
        self.port = free_port()
        self._numbers = itertools.count(1)
        self.process: Process | None = None
        try:
            if os.geteuid() == 0:
                shutil.chown(self.folder, self.user, self.user)
            initdb = [str(self.bin / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres"]
            initdb += ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
            made = Process(initdb, self.folder / "initdb.txt", user=self.user)
            assert made.child.wait(120) == 0, made.log
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": str(self.folder),
            "max_connections": 200,
            # The cluster need not survive the machine.
            "fsync": "off",
        }
        command = [str(self.bin / "postgres"), "-D", str(self.folder / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = Process(
            command, self.folder / "output.txt", user=self.user, killed_by="QUIT"
        )
        ready = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self.process.wait_for(lambda: subprocess.run(ready).returncode == 0, "Postgres ready")

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop(signal.SIGINT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tool(self, name: str, *arguments: str) -> str:
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        done = subprocess.run(
            [str(self.bin / name), *address, *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def database(self) -> str:
        """A new, empty database. Returns its URL."""
        name = f"test{next(self._numbers)}"
        self._tool("createdb", name)
        return f"postgres://postgres@127.0.0.1:{self.port}/{name}"

    def query(self, url: str, sql: str) -> str:
        """Runs `sql`; rows as lines, columns apart by `|`."""
        name = url.rsplit("/", 1)[1]
        return self._tool("psql", "-v", "ON_ERROR_STOP=1", "-At", "-d", name, "-c", sql).strip()

    def dump(self, url: str) -> str:
        """Everything that stands in the database."""
        return self._tool("pg_dump", "--inserts", url.rsplit("/", 1)[1])
