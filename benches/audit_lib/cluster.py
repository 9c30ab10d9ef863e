"""A Postgres of the benchmark's own, on the disk of its folder, and what is run against it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path

from soak_lib.machine import Process, Trouble, free_port, wait_for

# What whoever keeps ten million rows would set; all else is the distribution's, durability too.
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
}
# While the rows are made, which nobody would miss.
HASTE = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
STATEMENT_LIMIT = 3600


def binaries() -> Path:
    """Those of the newest Postgres that is installed."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "pgbench").exists()]
    if not found:
        raise Trouble("Postgres and pgbench are missing: install postgresql")
    return max(found, key=lambda path: int(path.parent.name))


class Cluster:
    """Runs between `start` and `stop`; the folder stays."""

    def __init__(self, folder: Path, commit: float = 0.0, settings: Mapping[str, str] | None = None) -> None:
        """A commit takes at least `commit` seconds, whatever the disk; `settings` go before `SETTINGS`."""
        self.folder = folder
        self.settings = {**SETTINGS, **(settings or {})}
        self.commit = commit
        self.binaries = binaries()
        self.port = 0
        self.process: Process | None = None
        # Postgres refuses to run as root.
        self.user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []

    def is_new(self) -> bool:
        return not (self.folder / "data").exists()

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", str(self.folder / "data"), "--no-sync", "--auth=trust",
                  "--username=postgres", "--encoding=UTF8", "--locale=C")

    def start(self, haste: bool = False) -> None:
        self.port = self.port or free_port()
        settings = {"port": str(self.port), "listen_addresses": "127.0.0.1",
                    "unix_socket_directories": "", **self.settings, **(HASTE if haste else {})}
        command = ["setpriv", *self.user, "--pdeathsig", "INT", "--", "env", *self._slowly(),
                   str(self.binaries / "postgres"), "-D", str(self.folder / "data")]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        self.process = Process(command, self.folder / "log.txt")
        wait_for(self._answers, "Postgres answers", 120)

    def _slowly(self) -> list[str]:
        """The variables that make the disk as slow as it is to be."""
        if not self.commit:
            return []
        library = self.folder / "slow_disk.so"
        source = Path(__file__).with_name("slow_disk.c")
        compiled = subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
                                  capture_output=True, text=True, check=False)
        if compiled.returncode != 0:
            raise Trouble(f"slow_disk.c could not be compiled:\n{compiled.stderr}")
        return [f"LD_PRELOAD={library}", f"COMMIT_TAKES_US={self.commit * 1e6:.0f}"]

    def stop(self, kept: bool = True) -> None:
        """Ends it, whoever is connected, with all that it holds written if that is `kept`."""
        if self.process is not None:
            if self.process.running():
                self.process.child.send_signal(signal.SIGINT if kept else signal.SIGQUIT)
                self.process.wait(600)
            self.process = None

    def sync(self) -> None:
        """Makes durable what was made in haste."""
        self._run("initdb", "-D", str(self.folder / "data"), "--sync-only")

    def url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def psql(self, database: str, sql: str) -> str:
        """What the statements say, without decoration."""
        return self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.url(database), "-c", sql)

    def rate(self, database: str, script: str, clients: int, seconds: float) -> float:
        """Transactions of `script` a second."""
        output = self._pgbench(database, script, "-c", str(clients), "-j", "1", "-T", f"{seconds:.0f}")
        found = re.search(r"tps = ([\d.]+) \(without initial", output)
        if found is None:
            raise Trouble(f"pgbench says no rate: {output}")
        return float(found[1])

    def latency(self, database: str, script: str, transactions: int) -> float:
        """The median of one transaction of one client, in seconds."""
        prefix = self.folder / "latency"
        self._pgbench(database, script, "-c", "1", "-t", str(transactions), "-l",
                      f"--log-prefix={prefix}")
        took = []
        for log in self.folder.glob("latency.*"):
            took += [int(line.split()[2]) for line in log.read_text().splitlines()]
            log.unlink()
        return statistics.median(took) / 1e6

    def _pgbench(self, database: str, script: str, *how: str) -> str:
        file = self.folder / "script.sql"
        file.write_text(script)
        return self._run("pgbench", "-n", "-M", "prepared", "-f", str(file), *how, self.url(database))

    def _answers(self) -> bool:
        if self.process is None or not self.process.running():
            raise Trouble(f"Postgres ended:\n{self.process.log()[-2000:] if self.process else ''}")
        probe = [str(self.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        command = ["setpriv", *self.user, "--pdeathsig", "TERM", "--", str(self.binaries / program)]
        done = subprocess.run([*command, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=STATEMENT_LIMIT, check=False)
        if done.returncode != 0:
            raise Trouble(f"{program} failed with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout.strip()
