"""A week of a small homeserver, for the pictures: a gateway whose clock is some days late, and clients that use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.gateway import Gateway
from support.synapse import UNSTABLE, Synapse, User

from .clients import CURL, DESKTOP, NHEKO, OLD_PHONE, PHONE, WEB, Client
from .traffic import Traffic

# Who comes on which day, with what, and turns key backup on; the day is counted from the first.
NEWCOMERS: dict[int, list[tuple[str, Client]]] = {
    0: [("grace", OLD_PHONE), ("heidi", DESKTOP)],
    1: [("ivan", WEB), ("judy", PHONE), ("kamal", NHEKO)],
    2: [("lena", PHONE)],
    3: [("mika", DESKTOP), ("nadia", PHONE), ("otto", NHEKO)],
    4: [("pavel", WEB)],
    5: [("quinn", PHONE), ("rosa", DESKTOP)],
}
# Whose client writes something that no other client understands, on which days.
BROKEN = {"kamal": (NHEKO, [1, 2, 4, 5]), "otto": (NHEKO, [3, 5]), "grace": (OLD_PHONE, [0, 2, 3, 4])}
# Until then the gateway observes.
ENFORCES_FROM = 3
DAYS = 6

Start = Callable[[str, dict[str, str]], Gateway]


def faked(days_ago: int) -> dict[str, str]:
    """The environment of a process that believes it is so many days ago."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "faketime is missing: apt-get install faketime"
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": f"-{days_ago}d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


class History:
    """What happened on the days before today."""

    def __init__(self, synapse: Synapse, traffic: Traffic) -> None:
        self._synapse, self._traffic = synapse, traffic
        self._users: dict[str, User] = {}

    def happens(self, start: Start) -> None:
        for day in range(DAYS):
            mode = "enforce" if day >= ENFORCES_FROM else "observe"
            served = start(mode, faked(DAYS - day))
            try:
                self._day(served, day)
            finally:
                assert served.stop() == 0, served.log[-3000:]

    def _day(self, served: Gateway, day: int) -> None:
        send, alice = self._traffic.write, self._traffic.alice
        for number, (name, client) in enumerate(NEWCOMERS[day]):
            user = self._users[name] = self._synapse.register(name, exactly=True)
            address = f"203.0.113.{20 + 10 * day + number}"
            send(served, user, {"enabled": True}, client, address)
            send(served, user, {"disabled": False}, client, address, event_type=UNSTABLE)
            self._traffic.read(served, user, client, address)
        if day == 0:
            send(served, alice, {"enabled": True}, OLD_PHONE, "203.0.113.7")
        if day == 2:
            send(served, self._traffic.alices_desktop, {"enabled": False}, DESKTOP, "203.0.113.8")
        if day == 4:
            send(served, self._users["ivan"], {"enabled": False}, WEB, "198.51.100.4")
            send(served, self._users["lena"], {}, CURL, "198.51.100.5")
        for name, (client, days) in BROKEN.items():
            if day in days and name in self._users:
                enforced = day >= ENFORCES_FROM
                answer = (400, "M_BAD_JSON") if enforced else (200, None)
                body, codes = ({"enabled": "true"}, ["field_not_boolean"])
                if client is not NHEKO:
                    body, codes = ({"on": 1}, ["field_missing"])
                send(served, self._users[name], body, client, "203.0.113.60", codes=codes, answer=answer)
