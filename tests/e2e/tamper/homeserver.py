"""A double of the homeserver, and clients that fill a trail through a gateway."""

from __future__ import annotations

import json
import random
import threading

from support.load import Client
from support.relay import Origin, Seen, answer
from support.synapse import STABLE, UNSTABLE, account_data_path

USERS = 40
CLIENTS = 6
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Element/1.12.4 Chrome/140.0.0.0",
    "Element X/25.11.0 (iPhone 15; iOS 18.1; Scale/3.00)",
    "matrix-nio 0.25 ✓",
)
# Of one user, each time. Of more than 20 a minute, not each has its record.
REFUSALS = 4


class Homeserver(Origin):
    """Knows whoever has a token, stores every write, and has no preference of every seventh user."""

    def __init__(self) -> None:
        super().__init__(0, self._say)

    def _say(self, seen: Seen) -> bytes:
        # A real one does not remember what it was asked, either.
        self.seen.clear()
        number = int("".join(seen.values("authorization")).removeprefix("Bearer t") or 0)
        if seen.is_whoami:
            who = {"user_id": user(number), "device_id": f"DEVICE{number}", "is_guest": number % 5 == 0}
            return answer(200, json.dumps(who).encode())
        if seen.method == "PUT":
            return answer(200)
        if number % 7 == 0:
            return answer(404, b'{"errcode":"M_NOT_FOUND","error":"Account data not found"}')
        return answer(200, b'{"enabled":true}')


def user(number: int) -> str:
    return f"@zoë.{number}:example.org" if number % 11 == 0 else f"@user.{number}:example.org"


def fill(port: int, records: int, seed: int) -> None:
    """Requests of every kind, until they must have made as many records."""
    left = [records]
    refusals = dict.fromkeys(range(1, USERS + 1), REFUSALS)
    lock = threading.Lock()
    failed: list[str] = []

    def live(chance: random.Random) -> None:
        client = Client(port)
        while not failed:
            number = chance.randint(1, USERS)
            kind = chance.random()
            method, event_type, makes = "PUT", STABLE, 2
            body: bytes | None = json.dumps({"enabled": kind < 0.5}).encode()
            if kind < 0.15:
                method, body, makes = "GET", None, 1
            elif kind < 0.2:
                body = b"{}"
            elif kind < 0.3:
                event_type, body = UNSTABLE, b'{"disabled":true}'
            with lock:
                if kind > 0.9 and refusals[number]:
                    refusals[number] -= 1
                    body, makes = b'{"enabled":"yes","enabled":1}', 1
                if left[0] <= 0:
                    break
                left[0] -= makes
            fields = {
                "Authorization": f"Bearer t{number}",
                "User-Agent": chance.choice(AGENTS).encode().decode("latin-1"),
                "X-Request-Id": f"tamper-{chance.getrandbits(64):016x}",
            }
            if chance.random() < 0.5:
                trace, span = chance.getrandbits(128) | 1, chance.getrandbits(64) | 1
                fields["traceparent"] = f"00-{trace:032x}-{span:016x}-01"
            said = client.ask(method, account_data_path(user(number), event_type), body, fields)
            if said.status not in (200, 400, 404):
                failed.append(f"{method}: {said.status} {said.fault} {said.body[:200]!r}")
        client.close()

    threads = [
        threading.Thread(target=live, args=(random.Random(f"{seed}-{each}"),), daemon=True)
        for each in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not failed, failed[0]
    assert left[0] <= 0, f"{left[0]} records are missing after minutes"
