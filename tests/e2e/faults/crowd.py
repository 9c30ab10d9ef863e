"""Many clients of several users, who write and read over connections that they keep, and remember what
they were told."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from support.synapse import User

from .ledger import Told

# Longer than any deadline of the gateway's: what takes longer hangs.
PATIENCE = 40.0
# Refusals of one user and minute are recorded one by one up to 20; beyond, they are counted.
REFUSALS = 15


class Crowd:
    """Threads that ask until the end of the block. `told` is what came of it.

    Of each client's requests seven in ten are writes with a value of their own, alternately on and off,
    and the others reads; few are writes that are refused.
    """

    def __init__(self, users: list[User], ports: Callable[[], list[int]], clients: int, seed: int) -> None:
        self.told: list[Told] = []
        # Connections that nobody took: nothing was sent on them.
        self.turned_away = 0
        self._ports = ports
        self._over = threading.Event()
        self._going = threading.Event()
        self._going.set()
        # Each client holds its own while it asks.
        self._turns = [threading.Lock() for _ in range(clients)]
        self._serials = itertools.count(1)
        self._refusals = dict.fromkeys((user.user_id for user in users), 0)
        self._pause = 0.0
        self._threads = [
            threading.Thread(
                target=self._live,
                args=(users[number % len(users)], random.Random(f"{seed}-{number}"), self._turns[number]),
                daemon=True,
            )
            for number in range(clients)
        ]

    def pace(self, seconds: float) -> None:
        """How long each client waits between two requests."""
        self._pause = seconds

    def wait_for(self, count: int, timeout: float = 60, only: Callable[[Told], bool] = lambda _: True) -> None:
        """Until `count` more requests, that are as they should be, have ended."""
        start = len(self.told)
        deadline = time.monotonic() + timeout
        while sum(only(each) for each in self.told[start:]) < count:
            assert time.monotonic() < deadline, f"not {count} answers within {timeout} s"
            time.sleep(0.01)

    def since(self, moment: float) -> list[Told]:
        """What was sent after `moment`, of `time.monotonic()`, and has ended."""
        return [each for each in self.told if each.began >= moment]

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Everybody ends what they have begun; in the block nobody asks."""
        self._going.clear()
        try:
            with contextlib.ExitStack() as stack:
                for turn in self._turns:
                    stack.enter_context(turn)
                yield
        finally:
            self._going.set()

    def _live(self, user: User, chance: random.Random, turn: threading.Lock) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            self._going.wait()
            if connection is None:
                connection = self._connect(chance)
            if connection is None:
                self._over.wait(0.02)
                continue
            with turn:
                told = self._next(user, chance, connection.port)
                is_of_use = self._ask(connection, user, told)
                self.told.append(told)
            # Now and then a client comes back on another connection, which may lead to another gateway.
            if not is_of_use or chance.random() < 0.05:
                connection.close()
                connection = None
            self._over.wait(self._pause * chance.uniform(0.5, 1.5))
        if connection is not None:
            connection.close()

    def _connect(self, chance: random.Random) -> http.client.HTTPConnection | None:
        ports = self._ports()
        if not ports:
            return None
        connection = http.client.HTTPConnection("127.0.0.1", chance.choice(ports), timeout=PATIENCE)
        try:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.turned_away += 1
            return None
        return connection

    def _next(self, user: User, chance: random.Random, port: int) -> Told:
        serial = next(self._serials)
        told = Told(f"f-{serial}", user.user_id, "write", None, port=port)
        kind = chance.random()
        if kind < 0.3:
            told.action = "read"
        elif kind < 0.33 and self._refusals[user.user_id] < REFUSALS:
            self._refusals[user.user_id] += 1
            told.is_good = False
            told.body = json.dumps({"enabled": "yes", "serial": serial}).encode()
        else:
            told.body = json.dumps({"enabled": serial % 2 == 0, "serial": serial}).encode()
        return told

    def _ask(self, connection: http.client.HTTPConnection, user: User, told: Told) -> bool:
        """Sends it, and waits for its answer. `False`: the connection is of no more use."""
        fields = {"Authorization": f"Bearer {user.token}", "X-Request-Id": told.request_id}
        told.began = time.monotonic()
        method = "GET" if told.body is None else "PUT"
        try:
            connection.request(method, user.path(), told.body, fields)
            response = connection.getresponse()
            response.read()
            told.status = response.status
            closes = response.will_close
        except (OSError, http.client.HTTPException) as error:
            told.fault = repr(error)
            closes = True
        told.ended = time.monotonic()
        return not closes

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Lets everybody end what they have begun."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE + 10)
        hanging = sum(thread.is_alive() for thread in self._threads)
        assert not hanging, f"{hanging} clients hang"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        # What failed inside the block is the better story.
        self._over.set()
