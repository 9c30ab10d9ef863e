"""What must be on the machine, and processes that end with the script."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# Command and Debian package.
TOOLS = {"wrk": "wrk", "h2load": "nghttp2-client", "nginx": "nginx"}
POLICY = Path("/usr/sbin/policy-rc.d")


class Trouble(Exception):
    """The soak cannot go on, and that says nothing about the gateway: exit 69."""


class Fault(Exception):
    """The soak cannot go on, because the gateway failed: exit 1."""


def say(text: str) -> None:
    print(f"{Path(sys.argv[0]).name}: {text}", flush=True)


# === what must be there ===


def as_root(command: list[str], **rest: Any) -> subprocess.CompletedProcess[bytes]:
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    return subprocess.run(prefix + command, stdin=subprocess.DEVNULL, **rest)


@contextlib.contextmanager
def without_starting() -> Iterator[None]:
    """Debian starts every server it installs. Ours is started below, on a free port."""
    ours = not POLICY.exists()
    if ours:
        as_root(["sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY}; chmod 755 {POLICY}"])
    try:
        yield
    finally:
        if ours:
            as_root(["rm", "-f", str(POLICY)])


def install(tools: Mapping[str, str] = TOOLS, packages: tuple[str, ...] = ()) -> None:
    """Installs the tools that are missing, and the packages, with apt."""
    # The servers of the distribution are not on an ordinary user's path.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [package for command, package in tools.items() if shutil.which(command) is None]
    missing += packages
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Trouble(f"missing, and there is no apt-get to install it: {' '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "timeout", "15m", "apt-get", "-y", "-q"]
    as_root([*apt, "update"], stdout=sys.stderr)
    with without_starting():
        installed = as_root([*apt, "install", "--no-install-recommends", *missing], stdout=sys.stderr)
        if installed.returncode != 0:
            raise Trouble(f"could not install {' '.join(missing)}")


def build() -> Path:
    """The gateway as operators run it: built in release mode."""
    say("building the gateway in release mode; the first time takes some minutes")
    command = ["cargo", "build", "--release", "--locked", "--bin", "key-backup-gateway"]
    try:
        subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, timeout=3600, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Trouble(f"the gateway could not be built: {error}") from error
    # A relative one is relative to where cargo ran.
    target = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target")
    return target / "release/key-backup-gateway"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# === processes ===


class Process:
    """A child with its output in one file. Leaving the `with` block ends it."""

    def __init__(self, command: list[str], output: Path) -> None:
        self.output = output
        # The child ends when we are killed, too. A group of its own keeps the terminal's Ctrl-C
        # from it: the order in which things end is ours.
        with output.open("ab") as file:
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.child.pid

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def running(self) -> bool:
        return self.child.poll() is None

    def wait(self, timeout: float) -> int:
        """Its exit code; `Trouble` if it has not ended by itself in time."""
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise Trouble(f"{self.child.args} took longer than {timeout:.0f} s") from None

    def stop(self, timeout: float = 40) -> int:
        """Ends it and all it has started, and returns its exit code. Safe to call twice."""
        if self.running():
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.child.wait()
        return self.child.returncode


def wait_for(ready: Callable[[], Any], what: str, timeout: float = 30) -> Any:
    """The first true answer of `ready`."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if answer := ready():
            return answer
        time.sleep(0.05)
    raise Trouble(f"not within {timeout:.0f} s: {what}")
