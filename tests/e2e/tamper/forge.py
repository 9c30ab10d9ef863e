"""What only whoever holds the private key can make: signed notes, and trees that add up."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from verifier import merkle
from verifier.notes import ED25519, key_id


class Signer:
    """An Ed25519 key that signs notes."""

    def __init__(self, name: str, private: Ed25519PrivateKey, number: bytes | None = None) -> None:
        self.name = name
        self._private = private
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = number or key_id(name, public)

    @classmethod
    def of_file(cls, file: Path) -> Signer:
        """`PRIVATE+KEY+<name>+<key id>+<01 and the seed, base64>`, as Go's `sumdb/note` has it."""
        private, key, name, number, encoded = file.read_text().strip().split("+", 4)
        seed = base64.b64decode(encoded, validate=True)
        assert (private, key, seed[:1], len(seed)) == ("PRIVATE", "KEY", ED25519, 33)
        signer = cls(name, Ed25519PrivateKey.from_private_bytes(seed[1:]))
        assert signer.id.hex() == number
        return signer

    @classmethod
    def other(cls, name: str, number: bytes | None = None) -> Signer:
        """A new key of the same name; with the id `number` it claims to be another."""
        return cls(name, Ed25519PrivateKey.generate(), number)

    def sign(self, size: int, root: bytes) -> str:
        """A checkpoint."""
        text = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self.id + self._private.sign(text.encode())).decode()
        return f"{text}\n— {self.name} {signature}\n"


def tree(leaves: list[bytes]) -> bytes:
    """The root of all of them."""
    return merkle.roots(leaves, [len(leaves)])[len(leaves)]
