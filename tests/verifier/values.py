"""What leaves and commitments are made of: one way to write each value as bytes."""

from __future__ import annotations

import json
import struct
from typing import Any

_LENGTH = struct.Struct(">I")
_INTEGER = struct.Struct(">q")
_DOUBLE = struct.Struct(">d")


class Malformed(ValueError):
    """Something that no version of the gateway writes."""


def encode(value: Any) -> bytes:
    """The bytes of a value. `Malformed` if it has none."""
    if value is None:
        return b"\0"
    if isinstance(value, str):
        try:
            value = value.encode()
        except UnicodeEncodeError:
            raise Malformed("text that is not UTF-8") from None
    if isinstance(value, bytes):
        return b"\1" + _LENGTH.pack(len(value)) + value
    if isinstance(value, list):
        return b"\2" + _LENGTH.pack(len(value)) + b"".join(map(encode, value))
    # To Python, a boolean is an integer.
    if isinstance(value, bool):
        return b"\6" if value else b"\5"
    if isinstance(value, int):
        try:
            return b"\3" + _INTEGER.pack(value)
        except struct.error:
            raise Malformed("an integer of more than 64 bits") from None
    if isinstance(value, float):
        # −0.0 is equal to 0.0, and becomes it.
        return b"\4" + _DOUBLE.pack(value or 0.0)
    if isinstance(value, dict):
        # Not by the encoded names: their lengths come first. The order of code points is that of UTF-8.
        members = b"".join(encode(name) + encode(value[name]) for name in sorted(value))
        return b"\7" + _LENGTH.pack(len(value)) + members
    raise Malformed(f"a {type(value).__name__}")


def parse(text: str) -> Any:
    """JSON, with its numbers as `encode` wants them. `Malformed` if it is none."""
    try:
        return json.loads(
            text,
            parse_int=_integer,
            parse_float=_double,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}") from None


def _integer(digits: str) -> int | float:
    # Python converts no more digits than some thousands; 64 bits have twenty.
    number = int(digits) if len(digits) < 25 else None
    if number is not None and -(1 << 63) <= number < 1 << 63:
        return number
    return _double(digits)


def _double(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise Malformed("a number that no double is near to")
    return number


def _refuse(constant: str) -> None:
    raise Malformed(f"{constant} is no JSON")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) != len(members):
        # Two readers might each believe another one of them.
        raise Malformed("an object that has a member twice")
    return made
