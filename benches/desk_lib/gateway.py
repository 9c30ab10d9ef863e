"""The gateway, with somebody who may look at its desk."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from seal_lib import commands
from soak_lib.machine import Process, Trouble, free_port, wait_for

TOKEN, HASH = r"\bkbg_[A-Za-z0-9_-]{43}\b", r"\bsha256:[0-9a-f]{64}\b"
# `VmHWM` begins anew.
FORGET_PEAK = "5"


class Gateway:
    """Forwards, and answers auditors, once the `with` block is entered; leaving it ends it."""

    def __init__(self, binary: Path, origin: int, url: str, folder: Path, key: Path | None) -> None:
        """With a `key` it seals."""
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.port, self.admin = free_port(), free_port()
        said = commands.run(str(binary), "audit", "token", "--role", "auditor", "--name", "bench").output
        token, digest = re.search(TOKEN, said), re.search(HASH, said)
        if token is None or digest is None:
            raise Trouble("`audit token` says no token, or no hash of one")
        self.token = token[0]
        config = folder / "gateway.toml"
        checkpoint = f'[checkpoint]\nkey_file = "{key}"' if key else ""
        config.write_text(f"""
[server]
listen = ["127.0.0.1:{self.port}"]
admin_listen = "127.0.0.1:{self.admin}"

[origin]
url = "http://127.0.0.1:{origin}"

[audit]
spool = "{folder}/spool.db"
# A disk that is slow for a while is not what this is about.
deadline = "20s"

[database]
url = "{url}"

[admin]
tokens = [{{ name = "bench", role = "auditor", hash = "{digest[0]}" }}]

{checkpoint}
""")
        self.process = Process([str(binary), "serve", "--config", str(config)], folder / "gateway-output.txt")

    def __enter__(self) -> Gateway:
        for health in ("ready", "audit"):
            wait_for(lambda h=health: self._is_healthy(h), f"/health/{health} is green", 60)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text(FORGET_PEAK)

    def peak(self) -> int:
        """The most memory it has had since then, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.M)
        if found is None:
            raise Trouble(f"the memory of the gateway cannot be read:\n{self.tail()}")
        return int(found[1]) * 1024

    def waiting(self) -> float:
        """How many records are not in Postgres yet."""
        url = f"http://127.0.0.1:{self.admin}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except OSError as error:
            raise Trouble(f"the gateway has no metrics: {error}\n{self.tail()}") from error
        found = dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return float(found["keybackup_writer_queue"]) + float(found["keybackup_spool_records"])

    def tail(self) -> str:
        """The end of its log."""
        return self.process.log()[-2000:]

    def _is_healthy(self, health: str) -> bool:
        if not self.process.running():
            raise Trouble(f"the gateway ended by itself:\n{self.tail()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/health/{health}", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
