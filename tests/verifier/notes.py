"""Checkpoints: C2SP `tlog-checkpoint` in a signed note, with Ed25519 keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .values import Malformed

ED25519 = b"\1"
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


def key_id(name: str, public: bytes) -> bytes:
    """What says in a signature which key of that name made it."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


@dataclass(frozen=True)
class Key:
    """A note verifier key."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Key:
        """`<name>+<key id, hex>+<01 and the key, base64>`."""
        name, _, rest = text.strip().partition("+")
        number, _, encoded = rest.partition("+")
        try:
            given, data = bytes.fromhex(number), base64.b64decode(encoded, validate=True)
        except ValueError:
            raise Malformed("no note verifier key") from None
        if not name or data[:1] != ED25519 or len(data) != 33:
            raise Malformed("no note verifier key for Ed25519")
        if given != key_id(name, data[1:]):
            raise Malformed("the key's id is not that of the key")
        return cls(name, given, data[1:])

    def signed(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Checkpoint:
    """What a note says, whoever has signed it."""

    text: str
    origin: str
    size: int
    root: bytes
    # Name, key id and signature.
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: str) -> Checkpoint:
        """`Malformed` if it is no checkpoint in a signed note."""
        text, separator, signatures = note.rpartition("\n\n")
        lines = text.split("\n")
        if not separator or len(lines) < 3 or "" in lines or not note.endswith("\n"):
            raise Malformed("no signed note")
        origin, size, root = lines[:3]
        if not _SIZE.fullmatch(size):
            raise Malformed("no number of leaves")
        found = tuple(map(_signature, signatures.removesuffix("\n").split("\n")))
        return cls(text + "\n", origin, int(size), _base64(root, 32), found)

    def is_signed(self, keys: list[Key]) -> bool:
        """Whether at least one of the keys has signed it, and none of them wrongly."""
        good = False
        for name, number, signature in self.signatures:
            for key in keys:
                # A key speaks for the trail that has its name, and for no other.
                if (name, number) == (key.name, key.id) and name == self.origin:
                    if not key.signed(self.text, signature):
                        return False
                    good = True
        return good


def _signature(line: str) -> tuple[str, bytes, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not parts[1]:
        raise Malformed("no signature line")
    data = _base64(parts[2])
    if len(data) < 5:
        raise Malformed("a signature that is too short")
    return parts[1], data[:4], data[4:]


def _base64(text: str, length: int | None = None) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("no base64") from None
    if length not in (None, len(data)):
        raise Malformed(f"not {length} bytes")
    return data


def notes_in(text: str) -> list[str]:
    """The notes of a file, one after the other: each ends where no signature line follows."""
    found: list[str] = []
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        if lines and lines[-1].startswith("— ") and not line.startswith("— "):
            found.append("".join(lines))
            lines = []
        if lines or line.strip():
            lines.append(line)
    return [*found, "".join(lines)] if lines else found
