"""One column of one record is changed. A case for each column: a new one needs one, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from verifier.leaf import SUBJECTS

from .stores import PostgresStore
from .world import Expected, Tampering, World

Change = Callable[[World, Any], Any]


def _bits(length: int) -> Change:
    """One bit of it."""

    def change(world: World, value: bytes | None) -> bytes:
        if value is None:
            return world.chance.randbytes(length)
        at = world.chance.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1 << world.chance.randrange(8)]) + value[at + 1 :]

    return change


def _more(_: World, value: str | None) -> str:
    return f"{value or ''}x"


def _later(_: World, value: int) -> int:
    """By as little as can be."""
    return value + 1


def _number(_: World, value: int | None) -> int:
    return (value or 0) + 1


def _guest(_: World, value: bool | None) -> bool:
    return not value


def _list(_: World, value: list[str] | None) -> list[str]:
    return [*(value or []), "x"]


def _detail(_: World, value: Any) -> Any:
    return {"x": value}


CHANGES: dict[str, Change] = {
    "id": _bits(16),
    "kind": _more,
    "exchange_id": _bits(16),
    "phase": _more,
    "recorded_at": _later,
    "instance": _more,
    "run_id": _bits(16),
    "version": _more,
    "action": _more,
    "event_type": _more,
    "claimed_user": _more,
    "authenticated_user": _more,
    "device_id": _more,
    "is_guest": _guest,
    "client_address": _more,
    "client_chain": _list,
    "user_agent": _more,
    "claimed_salt": _bits(16),
    "authenticated_salt": _bits(16),
    "client_salt": _bits(16),
    "claimed_commitment": _bits(32),
    "authenticated_commitment": _bits(32),
    "client_commitment": _bits(32),
    "preference": _more,
    "verdict": _more,
    "violations": _list,
    "outcome": _more,
    "origin_status": _number,
    "errcode": _more,
    "request_id": _more,
    "traceparent": _more,
    "body_sha256": _bits(32),
    "duration_us": _number,
    "detail": _detail,
    "stored_at": _later,
}


def _changed(column: str) -> Tampering:
    def do(world: World) -> Expected:
        # What nobody has written can only be added.
        is_used = any(
            leaf.record and leaf.record.fields[column] is not None
            for leaf in world.sealed.trail.leaves.values()
        )
        index = world.pick(lambda record: not is_used or record.fields[column] is not None)
        value = CHANGES[column](world, world.record(index).fields[column])
        world.set(index, **{column: value})
        # A record with another id is another record, which nobody has sealed.
        if column == "id":
            return Expected("record_missing", index, world.id(index), unsealed=1)
        return Expected("record_changed", index, world.id(index))

    return Tampering(f"change {column}", do)


def _emptied(column: str) -> Tampering:
    def do(world: World) -> Expected:
        index = world.pick(lambda record: record.fields[column] is not None)
        world.set(index, **{column: None})
        return Expected("record_changed", index, world.id(index))

    return Tampering(f"set {column} to null", do)


def _without_salt(subject: str) -> Tampering:
    def do(world: World) -> Expected:
        index = world.pick()
        world.set(index, **{f"{subject}_salt": None})
        return Expected("erased", index, world.id(index))

    return Tampering(f"set {subject}_salt to null", do)


def _erase(world: World) -> Expected:
    """As a later version may do it, which this one does not."""
    index = world.pick()
    fields = [name for names in SUBJECTS.values() for name in names]
    world.set(index, **dict.fromkeys([*fields, *(f"{subject}_salt" for subject in SUBJECTS)]))
    return Expected("erased", index, world.id(index))


def _make_unreadable(world: World) -> Expected:
    """No infinite time and no text that is not UTF-8 was ever written: it is no excuse to tell nothing."""
    index = world.pick()
    is_postgres = isinstance(world.sealed.store, PostgresStore)
    value = "recorded_at = 'infinity'" if is_postgres else "version = CAST(x'ff' AS TEXT)"
    world.do(f"UPDATE audit_record SET {value} WHERE id = ?", world.id(index))
    return Expected("record_changed", index, world.id(index))


COLUMNS = [
    *map(_changed, CHANGES),
    *map(_emptied, ("claimed_user", "outcome")),
    *map(_without_salt, SUBJECTS),
    Tampering("erase all personal fields", _erase),
    Tampering("make a column unreadable", _make_unreadable),
]
