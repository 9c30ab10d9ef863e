"""Reading exports and proofs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .leaf import ANY, COLUMNS, FLAG, HASH, INTEGER, SALT, TEXT, TEXTS, TIME, UUID, Record, as_it_is, read
from .trail import CouldNotTell, Export, Leaf, Line, Note
from .values import Malformed, parse

EXPORT = "key-backup-gateway/export/v1"
PROOF = "key-backup-gateway/proof/v1"

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_HEX = re.compile(r"([0-9a-f]{2})*")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MEMBERS = {*COLUMNS, "leaf_index", "leaf_hash", "inclusion"}
# All that is left of a record that is not there any more.
_LEFT = {"id", "leaf_index", "leaf_hash"}


def load_export(file: Path) -> Export:
    lines = _text(file).split("\n")
    if lines[-1] == "":
        lines.pop()
    manifest = _manifest(lines)
    if manifest is None:
        # Its last line may have been cut as well.
        found = [_line(text) for text in lines]
        return Export(found[:-1] if found and found[-1].flaw else found, whole=False, cut=True)
    if manifest.get("format") != EXPORT:
        raise CouldNotTell(f"an export in another format: {manifest.get('format')}")
    if not isinstance(manifest.get("complete_up_to"), int):
        raise CouldNotTell("a manifest that is none: it does not say up to where it is complete")
    try:
        older = [Note(text, "an older checkpoint") for text in manifest["checkpoints"]]
        return Export(
            [_line(text) for text in lines[:-1]],
            whole=manifest["filter"] is None,
            checkpoint=_checkpoint(manifest["checkpoint"], manifest["complete_up_to"]),
            older=older,
            complete_up_to=manifest["complete_up_to"],
            counts=(manifest["records"], manifest["sealed"]),
        )
    except (KeyError, TypeError) as error:
        raise CouldNotTell(f"a manifest that is none: {error}") from error


def load_proof(file: Path) -> Export:
    try:
        proof = parse(_text(file))["proof"]
        if proof["format"] != PROOF:
            raise CouldNotTell(f"a proof in another format: {proof['format']}")
        lines = [read_line(members) for members in proof["records"]]
        if not lines:
            raise CouldNotTell("a proof of nothing")
        return Export(lines, whole=False, checkpoint=_checkpoint(proof["checkpoint"], None))
    except (KeyError, TypeError, Malformed) as error:
        raise CouldNotTell(f"no proof: {error!r}") from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CouldNotTell(f"{file.name} cannot be read: {error}") from error


def _checkpoint(text: str | None, size: int | None) -> Note | None:
    return None if text is None else Note(text, "the checkpoint", size)


def _manifest(lines: list[str]) -> dict[str, Any] | None:
    try:
        last = parse(lines[-1])
    except (IndexError, Malformed):
        return None
    found = last.get("manifest") if isinstance(last, dict) else None
    return found if isinstance(found, dict) else None


def _line(text: str) -> Line:
    try:
        members = parse(text)
    except Malformed as error:
        return Line(b"", None, None, None, f"a line that is none: {error}")
    return read_line(members)


def read_line(members: Any) -> Line:
    """A line from its members."""
    if not isinstance(members, dict):
        return Line(b"", None, None, None, "a line that is no object")
    identity = _or(b"", _uuid, members.get("id"))
    index = members.get("leaf_index")
    if index is None:
        return Line(identity, None, None, _record(members))
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        return Line(identity, None, None, None, "a leaf index that is no number")
    path = members.get("inclusion")
    leaf = Leaf(
        identity,
        _or(b"", _hex, members.get("leaf_hash")),
        None if _is_left(members) else _record(members),
        None if path is None else _or([], lambda found: [_hex(each) for each in found], path),
    )
    return Line(identity, index, leaf, leaf.record)


def _or(otherwise: Any, reader: Callable[[Any], Any], value: Any) -> Any:
    """What is read, or what fits nothing."""
    try:
        return reader(value)
    except (Malformed, TypeError):
        return otherwise


def _is_left(members: dict[str, Any]) -> bool:
    return all(value is None for name, value in members.items() if name not in _LEFT)


def _record(members: dict[str, Any]) -> Record:
    record = read(members, _READERS)
    if differing := _MEMBERS ^ members.keys():
        record.flaws.append(f"a line has other members: {', '.join(sorted(differing))}")
    return record


def _time(value: Any) -> int:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise Malformed("no time")
    try:
        since = datetime.fromisoformat(f"{value[:-1]}+00:00") - _EPOCH
    except ValueError as error:
        raise Malformed(f"no time: {error}") from None
    return since // timedelta(microseconds=1)


def _uuid(value: Any) -> bytes:
    try:
        read_ = uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise Malformed("no UUID") from None
    if str(read_) != value:
        raise Malformed("a UUID that is written in another way")
    return read_.bytes


def _hex(value: Any) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise Malformed("no lower-case hex")
    return bytes.fromhex(value)


_READERS = {
    UUID: _uuid,
    TEXT: as_it_is,
    TIME: _time,
    FLAG: as_it_is,
    TEXTS: as_it_is,
    SALT: _hex,
    HASH: _hex,
    INTEGER: as_it_is,
    ANY: as_it_is,
}
