"""Raw request-targets: every spelling that a homeserver, or a careless guard, could take for
another one. Generated from what was measured to make a difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from .synapse import STABLE, UNSTABLE, User

# Where the gateway does not answer as Synapse does, on purpose. The README says so.
SAME = "same"
ABSOLUTE = "absolute-form: judged by its path, forwarded in origin-form"
FRAGMENT = "fragment: http::Uri keeps none"
UNPARSEABLE = "hyper takes no such target"


@dataclass(frozen=True)
class Target:
    """One request line, and whether its answer is that of Synapse without the gateway."""

    method: str
    raw: bytes
    differs: str = SAME

    def __str__(self) -> str:
        return f"{self.method} {self.raw!r}"


def every_byte(text: str, lower: bool = False) -> str:
    """All of it percent-encoded."""
    form = "%{:02x}" if lower else "%{:02X}"
    return "".join(form.format(byte) for byte in text.encode())


def one_byte_each(text: str) -> Iterator[str]:
    """Each character percent-encoded alone, in both cases of hex where they differ."""
    for at, char in enumerate(text):
        for encoded in dict.fromkeys(("%{:02X}".format(ord(char)), "%{:02x}".format(ord(char)))):
            yield text[:at] + encoded + text[at + 1 :]


VERSIONS = ["r0", "v3", "unstable"]
OTHER_VERSIONS = ["v1", "v2", "r0.6.1", "api/v1", "V3", "R0", "Unstable", "v%33", "r%30", "", "v3%2F"]

LITERALS = [
    "//_matrix/client/v3/user/{U}/account_data/{T}",
    "/_matrix//client/v3/user/{U}/account_data/{T}",
    "/_matrix/client//v3/user/{U}/account_data/{T}",
    "/_matrix/client/v3//user/{U}/account_data/{T}",
    "/_matrix/client/v3/user//{U}/account_data/{T}",
    "/_matrix/client/v3/user/{U}//account_data/{T}",
    "/_matrix/client/v3/user/{U}/account_data//{T}",
    "/./_matrix/client/v3/user/{U}/account_data/{T}",
    "/_matrix/client/./v3/user/{U}/account_data/{T}",
    "/_matrix/client/v3/user/{U}/account_data/./{T}",
    "/x/../_matrix/client/v3/user/{U}/account_data/{T}",
    "/_matrix/client/v3/user/{U}/x/../account_data/{T}",
    "/_matrix/client/v3/user/{U}/account_data/x/../{T}",
    "/_matrix/client/v3/user/{U}/account_data/x%2F..%2F{T}",
    "/_matrix/client/v3/user/{U}/%2E/account_data/{T}",
    "/_Matrix/client/v3/user/{U}/account_data/{T}",
    "/_MATRIX/CLIENT/V3/USER/{U}/ACCOUNT_DATA/{T}",
    "/_matrix/client/v3/User/{U}/account_data/{T}",
    "/_matrix/client/v3/user/{U}/Account_Data/{T}",
    "/%5Fmatrix/client/v3/user/{U}/account_data/{T}",
    "/_matrix/clien%74/v3/user/{U}/account_data/{T}",
    "/_matrix/client/v3/%75ser/{U}/account_data/{T}",
    "/_matrix/client/v3/user/{U}/account%5Fdata/{T}",
    "/_matrix/client/v3/user/{U}/account%5fdata/{T}",
    "/_matrix%2Fclient/v3/user/{U}/account_data/{T}",
    "/_matrix/client/v3/user/{U}%2Faccount_data/{T}",
    "/_matrix/client/v3/user/{U}/account_data%2F{T}",
    "/_matrix/client/v3/user/{U}/account_data;x/{T}",
    "/_matrix/client/v3/user/{U}/account_data",
    "/_matrix/client/v3/user/{U}/account_data/",
    "/prefix/_matrix/client/v3/user/{U}/account_data/{T}",
    "/_matrix/client/v3/user/{U}/rooms/!r%3Alocalhost/account_data/{T}",
    "/_matrix/client/v3/user/{U}/rooms/account_data/{T}",
    "/_matrix/client/v3/user/{U}/rooms/!r%3Alocalhost/account_data/{T}/",
]

OTHER_TYPES = [
    "M.key_backup", "m.Key_Backup", "M.KEY_BACKUP", "m.key-backup", "m_key_backup", "m.key_backu",
    "m.key_backup.", "m.key_backups", ".m.key_backup", "m.key_backup;x", "m.key_backup;", "m.key_backup,",
    "m.key_backup+", "m.key_backup:", "m.key_backup=", "m.key_backup~", "m.key_backup*", "m.key_backup'",
    "m%252Ekey_backup", "m%252ekey_backup", "%256D.key_backup", "m.key%255Fbackup",
    "m.key_backup%2F", "m.key_backup%2f", "m.key_backup%2Fx", "%2Fm.key_backup", "x%2Fm.key_backup",
    "m.key_backup%00", "%00m.key_backup", "m.key%00_backup", "m.key_backup%20", "%20m.key_backup",
    "m.key_backup%0A", "m.key_backup%0D%0A", "m.key_backup%09", "m.key_backup%3F", "m.key_backup%23",
    "m.key_backup%3Bx", "m.key_backup%25", "m.key_backup%", "m.key_backup%2", "m.key_backup%ZZ",
    "m%C0%AEkey_backup", "m%E0%80%AEkey_backup", "m.key%C1%9Fbackup", "m.key_backup%FF",
    "m.key_backup%80", "m.key_backup%ED%A0%80", "m%EF%BC%8Ekey_backup", "m.key%EF%BC%BFbackup",
    "%EF%BB%BFm.key_backup", "m.key_backup%E2%80%8B", "m.key_backup%C2%A0", "m.key_bac%E2%84%AAup",
    "m%2%45key_backup", "m%u002Ekey_backup", "m&#46;key_backup", "m.key_backup$", "m.key_backup(x)",
]  # fmt: skip

USERS = [
    "{u}", "%40{n}%3Alocalhost", "@{n}%3Alocalhost", "%40{n}:localhost", "{every}", "{every_lower}",
    "{other}", "%40nobody%3Alocalhost", "{n}", "@{n}", "@{n}%3Aelsewhere", "", "%40", ":", "@:", "me",
    "%2540{n}%253Alocalhost", "%40a%2Fb%3Alocalhost", "{u}%00", "{u}%20", "%20{u}", "{u};x", "{u}%2F",
    "@{N}:localhost", "{u}%FF", "%FF", "..", ".", "*",
]  # fmt: skip

TRAILING = [
    "/", "//", "///", "/x", "/x/y", "/.", "/..", "/../", "/../y", "/../../x", "/%2E%2E/y", "/..%2Fy",
    "/m.key_backup", "/?x", "/x?y", "/;x", "/%00", "/%FF", "/ x".replace(" ", "%20"),
]  # fmt: skip

QUERIES = [
    "?", "?x", "??", "?x=y&z", "?a=/account_data/other", "?%00", "?%", "?%ZZ", "?x=%FF", "?/../x", "?;",
    "?user_id=%40nobody%3Alocalhost", "?a?b", "?m.key_backup", "?x=" + "y" * 3000,
]  # fmt: skip

FRAGMENTS = ["#", "#x", "/#x", "#?x", "?x#y", "?#", "##", "#/../y"]

ABSOLUTES = ["http://localhost", "http://elsewhere.example", "https://localhost:8448", "HTTP://LOCALHOST"]

# Characters that RFC 3986 allows in no target.
UNWISE = ['"', "<", ">", "\\", "^", "`", "{", "|", "}", "\x7f", "\x80", "\xff", "\xc3\xa9", "\x01", "\t"]

MSC3391 = "/_matrix/client/unstable/org.matrix.msc3391/user/{U}/account_data/{T}"

DELETES = [
    MSC3391,
    *(MSC3391.replace("{T}", "{T}" + end) for end in ("/", "/x", "/../y", "?x", "??", "%2F", "%00", ";x")),
    *(MSC3391.replace("{T}", other) for other in ("m%2Ekey%5Fbackup", "M.key_backup", "m%252Ekey_backup")),
    MSC3391.replace("{T}", "{every_type}"),
    MSC3391.replace("{U}", "{u}"),
    MSC3391.replace("{U}", "{other}"),
    MSC3391.replace("org.matrix", "org%2Ematrix"),
    MSC3391.replace("org.matrix.msc3391", "ORG.MATRIX.MSC3391"),
    MSC3391.replace("org.matrix.msc3391", "org.matrix.msc3391/"),
    MSC3391.replace("org.matrix.msc3391/", ""),
    MSC3391.replace("unstable", "v3"),
    MSC3391.replace("unstable", "r0"),
    MSC3391.replace("unstable/org.matrix.msc3391", "v3"),
    MSC3391.replace("/account_data", "/rooms/!r%3Alocalhost/account_data"),
]


def all_targets(user: User, other: User) -> list[Target]:
    """Every target, for `user`, each once."""
    found: dict[tuple[str, bytes], Target] = {}

    def add(method: str, template: str, event_type: str = STABLE, differs: str = SAME) -> None:
        words = {
            "{U}": quote(user.user_id, safe=""),
            "{u}": user.user_id,
            "{n}": user.name,
            "{N}": user.name.upper(),
            "{other}": quote(other.user_id, safe=""),
            "{every}": every_byte(user.user_id),
            "{every_lower}": every_byte(user.user_id, lower=True),
            "{every_type}": every_byte(event_type),
            "{T}": event_type,
        }
        for word, value in words.items():
            template = template.replace(word, value)
        raw = template.encode("latin-1")
        if b"#" in raw and differs == SAME:
            differs = FRAGMENT
        found.setdefault((method, raw), Target(method, raw, differs))

    plain = "/_matrix/client/v3/user/{U}/account_data/{T}"
    for method in ("PUT", "GET"):
        for event_type in (STABLE, UNSTABLE):
            for version in VERSIONS:
                add(method, plain.replace("v3", version), event_type)
            add(method, plain.replace("{T}", "{every_type}"), event_type)
            for end in ("/", "/../y", "?x", "%2F", ";x"):
                add(method, plain + end, event_type)
        for version in OTHER_VERSIONS:
            add(method, plain.replace("v3", version))
        for template in LITERALS:
            add(method, template)
        for spelling in (*one_byte_each(STABLE), every_byte(STABLE, lower=True), *OTHER_TYPES):
            add(method, plain.replace("{T}", spelling))
        for spelling in USERS:
            add(method, plain.replace("{U}", spelling))
        for end in (*TRAILING, *QUERIES, *FRAGMENTS):
            add(method, plain + end)
        for version in VERSIONS:
            add(method, plain.replace("v3", version) + "/x%2Fy/?z")
        for authority in ABSOLUTES:
            add(method, authority + plain, differs=ABSOLUTE)
        for char in UNWISE:
            add(method, plain + char, differs=UNPARSEABLE)
    for spelling in one_byte_each(UNSTABLE):
        add("PUT", plain.replace("{T}", spelling), UNSTABLE)
    for template in DELETES:
        add("DELETE", template)
        add("DELETE", template, UNSTABLE)
    for method in ("PUT", "GET", "POST"):
        add(method, MSC3391)
    for end in ("", "/", "/x", "?x"):
        add("HEAD", plain + end)
    add("HEAD", plain.replace("{T}", "M.key_backup"))
    for method in ("POST", "PATCH", "DELETE", "OPTIONS", "put", "PUTS", "TRACE"):
        add(method, plain)
        add(method, plain, UNSTABLE)
    return list(found.values())
