"""The reconciler finds what it is there to find."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .ledger import Asked, Told
from .reconcile import Reconciled, Terms, reconcile

ALICE = "@alice:localhost"
BODY = json.dumps({"enabled": True, "serial": 7}).encode()
Record = dict[str, Any]


def write(status: int | None = 200, body: bytes = BODY, **rest: Any) -> Told:
    return Told("r-1", ALICE, "write", body, status=status, **rest)


def asked(status: int | None = 200, began: float = 1.0, **rest: Any) -> Asked:
    rest = {"request_id": "r-1", "action": "write", "body": BODY, "ended": began + 1, **rest}
    return Asked(status=status, began=began, **rest)


def record(phase: str, outcome: str | None = None, status: int | None = None, **rest: Any) -> Record:
    return {
        "id": f"{phase}-{outcome}",
        "kind": "exchange",
        "phase": phase,
        "request_id": "r-1",
        "action": "write",
        "claimed_user": ALICE,
        "authenticated_user": ALICE,
        "body_sha256": write().body_sha256,
        "preference": "enabled",
        "outcome": outcome,
        "origin_status": status,
        "detail": None,
        **rest,
    }


INTENT = record("intent")
ANSWERED = record("outcome", "answered", 200)
REFUSED = record("outcome", "refused", preference=None)
READ = record("outcome", "answered", 200, action="read", body_sha256=None)
CLOSED = record("outcome", "unanswered", id="closing", detail={"closed": "its run ended"})


def kinds(
    told: list[Told],
    origin: list[Asked],
    trail: list[Record],
    held: Any = ...,
    terms: Terms = Terms(),
) -> set[str]:
    holds = {} if held is ... else {ALICE: held}
    return {finding.kind for finding in reconcile(told, origin, trail, holds, terms).findings}


def bad(status: int | None = 400) -> Told:
    body = json.dumps({"enabled": "yes"}).encode()
    return write(status, body, is_good=False)


def read(status: int | None = 200) -> Told:
    return Told("r-1", ALICE, "read", None, status=status)


REFUSED["body_sha256"] = bad().body_sha256

IN_ORDER = {
    "a write": ([write()], [asked()], [INTENT, ANSWERED]),
    "a write whose client heard nothing": ([write(None)], [asked()], [INTENT, ANSWERED]),
    "a write that was closed": ([write(None)], [asked()], [INTENT, CLOSED]),
    "a write that was closed, and ended after": ([write()], [asked()], [INTENT, CLOSED, ANSWERED]),
    "a write that nobody got": ([write(None)], [], []),
    "a write that was not done": ([write(503)], [], []),
    "a write that was taken back": ([write(503)], [], [INTENT, {**CLOSED, "outcome": "failed"}]),
    "a write without an answer": ([write(504)], [asked(None)], [INTENT, record("outcome", "unanswered")]),
    "a write that was never sent": ([write(502)], [], [INTENT, record("outcome", "failed")]),
    "the homeserver's own no": ([write(403)], [asked(403)], [INTENT, record("outcome", "answered", 403)]),
    "the homeserver's own 503": ([write(503)], [asked(503)], [INTENT, record("outcome", "answered", 503)]),
    "a refusal": ([bad()], [], [REFUSED]),
    "a refusal that could not be recorded": ([bad(503)], [], []),
    "a refusal that was only counted": ([bad(502)], [], []),
    "a read": ([read()], [asked(action="read")], [READ]),
    "a read whose record was lost": ([read()], [asked(action="read")], []),
    "records of another kind": ([], [], [{**READ, "kind": "collapsed", "request_id": None}]),
}


@pytest.mark.parametrize("story", IN_ORDER)
def test_what_is_in_order_is_no_finding(story: str) -> None:
    assert kinds(*IN_ORDER[story]) == set()


WRONG = {
    "no-intent": ([write()], [asked()], [ANSWERED]),
    "no-outcome": ([write()], [asked()], [INTENT, CLOSED]),
    "twice": ([write()], [asked()], [INTENT, ANSWERED, {**ANSWERED, "id": "another"}]),
    "twice by id": ([write()], [asked()], [INTENT, ANSWERED, ANSWERED]),
    "twice by intent": ([write()], [asked()], [INTENT, {**INTENT, "id": "another"}, ANSWERED]),
    "twice by closing": ([write(None)], [], [INTENT, CLOSED, {**CLOSED, "id": "another"}]),
    "twice at the origin": ([write()], [asked(), asked()], [INTENT, ANSWERED]),
    "twice by read": ([read()], [asked(action="read")], [READ, {**READ, "id": "another"}]),
    "open": ([write(None)], [asked()], [INTENT]),
    "claims-more: an answer": ([write(None)], [asked(None)], [INTENT, ANSWERED]),
    "claims-more: another answer": ([write(None)], [asked(403)], [INTENT, ANSWERED]),
    "claims-more: never sent": ([write(502)], [asked(None)], [INTENT, record("outcome", "failed")]),
    "claims-more: refused": ([bad()], [asked()], [INTENT, REFUSED]),
    "claims-more: a status": ([write(504)], [asked(None)], [INTENT, record("outcome", "unanswered", 200)]),
    "claims-more: a user": ([write()], [asked()], [INTENT, {**ANSWERED, "authenticated_user": "@eve:localhost"}]),
    "claims-more: no outcome": ([write()], [asked()], [INTENT, ANSWERED, record("outcome")]),
    "differs: a 200 of our own": ([write()], [asked(403)], [INTENT, record("outcome", "answered", 403)]),
    "differs: the outcome": ([write(504)], [asked()], [INTENT, ANSWERED]),
    "differs: a 503 that was done": ([write(503)], [asked()], [INTENT, ANSWERED]),
    "differs: a 503 with an answer": ([write(503)], [], [INTENT, ANSWERED]),
    "differs: an answer from nowhere": ([write(418)], [], []),
    "differs: the body": ([write()], [asked()], [INTENT, {**ANSWERED, "body_sha256": "00"}]),
    "differs: the sense": ([write()], [asked()], [INTENT, {**ANSWERED, "preference": "disabled"}]),
    "differs: the user": ([write()], [asked()], [INTENT, {**ANSWERED, "claimed_user": "@eve:localhost"}]),
    "differs: the refusal": ([bad()], [], [{**REFUSED, "outcome": "failed"}]),
    "differs: the read": ([read(404)], [asked(action="read")], [READ]),
    "differs: what was only counted": ([bad(502)], [], [REFUSED]),
    "no-outcome of a refusal": ([bad()], [], []),
    "stranger in the trail": ([], [], [INTENT, ANSWERED]),
    "stranger at the origin": ([], [asked()], []),
}


@pytest.mark.parametrize("story", WRONG)
def test_what_is_wrong_is_found_and_named(story: str) -> None:
    kind = story.replace(":", " ").split(" ", 1)[0]
    assert kind in kinds(*WRONG[story])


def test_a_read_without_a_record_is_found_where_no_fault_excuses_it() -> None:
    sources: Any = IN_ORDER["a read whose record was lost"]
    assert kinds(*sources, terms=Terms(reads_kept=True)) == {"no-outcome"}


def test_best_effort_excuses_missing_records_and_counts_them() -> None:
    found = reconcile([write()], [asked()], [], {}, Terms(required=False))
    assert (found.findings, found.unrecorded) == ([], 1)
    assert "1 without a record" in found.line("some")
    assert kinds([write()], [asked()], [record("outcome", "failed")], terms=Terms(required=False)) == {
        "claims-more",
        "differs",
    }


def two() -> tuple[list[Told], list[Asked]]:
    """Two writes of one user, one after the other."""
    later = json.dumps({"enabled": True, "serial": 8}).encode()
    told = [write(), Told("r-2", ALICE, "write", later, status=200)]
    return told, [asked(), asked(began=5.0, request_id="r-2", body=later)]


@pytest.mark.parametrize("held", [None, {"enabled": True, "serial": 9}, {"enabled": True, "serial": 7}])
def test_what_the_homeserver_holds_must_be_the_last_that_it_was_asked_for(held: Any) -> None:
    told, origin = two()
    assert "held" in kinds(told, origin, [], held)
    assert "held" not in kinds(told, origin, [], {"enabled": True, "serial": 8})


def test_writes_at_the_same_time_may_end_in_either_order() -> None:
    told, origin = two()
    origin[1].began = 1.5
    for serial in (7, 8):
        assert "held" not in kinds(told, origin, [], {"enabled": True, "serial": serial})


def test_the_line_has_all_counts() -> None:
    told = [write(), *(Told(f"r-{n}", ALICE, "write", BODY, status=None) for n in range(2, 1300))]
    found: Reconciled = reconcile([*told, Told("g", ALICE, "read", None, status=200)], [asked()], [INTENT, CLOSED], {})
    assert found.line("kill-gateway (postgres)") == (
        "fault kill-gateway (postgres): 1,299 writes told (1,298 × nothing, 1 × 200), 1 at the origin, "
        "1 intents, 0 outcomes, 1 closed; 1 reads told, 0 recorded"
    )
