"""Holds three sources against each other: what clients were told, what the homeserver was asked and
holds, and what the trail says. Pure: it is given all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from support.gateway import Record

from .ledger import Asked, Told

# Of the gateway's own answers: to what the homeserver did not answer.
NO_ANSWER = (502, 504)
NOT_DONE = 503


@dataclass(frozen=True)
class Terms:
    """What a fault excuses."""

    # `audit.mode = "required"`: no write without its records.
    required: bool = True
    # No fault that may lose the record of a read.
    reads_kept: bool = False


@dataclass(frozen=True)
class Finding:
    """Where the sources disagree."""

    kind: str
    request_id: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.request_id}: {self.sentence}"


@dataclass
class Reconciled:
    """The counts, and what is wrong."""

    findings: list[Finding] = field(default_factory=list)
    # How often each status was told to a write; `None` is no answer.
    told: Counter[int | None] = field(default_factory=Counter)
    told_reads: Counter[int | None] = field(default_factory=Counter)
    asked: int = 0
    intents: int = 0
    outcomes: int = 0
    closed: int = 0
    reads: int = 0
    # Writes that the homeserver got and the trail does not have, where the terms excuse it.
    unrecorded: int = 0

    def line(self, fault: str) -> str:
        """What was reconciled, in one line."""
        how = ", ".join(
            f"{count:,} × {status or 'nothing'}" for status, count in self.told.most_common()
        )
        unrecorded = f", {self.unrecorded:,} without a record" if self.unrecorded else ""
        return (
            f"fault {fault}: {self.told.total():,} writes told ({how}), "
            f"{self.asked:,} at the origin{unrecorded}, {self.intents:,} intents, "
            f"{self.outcomes:,} outcomes, {self.closed:,} closed; "
            f"{self.told_reads.total():,} reads told, {self.reads:,} recorded"
        )


def reconcile(
    told: Iterable[Told],
    asked: Iterable[Asked],
    trail: Iterable[Record],
    held: dict[str, Any],
    terms: Terms = Terms(),
) -> Reconciled:
    """`held` is each user's content at the homeserver in the end. Every fault must be over, and its
    open intents closed."""
    sent = {each.request_id: each for each in told}
    by_asked = defaultdict(list)
    for each in asked:
        by_asked[each.request_id].append(each)
    by_record = defaultdict(list)
    exchanges = [record for record in trail if record["kind"] == "exchange"]
    for record in exchanges:
        by_record[record["request_id"]].append(record)
    found = Reconciled()
    found.findings += _twice(exchanges)
    for stranger in (set(by_asked) | set(by_record)) - set(sent):
        found.findings.append(Finding("stranger", str(stranger), "no client sent it"))
    for request_id, each in sent.items():
        one = _One(each, by_asked[request_id], by_record[request_id], terms)
        found.findings += one.write() if each.action == "write" else one.read()
        one.count(found)
    found.findings += _held(sent, by_asked, held)
    return found


def _twice(records: list[Record]) -> Iterator[Finding]:
    ids = Counter(record["id"] for record in records)
    for record in records:
        if ids[record["id"]] > 1:
            yield Finding("twice", str(record["request_id"]), f"the record {record['id']} is there twice")


def _is_closing(record: Record) -> bool:
    """Written by whoever closed the intent, and not by whoever saw the answer."""
    return "closed" in (record["detail"] or {})


@dataclass
class _One:
    """One request, in all three sources."""

    told: Told
    asked: list[Asked]
    records: list[Record]
    terms: Terms

    def __post_init__(self) -> None:
        self.intents = [each for each in self.records if each["phase"] == "intent"]
        outcomes = [each for each in self.records if each["phase"] == "outcome"]
        self.closings = [each for each in outcomes if _is_closing(each)]
        self.outcomes = [each for each in outcomes if not _is_closing(each)]

    def _say(self, kind: str, sentence: str) -> Finding:
        records = [(each["phase"], each["outcome"], each["origin_status"]) for each in self.records]
        story = f"told {self.told.status} ({self.told.fault or 'in order'}), asked "
        story += f"{[each.status for each in self.asked]}, records {records}"
        return Finding(kind, self.told.request_id, f"{sentence}: {story}")

    def count(self, found: Reconciled) -> None:
        if self.told.action == "read":
            found.told_reads[self.told.status] += 1
            found.reads += len(self.outcomes)
            return
        found.told[self.told.status] += 1
        found.asked += len(self.asked)
        found.intents += len(self.intents)
        found.outcomes += len(self.outcomes)
        found.closed += len(self.closings)
        found.unrecorded += bool(self.asked and not self.intents)

    # --- a write ---

    def write(self) -> Iterator[Finding]:
        if len(self.asked) > 1:
            yield self._say("twice", "the homeserver was asked more than once")
        for name, group in (("intent", self.intents), ("outcome", self.outcomes), ("closing", self.closings)):
            if len(group) > 1:
                yield self._say("twice", f"more than one {name}")
        if self.asked and not self.intents and self.terms.required:
            yield self._say("no-intent", "the homeserver got it, and there is no intent")
        if self.intents and not self.outcomes and not self.closings:
            yield self._say("open", "its intent stays open")
        for record in self.records:
            yield from self._facts(record)
        for record in self.outcomes + self.closings:
            yield from self._claims(record)
        yield from self._seen_by_the_client()

    def _facts(self, record: Record) -> Iterator[Finding]:
        """What a record says of the request itself."""
        content = self.told.content
        preference = None
        if self.told.is_good:
            preference = "enabled" if content["enabled"] else "disabled"
        expected = {
            "action": "write",
            "claimed_user": self.told.user_id,
            "body_sha256": self.told.body_sha256,
            "preference": preference,
        }
        for name, value in expected.items():
            if record[name] != value:
                yield self._say("differs", f"{name} is {record[name]!r} and should be {value!r}")
        if record["authenticated_user"] not in (self.told.user_id, None):
            yield self._say("claims-more", f"done by {record['authenticated_user']!r}")

    def _claims(self, record: Record) -> Iterator[Finding]:
        """What a record says that the homeserver did."""
        said = [each.status for each in self.asked]
        match record["outcome"]:
            case "answered":
                if record["origin_status"] not in said:
                    yield self._say("claims-more", f"answered {record['origin_status']}")
            case "failed" | "refused" as outcome:
                if self.asked:
                    yield self._say("claims-more", f"{outcome}, and the homeserver got it")
            case "unanswered":
                if record["origin_status"] is not None:
                    yield self._say("claims-more", "unanswered, with a status")
            case other:
                yield self._say("claims-more", f"the outcome {other!r}")

    def _seen_by_the_client(self) -> Iterator[Finding]:
        status = self.told.status
        if status is None:
            return
        said = [each.status for each in self.asked]
        outcomes = [(each["outcome"], each["origin_status"]) for each in self.outcomes]
        if 200 <= status < 300 and status not in said:
            yield self._say("differs", "the homeserver did not say so")
        elif status in said or (status in NO_ANSWER and self.told.is_good):
            expected = [("answered", status)]
            if status not in said:
                expected = [("unanswered", None), ("failed", None)]
            if not outcomes:
                if self.terms.required:
                    yield self._say("no-outcome", "the client has its answer, the trail does not")
            elif not set(outcomes) <= set(expected):
                yield self._say("differs", "the trail has another outcome than the client saw")
        elif status == NOT_DONE:
            if self.asked:
                yield self._say("differs", "it was not done, and the homeserver got it")
            if not {outcome for outcome, _ in outcomes} <= {"refused", "failed"}:
                yield self._say("differs", "it was not done, and the trail says otherwise")
        elif status in NO_ANSWER:
            # A bad body whose sender could not be named: only counted.
            if outcomes or self.asked:
                yield self._say("differs", "it was only counted, and there is more")
        elif not self.told.is_good:
            if not outcomes and self.terms.required:
                yield self._say("no-outcome", "the client was refused, the trail does not say so")
            elif outcomes and outcomes != [("refused", None)]:
                yield self._say("differs", "the trail has another outcome than the client saw")
        else:
            yield self._say("differs", "nobody knows where this answer came from")

    # --- a read ---

    def read(self) -> Iterator[Finding]:
        if len(self.records) > 1:
            yield self._say("twice", "more than one record of a read")
        for record in self.records:
            if (record["action"], record["phase"]) != ("read", "outcome"):
                yield self._say("differs", "it was a read")
            yield from self._claims(record)
            if self.told.status is not None and record["origin_status"] != self.told.status:
                yield self._say("differs", "the trail has another outcome than the client saw")
        if self.told.status in (200, 404) and not self.records and self.terms.reads_kept:
            yield self._say("no-outcome", "the client has its answer, the trail does not")


def _held(
    sent: dict[str, Told], asked: dict[str, list[Asked]], held: dict[str, Any]
) -> Iterator[Finding]:
    """What the homeserver holds is one of the last that it got."""
    for user_id, content in held.items():
        theirs = [
            (sent[request_id], each)
            for request_id, group in asked.items()
            for each in group
            if request_id in sent and sent[request_id].user_id == user_id and each.action == "write"
        ]
        answered = [(told, each) for told, each in theirs if each.status == 200]
        if content is None:
            if answered:
                yield Finding("held", answered[-1][0].request_id, f"nothing is held for {user_id}")
            continue
        match = [each for told, each in theirs if told.content == content]
        if not match:
            yield Finding("held", user_id, f"nobody asked for {content}")
            continue
        ended = match[0].ended or match[0].began
        for told, each in answered:
            if match[0].status is not None and each.began > ended:
                yield Finding("held", told.request_id, f"a later one than {content}, and not held")
