"""What a trail says, request by request."""

from __future__ import annotations

from collections import defaultdict

from support.gateway import Record


def by_request(records: list[Record]) -> dict[str, list[Record]]:
    """The records of each request, by its request id."""
    found = defaultdict(list)
    for record in records:
        found[record["request_id"]].append(record)
    return found


def answered(records: list[Record], *actions: str) -> set[str]:
    """The types of which the records say that one of `actions` was answered 2xx."""
    return {
        record["event_type"]
        for record in records
        if record["action"] in actions
        and record["outcome"] == "answered"
        and 200 <= record["origin_status"] < 300
    }
