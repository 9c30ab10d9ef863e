"""A trail that traffic has made, and the desk in front of it."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from subprocess import CompletedProcess

from support.gateway import Gateway, run
from support.process import eventually
from support.synapse import Synapse

from .chromium import Chromium
from .desk import Desk, make_token
from .history import History
from .traffic import Traffic


class Scene:
    """First a gateway that observes, and then one that enforces, on the same trail; the second serves the page."""

    def __init__(
        self,
        synapse: Synapse,
        database: str,
        folder: Path,
        chromium: Chromium,
        history: type[History] | None = None,
    ) -> None:
        self.synapse, self.database, self._folder = synapse, database, folder
        self._numbers = itertools.count(1)
        self._key = self._make_key()
        self._tokens = [make_token("kim", "auditor"), make_token("lee", "reader")]
        self.traffic = Traffic(synapse, exactly=history is not None)
        if history is not None:
            history(synapse, self.traffic).happens(self.start)
        observing = self.start("observe")
        try:
            self.traffic.observed(observing)
        finally:
            assert observing.stop() == 0, observing.log[-3000:]
        self.gateway = self.start("enforce")
        self.desk = Desk(self.gateway, *self._tokens, chromium)
        try:
            self.traffic.enforced(self.gateway)
            self.settle(self.traffic.records())
        except BaseException:
            self.stop()
            raise

    def _make_key(self) -> Path:
        """SQLite's key is beside it; Postgres's is ours to make. The one that verifies."""
        if self.database.startswith("sqlite:"):
            return Path(self.database.removeprefix("sqlite:") + ".pub")
        key = self._folder / "trail.key"
        made = run("audit", "keygen", "--name", "example.org/desk", "--key-file", str(key))
        assert made.returncode == 0, made.stderr
        return key.with_suffix(".pub")

    def start(self, mode: str, env: dict[str, str] | None = None) -> Gateway:
        """A gateway on this trail, which lets in whoever has one of our tokens."""
        checkpoint = {"interval": "1s"}
        if not self.database.startswith("sqlite:"):
            checkpoint["key_file"] = str(self._key.with_suffix(".key"))
        config = {
            "policy": {"mode": mode},
            "checkpoint": checkpoint,
            "admin": {"tokens": [token.configured() for token in self._tokens]},
            # That nothing of what goes through is written there is said of everything it can say.
            "log": {"level": "debug"},
        }
        folder = self._folder / f"gateway-{next(self._numbers)}"
        started = Gateway(self.synapse.url, self.database, folder, config, env)
        started.wait()
        return started

    def settle(self, records: int) -> None:
        """Until there are so many records of exchanges, all sealed and in the summary."""
        self.gateway.records_when(lambda found: len(found) >= records)
        eventually(self._is_settled, "everything sealed and summarised", 30)

    def _is_settled(self) -> bool:
        trail = self.desk.api("overview").json()["trail"]
        return bool(trail["unsealed"] == 0 and trail["uncounted"] == 0)

    def verify(self, *arguments: str) -> CompletedProcess[str]:
        """`audit verify` of a file, with the trail's public key."""
        return run("audit", "verify", *arguments, "--public-key", str(self._key))

    def stop(self) -> None:
        if self.gateway.process.running():
            self.gateway.stop(signal.SIGTERM)
        assert "panicked at" not in self.gateway.log, self.gateway.log[-5000:]
