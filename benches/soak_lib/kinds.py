"""The kinds of requests that make the mix, and the answer that each must have.

Each says its own name in its query, so that the origin's log tells what really reached it. A
request's token ends with a number below `TOKENS`, drawn when it is sent: so many users keep every
cache of the gateway busy.
"""

from __future__ import annotations

from dataclasses import dataclass

TOKENS = 10_000
UPLOAD = "u" * 65_536

# What the origin answers.
PROFILE = '{"displayname":"Soak"}'
ROOMS = '{"chunk":[' + ",".join(["12345"] * 400) + "]}"
DOWNLOAD = '"' + "x" * (100 * 1024 - 2) + '"'
MEDIA = '{"content_uri":"mxc://example.org/large"}'
PREFERENCE = '{"enabled":true}'
STORED = "{}"

USER = "/_matrix/client/v3/user/%40soak%3Aexample.org/account_data/m.key_backup"


@dataclass(frozen=True)
class Kind:
    """One kind: `weight` of a thousand requests are of it."""

    name: str
    weight: int
    method: str
    path: str
    # The whole body if the status is 200, else the errcode.
    answer: str
    status: int = 200
    body: str | None = None
    fields: str = ""
    # What the token begins with: `t` is what the origin takes for a user's.
    token: str = "t"
    # Whether the origin must see it, or must not.
    reaches_origin: bool = True

    def target(self) -> str:
        return f"{self.path}?kind={self.name}"

    def wanted(self) -> str:
        """The answer that it must have, in short; kinds may share one."""
        if self.status != 200:
            return f"{self.status} {self.answer}"
        return f"200 with the {len(self.answer)} bytes of its answer"

    def around_number(self) -> tuple[str, str]:
        """The request as it goes out over HTTP/1.1, before and after the token's number."""
        length = "" if self.body is None else f"Content-Length: {len(self.body)}\r\n"
        return (
            f"{self.method} {self.target()} HTTP/1.1\r\nHost: soak.example.org\r\n"
            f"Authorization: Bearer {self.token}",
            f"\r\n{self.fields}{length}\r\n{self.body or ''}",
        )


SMALL = Kind("small", 518, "GET", "/_matrix/client/v3/profile/@soak:example.org", PROFILE)
LARGE = Kind("large", 100, "GET", "/_matrix/media/v3/download/example.org/large", DOWNLOAD)
CHUNKED = Kind("chunked", 120, "GET", "/_matrix/client/v3/publicRooms", ROOMS)
SLOW = Kind("slow", 3, "GET", "/_matrix/client/v3/slow", ROOMS)
UPLOADED = Kind("upload", 60, "POST", "/_matrix/media/v3/upload", MEDIA, body=UPLOAD)
MISSING = Kind("missing", 100, "GET", "/_matrix/client/v3/nowhere", "M_NOT_FOUND", 404)
CLOSE = Kind("close", 4, "GET", SMALL.path, PROFILE, fields="Connection: close\r\n")
READ = Kind("read", 60, "GET", USER, PREFERENCE)
UNSET = Kind("unset", 20, "GET", USER.replace("soak", "unset"), "M_NOT_FOUND", 404)
# Each is fsynced, twice if it is good: small shares.
WRITE = Kind("write", 8, "PUT", USER, STORED, body=PREFERENCE)
BAD_WRITE = Kind(
    "bad_write", 4, "PUT", USER, "M_BAD_JSON", 400, body='{"enabled":1}', reaches_origin=False
)
DENIED = Kind(
    "denied", 3, "PUT", USER, "M_UNKNOWN_TOKEN", 401, "{}", token="nobody-", reaches_origin=False
)

MIX = [SMALL, LARGE, CHUNKED, SLOW, UPLOADED, MISSING, CLOSE, READ, UNSET, WRITE, BAD_WRITE, DENIED]

# What goes over HTTP/2, each in its share of a thousand. All must be answered 200.
MIX_H2 = [(SMALL, 500), (CHUNKED, 200), (LARGE, 100), (READ, 150), (UPLOADED, 40), (WRITE, 10)]
