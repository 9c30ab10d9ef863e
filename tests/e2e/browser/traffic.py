"""What clients sent, and what an auditor should find of it.

Every request carries a real user's token, and goes through the gateway to a real Synapse; `Traffic` asserts each
answer, so that what it remembers is what happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from support.bodies import BAD, BAD_JSON, Bad
from support.gateway import Gateway
from support.http import Fields
from support.synapse import STABLE, UNSTABLE, Synapse, User

from .clients import CURL, DESKTOP, NHEKO, OLD_PHONE, PHONE, WEB, Client

# By name, what is refused of carol, for more than one reason at times.
CAROLS = [
    "no JSON",
    "an array with a duplicate",
    "the other type's member",
    "several at once",
    "a lone surrogate",
    "33 deep",
    "one byte over the limit",
    "plain, labelled gzip",
]


@dataclass(frozen=True)
class Write:
    """One guarded write."""

    user: User
    client: Client
    address: str
    event_type: str
    verdict: str
    codes: tuple[str, ...]
    # False if the gateway has refused it.
    forwarded: bool


class Traffic:
    """Some users, what they sent, and what is to be found of it."""

    def __init__(self, synapse: Synapse, exactly: bool = False) -> None:
        self.synapse = synapse
        self.writes: list[Write] = []
        self.reads = 0
        self.alice, self.bob, self.carol, self.dave, self.erin, self.frank = (
            synapse.register(name, exactly) for name in ("alice", "bob", "carol", "dave", "erin", "frank")
        )
        # At her desk.
        self.alices_desktop = synapse.log_in(self.alice)

    def write(
        self,
        served: Gateway,
        user: User,
        body: Any,
        client: Client,
        address: str,
        *,
        event_type: str = STABLE,
        codes: Iterable[str] = (),
        answer: tuple[int, str | None] = (200, None),
        target: str | None = None,
        fields: Fields | None = None,
    ) -> None:
        """One write, which is answered with `answer`; in `observe`, `codes` may be there and 200."""
        said = [("User-Agent", client.user_agent), ("X-Forwarded-For", address), *(fields or [])]
        got = served.request("PUT", target or user.path(event_type), token=user.token, body=body, fields=said)
        assert (got.status, got.errcode) == answer, got
        codes = tuple(codes)
        verdict = "refuse" if codes else "clear" if body == {} else "accept"
        forwarded = answer[0] == 200
        self.writes.append(Write(user, client, address, event_type, verdict, codes, forwarded))

    def read(self, served: Gateway, user: User, client: Client, address: str, event_type: str = STABLE) -> Any:
        said = [("User-Agent", client.user_agent), ("X-Forwarded-For", address)]
        got = served.get(user, event_type, fields=said)
        assert got.status == 200, got
        self.reads += 1
        return got.json()

    def observed(self, served: Gateway) -> None:
        """What clients sent before anything was refused; `served` is in `observe`."""
        self.write(served, self.alice, {"enabled": True}, OLD_PHONE, "203.0.113.7")
        self.write(served, self.erin, {"enabled": "true"}, NHEKO, "198.51.100.20", codes=["field_not_boolean"])
        self.write(served, self.erin, {"enabled": 1}, NHEKO, "198.51.100.20", codes=["field_not_boolean"])
        twice = b'{"enabled":true,"enabled":false}'
        self.write(served, self.frank, twice, OLD_PHONE, "203.0.113.41", codes=["duplicate_member"])
        self.write(served, self.frank, {"disabled": True}, CURL, "203.0.113.41", codes=["field_missing"])

    def enforced(self, served: Gateway) -> None:
        """What clients sent from then on; `served` is in `enforce`."""
        self.alices_day(served)
        # The two types say different things.
        self.write(served, self.bob, {"enabled": True}, DESKTOP, "198.51.100.9")
        self.write(served, self.bob, {"disabled": True}, WEB, "198.51.100.9", event_type=UNSTABLE)
        for bad in BAD:
            if bad.name in CAROLS:
                self.refused(served, bad)
        self.write(served, self.carol, {"enabled": True}, CURL, "2001:db8::17")
        self.write(served, self.carol, {}, CURL, "2001:db8::17")
        # Somebody else has a way round the gateway.
        self.write(served, self.dave, {"enabled": True}, PHONE, "203.0.113.99")
        self.synapse.write(self.dave, {"enabled": False})
        assert self.read(served, self.dave, PHONE, "203.0.113.99") == {"enabled": False}
        # What `observe` let through is still there.
        assert self.read(served, self.erin, NHEKO, "198.51.100.20") == {"enabled": 1}

    def alices_day(self, served: Gateway) -> None:
        """She turns key backup on and off, with a mistake of her phone's between."""
        phone, desktop = self.alice, self.alices_desktop
        self.write(served, phone, {"enabled": True}, PHONE, "203.0.113.7")
        self.write(served, phone, {"disabled": False}, PHONE, "203.0.113.7", event_type=UNSTABLE)
        self.write(
            served, phone, {"enabled": "yes"}, PHONE, "203.0.113.7",
            codes=["field_not_boolean"], answer=BAD_JSON,
        )  # fmt: skip
        assert self.read(served, phone, PHONE, "203.0.113.7") == {"enabled": True}
        odd = phone.path().replace("/v3/", "/unstable/").replace("m.key_backup", "m%2Ekey%5Fbackup?x")
        self.write(served, phone, {"enabled": True}, CURL, "192.0.2.44", target=odd)
        self.write(served, desktop, {"enabled": False}, DESKTOP, "203.0.113.8")
        self.write(served, desktop, {"disabled": True}, DESKTOP, "203.0.113.8", event_type=UNSTABLE)

    def refused(self, served: Gateway, bad: Bad) -> None:
        """One of carol's."""
        self.write(
            served, self.carol, bad.body, CURL, "2001:db8::17",
            event_type=bad.event_type, codes=bad.codes, answer=bad.answer, fields=bad.fields,
        )  # fmt: skip

    # === what is to be found ===

    def records(self) -> int:
        """How many records of exchanges there are: a write that was forwarded has two."""
        return self.reads + sum(2 if write.forwarded else 1 for write in self.writes)

    def verdicts(self) -> Counter[str]:
        """How many writes had which verdict."""
        return Counter(write.verdict for write in self.writes)

    def violations(self, forwarded: bool | None = None) -> Counter[str]:
        """How often each code was found in writes: in all, or those that were (not) forwarded."""
        return Counter(code for write in self._with_violations(forwarded) for code in write.codes)

    def violations_by_client(self, forwarded: bool | None = None) -> Counter[tuple[str, str]]:
        """The same for each client, by name and version."""
        clients = ((write.client, write.codes) for write in self._with_violations(forwarded))
        return Counter((client.name, client.version) for client, codes in clients for _ in codes)

    def _with_violations(self, forwarded: bool | None) -> list[Write]:
        return [write for write in self.writes if write.codes and forwarded in (None, write.forwarded)]

    def adoption(self) -> dict[str, int]:
        """Bob's stable type counts; carol has cleared hers, what erin and frank have means nothing; dave's was read."""
        return {"enabled": 1, "disabled": 2, "unknown": 3}
