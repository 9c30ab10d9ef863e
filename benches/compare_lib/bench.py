"""What all measures need: the origin, Postgres, and the three proxies, however often they are wanted."""

from __future__ import annotations

import contextlib
import itertools
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audit_lib.cluster import Cluster
from soak_lib.machine import Trouble

from .gateway import Gateway, Trail
from .origin import Origin
from .proxies import HAProxy, Nginx, Proxy


# Each long poll is two of a proxy's, and of the origin's.
FILES = 20_000


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    # Of small GETs, and of large bodies.
    rounds: int
    # Of one load of one proxy.
    seconds: int
    # How many 64 MiB bodies are transferred on each connection in a round.
    transfers: int
    # How many requests go over HTTP/2 in a round.
    h2_requests: int
    # Of the others.
    other_rounds: int
    starts: int
    # Seconds before memory is read.
    settling: float


FULL = Effort(rounds=7, seconds=5, transfers=4, h2_requests=100_000, other_rounds=5, starts=10,
              settling=1.5)
QUICK = Effort(rounds=2, seconds=1, transfers=2, h2_requests=20_000, other_rounds=1, starts=3,
               settling=0.5)


class Bench:
    """The origin, and where everything else is made."""

    def __init__(self, folder: Path, binary: Path, effort: Effort) -> None:
        self.folder, self.binary, self.effort = folder, binary, effort
        self.stack = contextlib.ExitStack()
        self._numbers = itertools.count()
        self._shared: list[Proxy] = []
        self.certificate = self._certify()

    def __enter__(self) -> Bench:
        _allow_files()
        with contextlib.ExitStack() as stack:
            self.cluster = Cluster(self.folder / "cluster")
            self.cluster.make()
            stack.callback(self.cluster.stop, kept=False)
            self.cluster.start()
            self.origin = stack.enter_context(Origin(self.folder / "origin", (1, 64)))
            self.key = self.folder / "seal.key"
            self._run(str(self.binary), "audit", "keygen", "--name", "bench.example.org",
                      "--key-file", str(self.key))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def shared(self) -> list[Proxy]:
        """The proxies for all measures in which it does not matter what they did before."""
        if not self._shared:
            self._shared = self.stack.enter_context(self.proxies())
        return self._shared

    @contextlib.contextmanager
    def proxies(self, origin: int | None = None) -> Iterator[list[Proxy]]:
        """The three of them, new, before the origin or another one: the gateway, nginx, HAProxy."""
        with contextlib.ExitStack() as stack:
            makers = (lambda port: self.gateway(self.trail(), port), self.nginx, self.haproxy)
            yield [stack.enter_context(make(origin)) for make in makers]

    def trail(self) -> Trail:
        return Trail(self.cluster, f"trail_{next(self._numbers)}", self.key)

    def gateway(self, trail: Trail, origin: int | None = None) -> Gateway:
        return Gateway(self._place(), origin or self.origin.port, self.certificate, self.binary, trail)

    def nginx(self, origin: int | None = None) -> Nginx:
        return Nginx(self._place(), origin or self.origin.port, self.certificate)

    def haproxy(self, origin: int | None = None) -> HAProxy:
        return HAProxy(self._place(), origin or self.origin.port, self.certificate)

    def _place(self) -> Path:
        place = self.folder / f"proxy-{next(self._numbers)}"
        place.mkdir()
        return place

    def _certify(self) -> Path:
        """One file with a certificate for a P-256 key, and the key."""
        key, certificate, both = (self.folder / name for name in ("key.pem", "certificate.pem", "both.pem"))
        self._run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                  "-nodes", "-days", "30", "-subj", "/CN=compare.example.org",
                  "-addext", "subjectAltName=DNS:compare.example.org",
                  "-keyout", str(key), "-out", str(certificate))
        both.write_text(certificate.read_text() + key.read_text())
        return both

    @staticmethod
    def _run(*command: str) -> None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(f"{' '.join(command[:3])} … failed with {done.returncode}:\n{done.stderr[-2000:]}")


def _allow_files() -> None:
    """To this process, and all it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(hard, FILES)))
    except (OSError, ValueError) as error:
        raise Trouble(f"{FILES:,} open files are needed: ulimit -Hn") from error


def in_turn(proxies: list[Proxy], number: int) -> list[Proxy]:
    """Those of round `number`, beginning with another one each time."""
    first = number % len(proxies)
    return proxies[first:] + proxies[:first]
