"""Restarts by socket activation: the service manager holds the socket, so that whoever comes while
one run ends and the next begins waits, and is served."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.gateway import binary, records, to_toml
from support.http import request
from support.load import Client, Load, Said
from support.process import Process, eventually, free_port
from support.relay import Listener, Origin, Seen, answer
from support.synapse import Synapse, User

Keep = Callable[[Listener], Listener]

RESTARTS = 10
# Shorter than the longest polls, longer than any other request.
DRAIN = 2

# What a service manager does: the socket stays with it, and each run gets it anew. Only who is named
# in LISTEN_PID takes it.
HOLDER = """
while [ ! -e {folder}/over ]; do
    sh -c 'echo $$ >{folder}/pid; LISTEN_PID=$$ exec "$@"' sh "$@"
    echo $? >>{folder}/codes
done
"""


class Activated:
    """A gateway behind `systemd-socket-activate`, started again whenever it ends."""

    def __init__(self, origin: str, folder: Path) -> None:
        self.folder = folder
        self.database = f"sqlite:{folder}/audit.db"
        self.port = free_port()
        config = folder / "gateway.toml"
        sections = {
            "server": {
                "listen": ["fd:clients"],
                "admin_listen": "127.0.0.1:0",
                "drain": f"{DRAIN}s",
            },
            "origin": {"url": origin},
            "database": {"url": self.database},
            "log": {"format": "json"},
        }
        config.write_text(to_toml(sections))
        tool = shutil.which("systemd-socket-activate")
        assert tool, "systemd-socket-activate is missing: `tests/run e2e` installs it"
        serve = [str(binary()), "serve", "--config", str(config)]
        holder = ["sh", "-c", HOLDER.format(folder=folder), "sh", *serve]
        listen = ["-l", f"127.0.0.1:{self.port}", "--fdname=clients"]
        self.process = Process([tool, *listen, *holder], folder / "output.txt", cwd=folder)
        # Not by connecting: the first client starts the first run.
        eventually(lambda: "Listening on" in self.process.log, "the service manager listening")

    def pid(self) -> int:
        """Of the run that serves; 0 if there is none."""
        try:
            return int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return 0

    def runs(self) -> int:
        return self.process.log.count("listening for clients on")

    def codes(self) -> list[int]:
        """How the runs so far ended."""
        codes = self.folder / "codes"
        return [int(line) for line in codes.read_text().split()] if codes.exists() else []

    def restart(self) -> None:
        ended, runs = len(self.codes()), self.runs()
        Process(["kill", "-TERM", str(self.pid())], self.folder / "kill.txt").child.wait()
        eventually(lambda: len(self.codes()) > ended, "the run ended", 30)
        eventually(lambda: self.runs() > runs, "the next run", 30)

    def stop(self) -> None:
        """Ends the run, and the loop."""
        (self.folder / "over").touch()
        if pid := self.pid():
            Process(["kill", "-TERM", str(pid)], self.folder / "kill.txt").child.wait()
            self.process.child.wait(30)
        else:
            self.process.stop()


@pytest.fixture
def activated(tmp_path: Path, origin: Origin) -> Iterator[Activated]:
    running = Activated(origin.url, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def origin(synapse: Synapse, listening: Keep) -> Origin:
    """Answers what is below `/test/` itself, polls after the seconds that they name; the rest is Synapse's."""

    def script(seen: Seen) -> bytes | Callable[[socket.socket], None] | None:
        if not seen.target.startswith("/test/"):
            return None
        said = answer(200, json.dumps({"target": seen.target, "length": len(seen.body)}).encode())
        if "/poll/" not in seen.target:
            return said
        time.sleep(float(seen.target.rsplit("/", 1)[1]))
        return said

    double = Origin(synapse.port, script)
    listening(double)
    return double


