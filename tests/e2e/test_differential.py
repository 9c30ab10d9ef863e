"""No spelling goes round the gateway, and none is taken for another one."""

from __future__ import annotations

import http.client
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from support.gateway import Gateway
from support.http import Answer, request
from support.synapse import STABLE, UNSTABLE, Synapse, User
from support.targets import SAME, UNPARSEABLE, Target, all_targets
from support.trail import answered, by_request

VERSIONS = ["synapse", "synapse_msc3391", "synapse_157"]


class Trial:
    """One target, sent to Synapse directly and through the gateway."""

    def __init__(self, target: Target, request_id: str) -> None:
        self.target = target
        self.request_id = request_id
        self.direct: Answer | None = None
        self.through: Answer | None = None
        # The types whose content changed at Synapse by the request through the gateway.
        self.changed: set[str] = set()

    def said(self, answer: Answer | None) -> tuple[int, str | None]:
        assert answer is not None
        return answer.status, answer.errcode


class Bench:
    """Sends trials with a fresh value each time."""

    def __init__(self, homeserver: Synapse, gateway: Gateway) -> None:
        self.homeserver = homeserver
        self.gateway = gateway
        self.writer = homeserver.register("writer")
        # Reads have a user of their own, who has stored nothing but the two types: whatever
        # answers 200 there is the preference.
        self.reader = homeserver.register("reader")
        self.other = homeserver.register("other")
        self.numbers = itertools.count(1)
        for event_type in (STABLE, UNSTABLE):
            homeserver.write(self.reader, self.content(0), event_type)

    def content(self, number: int) -> dict[str, Any]:
        """Good for either type: which of them it becomes is the target's business."""
        return {"enabled": True, "disabled": True, "number": number}

    def send(self, port: int, user: User, target: Target, request_id: str) -> Answer:
        number = next(self.numbers)
        body = None if target.method in ("GET", "HEAD", "DELETE") else self.content(number)
        fields = [("X-Request-Id", request_id)]
        try:
            answer = request(
                port, target.method, target.raw, token=user.token, body=body, fields=fields
            )
        except (http.client.RemoteDisconnected, ConnectionResetError):
            # What Synapse does with a byte of 0x80 and above.
            answer = Answer(0, "closed without an answer", [], b"")
        return answer

    def number_of(self, event_type: str) -> int | None:
        content = self.homeserver.content(self.writer, event_type)
        return content.get("number") if content else None

    def run(self, target: Target, user: User) -> Trial:
        trial = Trial(target, f"trial-{next(self.numbers)}")
        self.prepare(target)
        trial.direct = self.send(self.homeserver.port, user, target, "direct")
        self.prepare(target)
        before = {event_type: self.number_of(event_type) for event_type in (STABLE, UNSTABLE)}
        trial.through = self.send(self.gateway.port, user, target, trial.request_id)
        trial.changed = {each for each in before if self.number_of(each) != before[each]}
        return trial

    def prepare(self, target: Target) -> None:
        """Something must be there before it can be deleted."""
        if target.method == "DELETE":
            for event_type in (STABLE, UNSTABLE):
                self.homeserver.write(self.writer, self.content(next(self.numbers)), event_type)


@pytest.fixture(params=VERSIONS)
def bench(request: pytest.FixtureRequest, gateway: Callable[..., Gateway]) -> Bench:
    homeserver = request.getfixturevalue(request.param)
    return Bench(homeserver, gateway(homeserver.url))


def test_the_preference_changed_if_and_only_if_the_trail_has_a_write_or_clear_answered_2xx(
    bench: Bench,
) -> None:
    targets = [
        target
        for target in all_targets(bench.writer, bench.other)
        if target.method not in ("GET", "HEAD")
    ]
    assert len(targets) >= 150, len(targets)
    trials = [bench.run(target, bench.writer) for target in targets]
    trail = by_request(bench.gateway.records())
    wrong = []
    for trial in trials:
        records = trail[trial.request_id]
        says = answered(records, "write", "clear")
        if says != trial.changed:
            wrong.append(f"{trial.target}: changed {trial.changed}, the trail says {says}")
        phases = sorted(record["phase"] for record in records)
        if records and phases != ["intent", "outcome"]:
            wrong.append(f"{trial.target}: recorded as {phases}")
    assert not wrong, "\n".join(wrong)
    # The claim would hold of a Synapse that refuses everything.
    assert sum(bool(trial.changed) for trial in trials) >= 40
    assert sum(not trial.changed for trial in trials) >= 60
    answers_are_as_without_the_gateway(trials)


def test_the_preference_was_read_if_and_only_if_the_trail_has_a_read_answered_2xx(
    bench: Bench,
) -> None:
    targets = [
        target
        for target in all_targets(bench.reader, bench.other)
        if target.method in ("GET", "HEAD")
    ]
    assert len(targets) >= 150, len(targets)
    trials = [bench.run(target, bench.reader) for target in targets]
    read = [
        trial
        for trial in trials
        if trial.through.status == 200
        and (trial.target.method == "HEAD" or "number" in trial.through.json())
    ]
    assert len(read) >= 40
    # Reads are queued: all are there once the last one is.
    last = read[-1].request_id
    trail = by_request(bench.gateway.records_when(lambda records: last in by_request(records)))
    wrong = []
    for trial in trials:
        says = answered(trail[trial.request_id], "read")
        if bool(says) != (trial in read):
            wrong.append(f"{trial.target}: {trial.through}, the trail says {says}")
        if len(trail[trial.request_id]) > 1:
            wrong.append(f"{trial.target}: recorded more than once")
    assert not wrong, "\n".join(wrong)
    answers_are_as_without_the_gateway(trials)


def answers_are_as_without_the_gateway(trials: list[Trial]) -> None:
    """Status and errcode are Synapse's, save where the README says otherwise."""
    wrong = []
    for trial in trials:
        direct, through = trial.said(trial.direct), trial.said(trial.through)
        if trial.target.differs == SAME:
            good = through == direct
        elif trial.target.differs == UNPARSEABLE:
            good = through == direct or through[0] == 400
        else:
            good = through[0] < 500
        if not good:
            wrong.append(f"{trial.target}: {through} through the gateway, {direct} without")
    assert not wrong, "\n".join(wrong)
