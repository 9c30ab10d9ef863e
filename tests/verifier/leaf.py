"""A record's columns, its commitments, and its leaf, version 1."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .values import Malformed, encode

UUID, TEXT, TIME, FLAG, TEXTS, SALT, HASH, INTEGER, ANY = range(9)

# Every column, and what it holds.
COLUMNS = {
    "id": UUID,
    "kind": TEXT,
    "exchange_id": UUID,
    "phase": TEXT,
    "recorded_at": TIME,
    "stored_at": TIME,
    "instance": TEXT,
    "run_id": UUID,
    "version": TEXT,
    "action": TEXT,
    "event_type": TEXT,
    "claimed_user": TEXT,
    "authenticated_user": TEXT,
    "device_id": TEXT,
    "is_guest": FLAG,
    "client_address": TEXT,
    "client_chain": TEXTS,
    "user_agent": TEXT,
    "claimed_commitment": HASH,
    "authenticated_commitment": HASH,
    "client_commitment": HASH,
    "preference": TEXT,
    "verdict": TEXT,
    "violations": TEXTS,
    "outcome": TEXT,
    "origin_status": INTEGER,
    "errcode": TEXT,
    "request_id": TEXT,
    "traceparent": TEXT,
    "body_sha256": HASH,
    "duration_us": INTEGER,
    "detail": ANY,
    "claimed_salt": SALT,
    "authenticated_salt": SALT,
    "client_salt": SALT,
}

# Whose fields a commitment stands for, in its order.
SUBJECTS = {
    "claimed": ("claimed_user",),
    "authenticated": ("authenticated_user", "device_id", "is_guest"),
    "client": ("client_address", "client_chain", "user_agent"),
}

LEAF = (
    "id", "kind", "exchange_id", "phase", "recorded_at", "stored_at", "instance", "run_id", "version",
    "action", "event_type", "claimed_commitment", "authenticated_commitment", "client_commitment",
    "preference", "verdict", "violations", "outcome", "origin_status", "errcode", "request_id",
    "traceparent", "body_sha256", "duration_us", "detail",
)  # fmt: skip

# How many bytes a column has that always has as many.
_LENGTHS = {UUID: 16, SALT: 16, HASH: 32}

# How one kind of source writes each kind of column.
Readers = Mapping[int, Callable[[Any], Any]]


@dataclass
class Record:
    """One line of the trail, in Python's own values: bytes, microseconds, lists."""

    fields: dict[str, Any]
    # What is in it that no version of the gateway writes.
    flaws: list[str] = field(default_factory=list)

    @property
    def id(self) -> bytes | None:
        found: bytes | None = self.fields["id"]
        return found


def as_it_is(value: Any) -> Any:
    """Of a source that has it as Python does."""
    return value


def read(raw: dict[str, Any], readers: Readers) -> Record:
    """A record as its source has it. What cannot be read is null, and a flaw."""
    record = Record({})
    for name, kind in COLUMNS.items():
        value = raw.get(name)
        if value is not None:
            try:
                value = readers[kind](value)
                _check(value, kind)
            except Malformed as error:
                record.flaws.append(f"{name}: {error}")
                value = None
        record.fields[name] = value
    return record


def _check(value: Any, kind: int) -> None:
    """`Malformed` if it is not of its kind."""
    if kind in _LENGTHS:
        if not isinstance(value, bytes) or len(value) != _LENGTHS[kind]:
            raise Malformed(f"not {_LENGTHS[kind]} bytes")
    elif kind == TEXT:
        if not isinstance(value, str):
            raise Malformed("no text")
    elif kind in (TIME, INTEGER):
        if not isinstance(value, int) or isinstance(value, bool):
            raise Malformed("no integer")
    elif kind == FLAG:
        if not isinstance(value, bool):
            raise Malformed("neither true nor false")
    elif kind == TEXTS:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Malformed("no list of text")
    elif value is None:
        # The column is null, then, and not the JSON text `null`.
        raise Malformed("null as a value")


def commitment(subject: str, salt: bytes, fields: dict[str, Any]) -> bytes:
    """What stands in a leaf for the fields of a subject."""
    values = b"".join(encode(_text(fields[name])) for name in SUBJECTS[subject])
    return hashlib.sha256(
        b"key-backup-gateway/commitment/v1/" + subject.encode() + b"\0" + salt + values
    ).digest()


def _text(value: Any) -> Any:
    """A flag is committed to as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def leaf_bytes(fields: dict[str, Any]) -> bytes:
    """What a record is sealed as."""
    return b"key-backup-gateway/leaf/v1\0" + b"".join(encode(fields[name]) for name in LEAF)


def leaf_hash(record: Record) -> bytes | None:
    """`None` if the record cannot be written as a leaf."""
    try:
        return hashlib.sha256(b"\0" + leaf_bytes(record.fields)).digest()
    except Malformed as error:
        record.flaws.append(str(error))
        return None


def unfit(record: Record) -> str | None:
    """The first subject whose fields do not fit their commitment. Without its salt nobody can say."""
    fields = record.fields
    for subject in SUBJECTS:
        salt = fields[f"{subject}_salt"]
        try:
            if salt is not None and commitment(subject, salt, fields) != fields[f"{subject}_commitment"]:
                return subject
        except Malformed:
            return subject
    return None


def erased(record: Record) -> str | None:
    """The first subject without its salt."""
    return next((each for each in SUBJECTS if record.fields[f"{each}_salt"] is None), None)
