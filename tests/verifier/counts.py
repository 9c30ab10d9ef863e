"""What is counted and said, and is no finding."""

from __future__ import annotations

from collections import Counter

from .leaf import Record
from .trail import Export, Leaf, Trail

SECOND = 1_000_000
MINUTE = 60 * SECOND


def counts(trail: Trail | Export) -> dict[str, int]:
    """By their names on the page."""
    leaves = [leaf for _, leaf in sorted(trail.leaves.items())]
    sealed = len(trail.sealed) if isinstance(trail, Export) else len(leaves)
    return {
        "records": len(trail.records),
        "sealed": sealed,
        "unsealed": len(trail.unsealed),
        "open_intents": _open_intents(trail.records),
        "clock_disorder": _clock_disorder(leaves, trail.unsealed, isinstance(trail, Trail) or trail.whole),
        "late": _late(leaves),
    }


def _open_intents(records: list[Record]) -> int:
    """Intents beyond the outcomes of their exchange, in whatever order. Reads and refusals have none."""
    open_: Counter[bytes] = Counter()
    for fields in (each.fields for each in records):
        if fields["exchange_id"] is None:
            continue
        if fields["phase"] == "intent":
            open_[fields["exchange_id"]] += 1
        elif fields["phase"] == "outcome" and fields["action"] != "read" and fields["outcome"] != "refused":
            open_[fields["exchange_id"]] -= 1
    return sum(each for each in open_.values() if each > 0)


def _clock_disorder(leaves: list[Leaf], unsealed: list[Record], whole: bool) -> int:
    """Records of a clock that ran back since an earlier leaf of the same run, or that is ahead of the database's.

    Every leaf is earlier than what is not sealed. A part has not all that was before.
    """
    newest: dict[bytes, int] = {}
    found = 0
    for record in [leaf.record for leaf in leaves if leaf.record is not None]:
        found += _is_disordered(record, newest)
        run, at = record.fields["run_id"], record.fields["recorded_at"]
        if at is not None and whole:
            newest[run] = max(at, newest.get(run, at))
    return found + sum(_is_disordered(record, newest) for record in unsealed)


def _is_disordered(record: Record, newest: dict[bytes, int]) -> bool:
    at, stored = record.fields["recorded_at"], record.fields["stored_at"]
    if at is None:
        return False
    ran_back = at < newest.get(record.fields["run_id"], at) - SECOND
    return ran_back or (stored is not None and at > stored + MINUTE)


def _late(leaves: list[Leaf]) -> int:
    """Leaves that were stored more than a minute before the newest of those before them."""
    newest, found = None, 0
    for leaf in leaves:
        stored = None if leaf.record is None else leaf.record.fields["stored_at"]
        if stored is not None:
            found += newest is not None and stored < newest - MINUTE
            newest = stored if newest is None else max(newest, stored)
    return found
