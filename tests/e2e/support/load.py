"""Clients that keep asking from threads of their own, and remember what became of each request."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

# Without the socket's own timeout, a request that hangs would look like a slow one.
PATIENCE = 30.0


@dataclass
class Said:
    """One request, and what came of it."""

    method: str
    target: str
    # `None` if no answer came to its end.
    status: int | None
    # Why not, and whether the server had sent anything of it.
    fault: str = ""
    begun: bool = False
    # Whether the connection had carried a request before.
    reused: bool = False
    closes: bool = False
    seconds: float = 0.0
    body: bytes = b""

    @property
    def may_be_repeated(self) -> bool:
        """Whether a client may send it again without asking anybody: what is safe to repeat, on a
        connection that had been used before and was closed without a byte of the answer.

        https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1
        """
        idempotent = self.method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
        return self.status is None and idempotent and self.reused and not self.begun


class Client:
    """One that keeps its connection for as long as the server lets it."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._http = http.client.HTTPConnection(host, port, timeout=PATIENCE)

    def ask(
        self, method: str, target: str, body: bytes | None = None, fields: dict[str, str] | None = None
    ) -> Said:
        """Sends one request, and waits for its answer."""
        said = Said(method, target, None, reused=self._http.sock is not None)
        started = time.monotonic()
        try:
            self._http.request(method, target, body, fields or {})
            response = self._http.getresponse()
            said.begun = True
            said.body = response.read()
            said.status = response.status
            said.closes = response.will_close
        except (OSError, http.client.HTTPException) as error:
            # `RemoteDisconnected`, an end without a byte, is an `OSError`, too.
            said.begun |= not isinstance(error, OSError)
            said.fault = repr(error)
            self.close()
        said.seconds = time.monotonic() - started
        return said

    def close(self) -> None:
        self._http.close()


class Load:
    """Threads, each with a function that is called again and again until the end of the block."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, ask: Callable[[], Said | None], pause: Callable[[], float] = lambda: 0.02) -> None:
        """Asks from now on."""

        def go_on() -> None:
            while not self._over.is_set():
                said = ask()
                if said is not None:
                    # Appending to a list is one step for every thread.
                    self.said.append(said)
                self._over.wait(pause())

        thread = threading.Thread(target=go_on, daemon=True)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE + 10)
        hanging = sum(thread.is_alive() for thread in self._threads)
        # What failed inside the block is the better story.
        assert kind is not None or not hanging, f"{hanging} clients hang"


def ordinary(load: Load, port: int, target: str = "/_matrix/client/versions") -> None:
    """Two clients as most are: one that keeps its connection, and one that opens a new one each time."""
    kept = Client(port)

    def again() -> Said:
        said = kept.ask("GET", target)
        # A client whose quiet connection was closed asks again on a new one.
        return kept.ask("GET", target) if said.may_be_repeated else said

    def anew() -> Said:
        once = Client(port)
        try:
            return once.ask("GET", target)
        finally:
            once.close()

    load.add(again, lambda: 0.05)
    load.add(anew, lambda: 0.05)
