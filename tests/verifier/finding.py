"""What is wrong with a trail."""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A code of `deploy/proof.md`, and whom it is about."""

    code: str
    message: str
    leaf_index: int | None = None
    record_id: bytes | None = None

    def as_json(self) -> dict[str, object]:
        known = self.record_id is not None and len(self.record_id) == 16
        return {
            "code": self.code,
            "leaf_index": self.leaf_index,
            "record_id": str(uuid.UUID(bytes=self.record_id)) if known else None,
            "message": self.message,
        }
