"""The gateway under test: started as an operator starts it, and read from outside."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .machine import Fault, Process, Trouble, wait_for

TCP_LISTEN = "0A"


@dataclass(frozen=True)
class Reading:
    """What the gateway holds at one moment."""

    # Resident memory, in KiB.
    rss: int
    # Open descriptors; how many of them are clients' connections, and connections to the origin.
    fds: int
    clients: int
    origins: int
    threads: int


def files_of(folder: Path) -> list[str]:
    """What the open descriptors of the process at `folder` are."""
    files = []
    for descriptor in (folder / "fd").iterdir():
        # It may be closed while we look.
        with contextlib.suppress(FileNotFoundError):
            files.append(str(descriptor.readlink()))
    return files


class Gateway:
    """Forwards once the `with` block is entered; leaving it ends it."""

    def __init__(self, binary: Path, origin_port: int, database: str | None, folder: Path) -> None:
        self.origin_port = origin_port
        config = folder / "gateway.toml"
        sections = {
            "server": {"listen": ["127.0.0.1:0"], "admin_listen": "127.0.0.1:0", "drain": "10s"},
            "origin": {"url": f"http://127.0.0.1:{origin_port}"},
            # A disk that is slow for a while is not what this is about.
            "audit": {"deadline": "20s"},
            "database": {"url": database or f"sqlite:{folder}/trail.db"},
            "log": {"format": "json"},
        }
        # Strings and lists of them are written alike in JSON and in TOML.
        config.write_text(
            "\n".join(
                f"[{section}]\n" + "".join(f"{key} = {json.dumps(keys[key])}\n" for key in keys)
                for section, keys in sections.items()
            )
        )
        command = [str(binary), "serve", "--config", str(config)]
        self.process = Process(command, folder / "gateway-output.txt")
        self.port = self.admin_port = 0

    def __enter__(self) -> Gateway:
        self.port = int(self._logged(r"listening for clients on 127\.0\.0\.1:(\d+)"))
        self.admin_port = int(self._logged(r"listening for administrators on 127\.0\.0\.1:(\d+)"))
        for health in ("ready", "audit"):
            wait_for(lambda h=health: self._is_healthy(h), f"/health/{health} is green")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def read(self) -> Reading:
        """What it holds now."""
        self.must_run()
        folder = Path("/proc") / str(self.process.pid)
        try:
            status = dict(re.findall(r"^(\w+):\s*(\d+)", (folder / "status").read_text(), re.M))
            sockets, files = self._sockets(folder), files_of(folder)
        except (OSError, KeyError) as error:
            raise Trouble(f"the gateway cannot be read: {error}\n{self.tail()}") from error
        held = [sockets.get(file, "") for file in files]
        return Reading(
            rss=int(status["VmRSS"]),
            fds=len(files),
            clients=held.count("client"),
            origins=held.count("origin"),
            threads=int(status["Threads"]),
        )

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by name and labels."""
        lines = self._admin("/metrics")[1].splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def complaints(self) -> tuple[list[str], list[str]]:
        """What its log has above `info`: warnings, and errors and panics."""
        warnings, errors = [], []
        for line in self.process.log().splitlines():
            # Only a panic, or a bug, says something that is no JSON.
            level = json.loads(line).get("level") if line.startswith("{") else "ERROR"
            if level == "WARN":
                warnings.append(line)
            elif level == "ERROR":
                errors.append(line)
        return warnings, errors

    def must_run(self) -> None:
        """`Fault` if it has ended."""
        if not self.process.running():
            code = self.process.child.returncode
            raise Fault(f"the gateway ended by itself, with {code}:\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        return self.process.log()[-2000:]

    def _logged(self, pattern: str) -> str:
        def find() -> re.Match[str] | None:
            self.must_run()
            return re.search(pattern, self.process.log())

        return str(wait_for(find, f"the gateway logs “{pattern}”")[1])

    def _is_healthy(self, health: str) -> bool:
        return self._admin(f"/health/{health}")[0] == 200

    def _admin(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError as error:
            raise Trouble(f"{url}: {error}\n{self.tail()}") from error

    def _sockets(self, folder: Path) -> dict[str, str]:
        """What the TCP sockets of this machine are to us, by their name among descriptors."""
        found = {}
        for line in (folder / "net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *rest = line.split()
            name = f"socket:[{rest[5]}]"
            if state == TCP_LISTEN:
                continue
            if int(local.split(":")[1], 16) == self.port:
                found[name] = "client"
            elif int(remote.split(":")[1], 16) == self.origin_port:
                found[name] = "origin"
        return found
