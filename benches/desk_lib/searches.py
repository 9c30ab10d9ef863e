"""What an auditor looks for: each filter alone, several at once, and what there is not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from audit_lib.cluster import Cluster

from . import dataset

Query = dict[str, str]
# Records that are asked for by what they have; and how often a search is asked that has no other like it.
SAMPLES, AGAIN = 20, 5
SEED = 7


@dataclass(frozen=True)
class Search:
    """Some of one kind."""

    kind: str
    queries: list[Query]


@dataclass(frozen=True)
class Sample:
    """What some record has."""

    id: str
    user: str
    device: str
    address: str


class People:
    """Some records of writes, at random, from all of the trail; the same each time."""

    def __init__(self, cluster: Cluster, database: str, rows: int) -> None:
        percent = min(100.0, 100 * 500 * SAMPLES / rows)
        listed = cluster.psql(database, f"""
            SELECT id, claimed_user, device_id, client_address
            FROM audit_record TABLESAMPLE SYSTEM ({percent}) REPEATABLE ({SEED})
            WHERE device_id IS NOT NULL AND claimed_user <> '{dataset.BUSY_USER}'
                AND client_address NOT IN ('{dataset.OFFICE}', '{dataset.OLD_ADDRESS}', '2001:db8::0') ORDER BY id""")
        found = [Sample(*line.split("|")) for line in listed.splitlines()]
        self.samples = random.Random(SEED).sample(found, min(5 * SAMPLES, len(found)))


def day(ago: int, now: datetime) -> Query:
    """One day, so many days ago."""
    first = (now - timedelta(days=ago)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"since": _time(first), "until": _time(first + timedelta(days=1))}


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def all_of_them(people: People) -> Iterator[Search]:
    now = datetime.now(timezone.utc)
    some, earlier, office = people.samples[:SAMPLES], {"until": "90d"}, {"address": dataset.OFFICE}
    rare_client, common_client = {"client": "Nheko/"}, {"client": dataset.COMMON_CLIENT}
    rare, common = {"violation": dataset.RARE_CODE}, {"violation": dataset.COMMON_CODE}
    refused, days = {"verdict": "refuse"}, [day(ago, now) for ago in range(50, 50 + AGAIN)]

    def one(kind: str, *queries: Query) -> Search:
        return Search(kind, [*queries] * (AGAIN if len(queries) == 1 else 1))

    def with_each(kind: str, queries: list[Query], *more: Query) -> Search:
        return Search(kind, [query | {k: v for each in more for k, v in each.items()} for query in queries])

    users, devices = [{"user": it.user} for it in some], [{"device": it.device} for it in some]
    addresses, deep = [{"address": it.address} for it in some], [{"before": it.id} for it in some]
    yield one("nothing filtered", {})
    yield with_each("nothing filtered, deep", deep)
    yield with_each("user", users)
    yield one("user who writes all the time", {"user": dataset.BUSY_USER})
    yield one("user whom nobody knows", {"user": "@nobody:example.org"})
    yield with_each("device", devices)
    yield one("device that nobody has", {"device": "NOBODYS"})
    yield with_each("address of one or a few", addresses)
    yield one("address of every tenth", office)
    yield one("address that thousands had, long ago", {"address": dataset.OLD_ADDRESS})
    yield one("address that nobody has", {"address": "192.0.2.254"})
    yield one("client that many have", common_client)
    yield one("client that few have", rare_client)
    yield one("client that thousands had, long ago", {"client": "SchildiChat/"})
    yield one("client that nobody has", {"client": "Nobody/"})
    for name in ("accept", "clear", "refuse"):
        yield one(f"verdict {name}", {"verdict": name})
    yield one("violation that is frequent", common)
    yield one("violation that is rare", rare)
    yield one("violation that never was", {"violation": dataset.UNSEEN_CODE})
    for name in ("answered", "refused", "unanswered", "failed"):
        yield one(f"outcome {name}", {"outcome": name})
    for name in ("write", "read", "clear"):
        yield one(f"action {name}", {"action": name})
    for name in ("stable", "unstable"):
        yield one(f"event type {name}", {"event_type": name})
    yield one("the last hour", {"since": "1h"})
    yield with_each("a day two months ago", days)
    yield one("before three months ago", earlier)
    yield with_each("verdict refuse, deep", deep, refused)
    yield with_each("violation that is rare, deep", deep, rare)
    yield with_each("client that few have, deep", deep, rare_client)
    yield with_each("user, verdict", users, refused)
    yield with_each("user, action, event type", users, {"action": "write", "event_type": "stable"})
    yield with_each("user, before three months ago", users, earlier)
    yield with_each("device, the last month", devices, {"since": "30d"})
    yield with_each("device, address of every tenth", devices, office)
    yield one("address of every tenth, verdict refuse", office | refused)
    yield one("address of every tenth, client that few have", office | rare_client)
    yield with_each("address of every tenth, a day two months ago", days, office)
    yield one("client that many have, violation", common_client | common)
    yield one("client that few have, before three months ago", rare_client | earlier)
    yield one("client that nobody has, a violation", {"client": "Nobody/"} | common)
    yield with_each("violation that is rare, a day two months ago", days, rare)
    yield one("verdict refuse, before three months ago", refused | earlier)
    yield with_each("outcome unanswered, a day two months ago", days, {"outcome": "unanswered"})
    yield one("event type unstable, violation", {"event_type": "unstable"} | common)
    yield one("verdict that contradicts the violation", {"verdict": "accept"} | common)
