"""Bodies of a guarded write: what is accepted, and what is refused with which codes."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field

from .http import Fields
from .synapse import STABLE, UNSTABLE

NOT_JSON = (400, "M_NOT_JSON")
BAD_JSON = (400, "M_BAD_JSON")
TOO_LARGE = (413, "M_TOO_LARGE")


@dataclass(frozen=True)
class Good:
    """A body that is accepted, or that clears (`preference` is `None`)."""

    name: str
    body: bytes
    preference: str | None
    event_type: str = STABLE
    fields: Fields = field(default_factory=list)


@dataclass(frozen=True)
class Bad:
    """A body that is refused: the first of `codes` picks the answer."""

    name: str
    body: bytes
    codes: list[str]
    answer: tuple[int, str] = BAD_JSON
    event_type: str = STABLE
    fields: Fields = field(default_factory=list)


def nested(depth: int, open_: str = "[", close: str = "]") -> bytes:
    """An object around as many containers as make it `depth` deep."""
    inner = open_ * (depth - 1) + "1" + close * (depth - 1)
    return b'{"enabled":true,"x":' + inner.encode() + b"}"


def padded(length: int) -> bytes:
    """A good body of exactly `length` bytes."""
    body = b'{"enabled":true,"x":"%s"}'
    return body % (b"y" * (length - len(body) + 2))


def chunks(body: bytes, *sizes: int) -> bytes:
    """`body` in chunks of these sizes, the last one repeated."""
    parts, at, sizes_left = [], 0, list(sizes)
    while at < len(body):
        size = sizes_left.pop(0) if len(sizes_left) > 1 else sizes_left[0]
        part = body[at : at + size]
        parts.append(b"%x\r\n%s\r\n" % (len(part), part))
        at += size
    return b"".join(parts) + b"0\r\n\r\n"


LIMIT = 64 * 1024
CHUNKED: Fields = [("Transfer-Encoding", "chunked")]

GOOD = [
    Good("true", b'{"enabled":true}', "enabled"),
    Good("false", b'{"enabled":false}', "disabled"),
    Good("unstable true is the opposite", b'{"disabled":true}', "disabled", UNSTABLE),
    Good("unstable false is the opposite", b'{"disabled":false}', "enabled", UNSTABLE),
    Good("an empty object clears", b"{}", None),
    Good("an empty object clears the unstable type", b" {\n} ", None, UNSTABLE),
    Good("white space", b' \t\r\n{ "enabled" :\n true } \n', "enabled"),
    Good("an escaped name", b'{"\\u0065nabled":true}', "enabled"),
    Good("other members", b'{"enabled":true,"disabled":true,"x":{"enabled":"no"}}', "enabled"),
    Good("the name in another case beside it", b'{"Enabled":"x","enabled":false}', "disabled"),
    Good("text of every plane", '{"enabled":true,"é€😀":"é€😀"}'.encode(), "enabled"),
    Good("escaped surrogate pairs", b'{"enabled":true,"x":"\\ud83d\\ude00"}', "enabled"),
    Good("controls that may be escaped", b'{"enabled":true,"x":"\\u0001\\b\\u007f"}', "enabled"),
    Good("the largest integers", b'{"enabled":true,"x":[9007199254740991,-9007199254740991]}', "enabled"),
    Good("32 deep", nested(32), "enabled"),
    Good("exactly the limit", padded(LIMIT), "enabled"),
    Good("no Content-Type", b'{"enabled":true}', "enabled", fields=[]),
    Good("another Content-Type", b'{"enabled":true}', "enabled", fields=[("Content-Type", "text/plain")]),
    Good("another charset", b'{"enabled":true}', "enabled",
         fields=[("Content-Type", "application/json; charset=utf-16")]),
    Good("identity", b'{"enabled":true}', "enabled", fields=[("Content-Encoding", "identity")]),
    Good("chunked", chunks(b'{"enabled":false}', 16), "disabled", fields=CHUNKED),
    Good("chunked byte by byte", chunks(b'{"enabled":true}', 1), "enabled", fields=CHUNKED),
]  # fmt: skip

BAD = [
    Bad("empty", b"", ["not_json"], NOT_JSON),
    Bad("white space alone", b" \n", ["not_json"], NOT_JSON),
    Bad("no JSON", b"enabled=true", ["not_json"], NOT_JSON),
    Bad("cut off", b'{"enabled":true', ["not_json"], NOT_JSON),
    Bad("trailing bytes", b'{"enabled":true}x', ["not_json"], NOT_JSON),
    Bad("a trailing NUL", b'{"enabled":true}\0', ["not_json"], NOT_JSON),
    Bad("two texts", b'{"enabled":true}{"enabled":false}', ["not_json"], NOT_JSON),
    Bad("a byte order mark", b'\xef\xbb\xbf{"enabled":true}', ["not_json"], NOT_JSON),
    Bad("UTF-16", '{"enabled":true}'.encode("utf-16"), ["not_json"], NOT_JSON),
    Bad("UTF-16 without a mark", '{"enabled":true}'.encode("utf-16-le"), ["not_json"], NOT_JSON),
    Bad("no UTF-8", b'{"enabled":true,"x":"\xff"}', ["not_json"], NOT_JSON),
    Bad("overlong UTF-8", b'{"enabled":true,"x":"\xc0\xae"}', ["not_json"], NOT_JSON),
    Bad("NaN", b'{"enabled":true,"x":NaN}', ["not_json"], NOT_JSON),
    Bad("Infinity", b'{"enabled":true,"x":-Infinity}', ["not_json"], NOT_JSON),
    Bad("a comma too many", b'{"enabled":true,}', ["not_json"], NOT_JSON),
    Bad("a comment", b'{"enabled":true}/**/', ["not_json"], NOT_JSON),
    Bad("single quotes", b"{'enabled':true}", ["not_json"], NOT_JSON),
    Bad("True", b'{"enabled":True}', ["not_json"], NOT_JSON),
    Bad("a raw control", b'{"enabled":true,"x":"\x01"}', ["not_json"], NOT_JSON),
    Bad("a form", b"enabled=true", ["not_json"], NOT_JSON,
        fields=[("Content-Type", "application/x-www-form-urlencoded")]),
    Bad("null", b"null", ["not_an_object"]),
    Bad("an array", b"[]", ["not_an_object"]),
    Bad("an array around it", b'[{"enabled":true}]', ["not_an_object"]),
    Bad("a number", b"5", ["not_an_object"]),
    Bad("a string", b'"x"', ["not_an_object"]),
    Bad("a boolean", b"true", ["not_an_object"]),
    Bad("another member alone", b'{"x":true}', ["field_missing"]),
    Bad("the other type's member", b'{"disabled":true}', ["field_missing"]),
    Bad("the stable member in the unstable type", b'{"enabled":true}', ["field_missing"], event_type=UNSTABLE),
    Bad("the name in another case", b'{"Enabled":true}', ["field_missing"]),
    Bad("the name with a space", b'{"enabled ":true}', ["field_missing"]),
    Bad("nested in content", b'{"content":{"enabled":true}}', ["field_missing"]),
    Bad("a string for it", b'{"enabled":"yes"}', ["field_not_boolean"]),
    Bad("a word for it", b'{"enabled":"true"}', ["field_not_boolean"]),
    Bad("one for it", b'{"enabled":1}', ["field_not_boolean"]),
    Bad("zero for it", b'{"enabled":0}', ["field_not_boolean"]),
    Bad("null for it", b'{"enabled":null}', ["field_not_boolean"]),
    Bad("an array for it", b'{"enabled":[true]}', ["field_not_boolean"]),
    Bad("an object for it", b'{"enabled":{"enabled":true}}', ["field_not_boolean"]),
    Bad("null in the unstable type", b'{"disabled":null}', ["field_not_boolean"], event_type=UNSTABLE),
    Bad("twice", b'{"enabled":true,"enabled":false}', ["duplicate_member"]),
    Bad("twice the same", b'{"enabled":true,"enabled":true}', ["duplicate_member"]),
    Bad("twice, once escaped", b'{"enabled":true,"\\u0065nabled":false}', ["duplicate_member"]),
    Bad("another one twice", b'{"enabled":true,"x":1,"x":1}', ["duplicate_member"]),
    Bad("twice further down", b'{"enabled":true,"x":[{"y":{"z":1,"\\u007a":2}}]}', ["duplicate_member"]),
    Bad("a lone surrogate", b'{"enabled":true,"x":"\\ud800"}', ["unportable_text"]),
    Bad("a surrogate pair in the wrong order", b'{"enabled":true,"x":"\\udc00\\ud800"}', ["unportable_text"]),
    Bad("NUL in a string", b'{"enabled":true,"x":"\\u0000"}', ["unportable_text"]),
    Bad("NUL in a name", b'{"enabled":true,"\\u0000":1}', ["unportable_text"]),
    Bad("an integer too large", b'{"enabled":true,"x":9007199254740992}', ["unportable_number"]),
    Bad("an integer too small", b'{"enabled":true,"x":-9007199254740992}', ["unportable_number"]),
    Bad("not finite", b'{"enabled":true,"x":1e999}', ["unportable_number"]),
    Bad("33 deep", nested(33), ["too_deep"]),
    Bad("33 objects deep", nested(33, '{"y":', "}"), ["too_deep"]),
    Bad("20,000 deep", nested(20_000), ["too_deep"]),
    Bad("one byte over the limit", padded(LIMIT + 1), ["too_large"], TOO_LARGE),
    Bad("a megabyte", padded(1 << 20), ["too_large"], TOO_LARGE),
    Bad("a megabyte in chunks", chunks(padded(1 << 20), 8000), ["too_large"], TOO_LARGE, fields=CHUNKED),
    Bad("gzip", gzip.compress(b'{"enabled":true}', mtime=0), ["not_json", "encoded"], NOT_JSON,
        fields=[("Content-Encoding", "gzip")]),
    Bad("plain, labelled gzip", b'{"enabled":true}', ["encoded"], fields=[("Content-Encoding", "gzip")]),
    Bad("plain, labelled br after identity", b'{"enabled":true}', ["encoded"],
        fields=[("Content-Encoding", "identity"), ("Content-Encoding", "br")]),
    Bad("several at once", b'{"enabled":"x","y":1,"y":"\\u0000","z":1e999}',
        ["field_not_boolean", "duplicate_member", "unportable_text", "unportable_number"]),
    Bad("an array with a duplicate", b'[{"x":1,"x":2}]', ["not_an_object", "duplicate_member"]),
]  # fmt: skip


def meaning(body: bytes) -> object:
    """What a body says to a parser."""
    return json.loads(body)
