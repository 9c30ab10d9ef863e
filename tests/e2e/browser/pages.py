"""Every page there is, by the name that its pictures have."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from .desk import Desk
from .traffic import Traffic


def pages(desk: Desk, traffic: Traffic) -> dict[str, str]:
    """Those for somebody who has logged in, with something to see on each."""
    refused = exchange_of_a_refusal(desk, traffic)
    written = desk.gateway.records(user=traffic.alice.user_id, outcome="answered", action="write")[-1]
    return {
        "overview": "/audit/?range=week",
        "overview-day": "/audit/?range=day",
        "search": "/audit/search",
        "search-refused": "/audit/search?" + urlencode({"verdict": "refuse", "user": traffic.carol.user_id}),
        "search-nothing": "/audit/search?user=%40nobody%3Alocalhost",
        "search-wrong": "/audit/search?since=yesterday-ish",
        "exchange-refused": f"/audit/exchange/{refused}",
        "exchange": f"/audit/exchange/{written['exchange_id']}",
        "exchange-none": "/audit/exchange/00000000-0000-7000-8000-000000000000",
        "story": f"/audit/user?user={quote(traffic.alice.user_id, safe='')}",
        "story-disagrees": f"/audit/user?user={quote(traffic.bob.user_id, safe='')}",
        "story-nobody": "/audit/user?user=%40nobody%3Alocalhost",
        "would-break": "/audit/reports/would-break",
        "drift": "/audit/reports/drift",
        "adoption": "/audit/reports/adoption",
        "export": "/audit/export",
    }


def exchange_of_a_refusal(desk: Desk, traffic: Traffic) -> str:
    """Alice's phone's mistake."""
    found = desk.gateway.records(user=traffic.alice.user_id, verdict="refuse")
    assert len(found) == 1, found
    return str(found[0]["exchange_id"])
