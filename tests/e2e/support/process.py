"""Processes that end with the test run, whatever becomes of it."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Process:
    """A child with its output in one file. It is killed if the test run dies before it."""

    def __init__(
        self,
        command: list[str],
        output: Path,
        user: str | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        killed_by: str = "KILL",
    ) -> None:
        self.output = output
        # `setpriv` becomes the command itself, so the pid is the command's.
        prefix = ["setpriv", "--pdeathsig", killed_by]
        if user is not None and os.geteuid() == 0:
            prefix += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        environment = {**os.environ, **(env or {})}
        if user is not None:
            environment["HOME"] = pwd.getpwnam(user).pw_dir
        with output.open("ab") as file:
            self.child = subprocess.Popen(
                prefix + command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def running(self) -> bool:
        return self.child.poll() is None

    def stop(self, by: int = signal.SIGTERM, timeout: float = 30) -> int:
        """Ends it, and returns its exit code. Safe to call twice."""
        if self.running():
            self.child.send_signal(by)
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(
                f"{self.child.args} did not end within {timeout} s of signal {by}:\n{self.log[-3000:]}"
            ) from None

    def wait_for(self, ready: Callable[[], Any], what: str, timeout: float = 60) -> Any:
        """The first true answer of `ready`; fails with the log if the child ends or time is up."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            answer = ready()
            if answer:
                return answer
            if not self.running():
                raise AssertionError(f"ended before {what}:\n{self.log[-5000:]}")
            time.sleep(0.05)
        raise AssertionError(f"not {what} within {timeout} s:\n{self.log[-5000:]}")


def eventually(check: Callable[[], Any], what: str, timeout: float = 15) -> Any:
    """The first true answer of `check`."""
    deadline = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory(pid: int) -> int:
    """What a process holds, resident, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def processor_time(pid: int) -> float:
    """How many seconds a process has been computing."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
