"""The gateway's own binary, as an operator runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .http import Answer, request
from .process import Process, eventually
from .synapse import STABLE, User

REPOSITORY = Path(__file__).resolve().parents[3]
Record = dict[str, Any]


def binary() -> Path:
    """The binary under test: `GATEWAY`, or what `cargo build` leaves."""
    path = Path(os.environ.get("GATEWAY", REPOSITORY / "target/debug/key-backup-gateway"))
    if not path.exists():
        raise AssertionError(f"{path} is missing: run `cargo build`, or set GATEWAY")
    return path


def run(*arguments: str, timeout: float = 60, **rest: Any) -> subprocess.CompletedProcess[str]:
    """One command of the binary, to its end."""
    command = [str(binary()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **rest)


def records(database: str, kind: str | None = "exchange", **filters: str) -> list[Record]:
    """What is in the trail in `database`, oldest first; all of it with `kind=None`.

    `filters` are the flags of `audit list`.
    """
    flags = [part for name, value in filters.items() for part in (f"--{name}", value)]
    listed = run("audit", "list", "--database", database, "--format", "jsonl", "--limit", "0", *flags)
    assert listed.returncode == 0, listed.stderr
    found: list[Record] = [json.loads(line) for line in reversed(listed.stdout.splitlines())]
    return [record for record in found if kind in (None, record["kind"])]


def _value(value: Any) -> str:
    """Strings, numbers and booleans are written alike in JSON and in TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def to_toml(sections: dict[str, dict[str, Any]]) -> str:
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_value(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


class Gateway:
    """One `serve`. After `wait`, its addresses are known from its log, as port 0 asks for."""

    def __init__(
        self,
        origin: str,
        database: str,
        folder: Path,
        config: dict[str, dict[str, Any]],
        env: dict[str, str] | None = None,
    ) -> None:
        self.database = database
        folder.mkdir(parents=True, exist_ok=True)
        sections: dict[str, dict[str, Any]] = {
            "server": {
                "listen": ["127.0.0.1:0"],
                "admin_listen": "127.0.0.1:0",
                "drain": "10s",
            },
            "origin": {"url": origin},
            "database": {"url": database},
            "log": {"format": "json", "level": "info"},
        }
        for section, keys in config.items():
            sections.setdefault(section, {}).update(keys)
        self._listeners = len(sections["server"]["listen"])
        audit = sections.get("audit", {})
        with_spool = audit.get("durability") != "store" and audit.get("spool") != "none"
        self._has_spool = with_spool and database.startswith("postgres")
        self.config = folder / "gateway.toml"
        self.config.write_text(to_toml(sections))
        self.process = Process(
            [str(binary()), "serve", "--config", str(self.config)],
            folder / "output.txt",
            cwd=folder,
            env=env,
        )
        self.port = self.admin_port = 0
        # Of all TCP listeners, in their order; `port` is the first.
        self.ports: list[int] = []
        self.url = self.admin_url = ""

    def wait(self) -> None:
        """Waits until it listens."""
        self.ports, self.admin_port = self.process.wait_for(
            self._addresses, "the gateway's addresses in its log", timeout=30
        )
        self.port = self.ports[0] if self.ports else 0
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"

    def _addresses(self) -> tuple[list[int], int] | None:
        """The public ports and the admin port, as the log names them."""
        clients = re.findall(r'listening for clients on ([^\s"]+)', self.log)
        administrators = re.search(r"listening for administrators on 127\.0\.0\.1:(\d+)", self.log)
        if len(clients) < self._listeners or administrators is None:
            return None
        ports = [int(each.rsplit(":", 1)[1]) for each in clients if not each.startswith("unix:")]
        return ports, int(administrators[1])

    @property
    def log(self) -> str:
        return self.process.log

    def stop(self, by: int = signal.SIGTERM, timeout: float = 30) -> int:
        """Ends it, and returns its exit code."""
        return self.process.stop(by, timeout)

    def request(self, method: str, target: str | bytes, **rest: Any) -> Answer:
        """One request through the gateway, as `support.http.request`."""
        return request(self.port, method, target, **rest)

    def put(self, user: User, body: Any, event_type: str = STABLE, **rest: Any) -> Answer:
        """A plainly spelt write with the user's own token."""
        return self.request("PUT", user.path(event_type), token=user.token, body=body, **rest)

    def get(self, user: User, event_type: str = STABLE, **rest: Any) -> Answer:
        """A plainly spelt read with the user's own token."""
        return self.request("GET", user.path(event_type), token=user.token, **rest)

    def admin(self, path: str, **rest: Any) -> Answer:
        """A GET on the admin listener. `rest` as for `build`."""
        return request(self.admin_port, "GET", path, **rest)

    def health(self, which: str) -> int:
        """The status of `/health/{which}`."""
        return self.admin(f"/health/{which}").status

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry `labels`; 0 if there is none."""
        total = 0.0
        for line in self.admin("/metrics").body.decode().splitlines():
            if re.match(rf"{name}[ {{]", line):
                if all(f'{key}="{value}"' in line for key, value in labels.items()):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def records(self, kind: str | None = "exchange", **filters: str) -> list[Record]:
        """The trail's exchanges, oldest first. Reads are queued: see `records_when`."""
        self._wait_for_the_shipper()
        return records(self.database, kind, **filters)

    def _wait_for_the_shipper(self, patience: float = 5) -> None:
        """Until the store has what is durable; not for long, as it may be away."""
        if not self._has_spool or self.process.child.poll() is not None:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                shipped = self.metric("keybackup_records_shipped_total")
                if shipped >= self.metric("keybackup_records_appended_total"):
                    return
            except OSError:
                # It ends, or does not listen yet.
                return
            time.sleep(0.02)

    def records_when(
        self, ready: Callable[[list[Record]], Any], timeout: float = 15, **filters: str
    ) -> list[Record]:
        """The trail as soon as it is `ready`."""

        def look() -> list[list[Record]]:
            found = self.records(**filters)
            return [found] if ready(found) else []

        return list(eventually(look, "the trail as expected", timeout)[0])

    def of_request(self, request_id: str) -> list[Record]:
        """The records of the request that carried `X-Request-Id: request_id`."""
        return [record for record in self.records() if record["request_id"] == request_id]