class Users:
    """A mixed crowd. Every request has a name of its own, so that the origin's side can be counted."""

    def __init__(self, port: int, load: Load) -> None:
        self._port, self._load = port, load
        self._numbers = itertools.count(1)
        # Those whose repetition is allowed, and was needed.
        self.repeated: list[Said] = []

    def _target(self, kind: str, last: object = "x") -> str:
        return f"/test/{kind}/{next(self._numbers)}/{last}"

    def keep_alive(self, method: str, pause: Callable[[], float]) -> None:
        client = Client(self._port)

        def ask() -> Said:
            body = random.randbytes(random.randrange(5000)) if method == "POST" else None
            target = self._target(f"kept-{method}")
            said = client.ask(method, target, body)
            if said.may_be_repeated:
                self.repeated.append(said)
                said = client.ask(method, target, body)
            return said

        self._load.add(ask, pause)

    def anew(self, method: str, pause: Callable[[], float]) -> None:
        def ask() -> Said:
            client = Client(self._port)
            try:
                return client.ask(method, self._target(f"new-{method}"), b"x" * 100 if method == "POST" else None)
            finally:
                client.close()

        self._load.add(ask, pause)

    def poll(self) -> None:
        client = Client(self._port)
        self._load.add(lambda: client.ask("GET", self._target("poll", random.choice([0.5, 1, 3, 6]))))

    def write(self, user: User) -> None:
        """Guarded writes."""
        values = itertools.cycle([True, False])

        def ask() -> Said:
            body = json.dumps({"enabled": next(values)}).encode()
            fields = {"Authorization": f"Bearer {user.token}", "Content-Type": "application/json"}
            client = Client(self._port)
            try:
                return client.ask("PUT", user.path(), body, fields)
            finally:
                client.close()

        self._load.add(ask, lambda: 0.1)


def test_ten_restarts_under_load_fail_no_request_that_a_client_may_not_repeat(
    activated: Activated, origin: Origin, synapse: Synapse
) -> None:
    alice = synapse.register("alice")
    # The first client is what starts the first run.
    assert request(activated.port, "GET", "/test/first/0/x", timeout=30).status == 200
    with Load() as load:
        users = Users(activated.port, load)
        for _ in range(2):
            users.keep_alive("GET", lambda: random.uniform(0, 0.1))
            users.keep_alive("POST", lambda: random.uniform(0, 0.1))
            # These are idle when the end comes, and for longer than they are given.
            users.keep_alive("GET", lambda: random.uniform(1, 3))
            users.anew("GET", lambda: random.uniform(0, 0.1))
            users.anew("POST", lambda: random.uniform(0, 0.1))
            users.poll()
        users.write(alice)
        for _ in range(RESTARTS):
            time.sleep(random.uniform(1, 2))
            activated.restart()
        time.sleep(1)
    assert activated.codes() == [0] * RESTARTS, activated.process.log[-3000:]

    kinds = Counter(said.target.split("/")[2] for said in load.said)
    assert all(kinds[kind] >= 50 for kind in ("kept-GET", "kept-POST", "new-GET", "new-POST")), kinds
    failed = [said for said in load.said if said.status is None]
    # A poll that was open when the time to drain was over.
    cut = [said for said in failed if "/poll/" in said.target and not said.begun]
    assert [said for said in failed if said not in cut] == []
    assert len(cut) <= 2 * RESTARTS
    assert {said.status for said in load.said} <= {200, None}
    # Nobody waited for more than the drain and a start.
    assert max(said.seconds for said in load.said if "/poll/" not in said.target) < DRAIN + 8
    # Those that kept their connections were told in time.
    assert sum(said.closes for said in load.said if "/kept-" in said.target) >= RESTARTS

    # What the origin saw is what was asked: no POST twice, and no answer that was never asked for.
    seen = Counter(request.target for request in origin.seen if request.target.startswith("/test/"))
    for said in load.said:
        if "POST" in said.method:
            assert seen[said.target] == 1, said
        assert seen[said.target] <= 1 + (said.target in {again.target for again in users.repeated})
        if said.status == 200 and "/test/" in said.target:
            assert json.loads(said.body)["target"] == said.target
    trail = [record for record in records(activated.database) if record["action"] == "write"]
    phases = Counter(record["exchange_id"] for record in trail)
    writes = [said for said in load.said if said.method == "PUT"]
    assert len(writes) >= RESTARTS and set(phases.values()) == {2}
    assert len(phases) == len(writes)
    assert {record["outcome"] for record in trail} == {None, "answered"}
