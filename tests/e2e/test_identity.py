"""Who did it: never a record that names another user than Synapse acted for."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from support.gateway import Gateway
from support.http import Answer, Fields, request
from support.relay import Listener, Origin, Seen, answer, reset
from support.synapse import Synapse, User, account_data_path

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]
numbers = itertools.count(1)


def bearer(token: str, scheme: str = "Bearer ") -> tuple[str, str]:
    return ("Authorization", scheme + token)


def every_byte(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@dataclass
class Credentials:
    """What a request carries to say who is asking."""

    name: str
    fields: Fields
    query: str = ""


def credentials(alice: User, bob: User, as_token: str, one: str, other: str) -> list[Credentials]:
    """Every way to say it, and to say two things at once. `one` and `other` are bridged users."""
    a, b, wrong = alice.token, bob.token, "wrong"
    bridged = f"user_id={one}"
    return [
        Credentials("plain", [bearer(a)]),
        Credentials("lower-case scheme", [bearer(a, "bearer ")]),
        Credentials("upper-case scheme", [bearer(a, "BEARER ")]),
        Credentials("two spaces", [bearer(a, "Bearer  ")]),
        Credentials("basic", [bearer(a, "Basic ")]),
        Credentials("no scheme", [bearer(a, "")]),
        Credentials("none", []),
        Credentials("alice, then bob", [bearer(a), bearer(b)]),
        Credentials("bob, then alice", [bearer(b), bearer(a)]),
        Credentials("alice twice", [bearer(a), bearer(a)]),
        Credentials("alice, then nobody", [bearer(a), bearer(wrong)]),
        Credentials("nobody, then alice", [bearer(wrong), bearer(a)]),
        Credentials("both on one line", [bearer(f"{a}, Bearer {b}")]),
        Credentials("header alice, query bob", [bearer(a)], f"?access_token={b}"),
        Credentials("header bob, query alice", [bearer(b)], f"?access_token={a}"),
        Credentials("header alice, query alice", [bearer(a)], f"?access_token={a}"),
        Credentials("basic bob, query alice", [bearer(b, "Basic ")], f"?access_token={a}"),
        Credentials("header alice, query empty", [bearer(a)], "?access_token="),
        Credentials("query", [], f"?access_token={a}"),
        Credentials("query, encoded name", [], f"?access%5Ftoken={a}"),
        Credentials("query, all encoded", [], f"?{every_byte('access_token')}={every_byte(a)}"),
        Credentials("query after a semicolon", [], f"?x;access_token={a}"),
        Credentials("query alice, then bob", [], f"?access_token={a}&access_token={b}"),
        Credentials("query bob, then alice", [], f"?access_token={b}&access_token={a}"),
        Credentials("query alice, then bob encoded", [], f"?access_token={a}&access%5Ftoken={b}"),
        Credentials("query bob encoded, then alice", [], f"?access%5Ftoken={b}&access_token={a}"),
        Credentials("query bob after a semicolon, then alice", [], f"?x;access_token={b}&access_token={a}"),
        Credentials("query in another case", [], f"?Access_Token={a}"),
        Credentials("query after two marks", [], f"??access_token={a}"),
        Credentials("header alice, query bob after two marks", [bearer(a)], f"??access_token={b}"),
        Credentials("header alice, encoded query bob", [bearer(a)], f"?access%5Ftoken={b}"),
        Credentials("header alice, semicolon query bob", [bearer(a)], f"?x;access_token={b}"),
        Credentials("alice, user_id bob", [bearer(a)], f"?user_id={bob.user_id}"),
        Credentials("appservice", [bearer(as_token)]),
        Credentials("appservice for one", [bearer(as_token)], f"?{bridged}"),
        Credentials("appservice in the query for one", [], f"?access_token={as_token}&{bridged}"),
        Credentials("appservice for one, encoded", [bearer(as_token)], f"?user%5Fid={every_byte(one)}"),
        Credentials("appservice for one, then other", [bearer(as_token)], f"?{bridged}&user_id={other}"),
        Credentials("appservice for other, then one", [bearer(as_token)], f"?user_id={other}&{bridged}"),
        Credentials("appservice for other encoded, then one", [bearer(as_token)],
                    f"?user%5Fid={other}&{bridged}"),
        Credentials("appservice for one after a semicolon", [bearer(as_token)], f"?x;{bridged}"),
        Credentials("appservice for one after two marks", [bearer(as_token)], f"??{bridged}"),
        Credentials("appservice for alice", [bearer(as_token)], f"?user_id={alice.user_id}"),
        Credentials("appservice, then alice", [bearer(as_token), bearer(a)], f"?{bridged}"),
        Credentials("alice, then appservice", [bearer(a), bearer(as_token)], f"?{bridged}"),
        Credentials("Connection: Authorization", [bearer(a), ("Connection", "Authorization")]),
        Credentials("Connection: authorization among others",
                    [bearer(a), ("Connection", "x, AUTHORIZATION ,y")]),
        Credentials("Connection: Authorization, query bob",
                    [bearer(a), ("Connection", "authorization")], f"?access_token={b}"),
        Credentials("Connection: Authorization, query alice",
                    [bearer(b), ("Connection", "authorization")], f"?access_token={a}"),
    ]  # fmt: skip


def named_by_synapse(synapse: Synapse, way: Credentials) -> set[str]:
    """Whom Synapse itself sees in these credentials; what `Connection` names never gets there."""
    options = [value.lower() for name, value in way.fields if name == "Connection"]
    fields = [] if any("authorization" in value for value in options) else way.fields
    path = "/_matrix/client/v3/account/whoami" + way.query
    said = request(synapse.port, "GET", path, fields=fields)
    return {said.json()["user_id"]} if said.status == 200 else set()


def test_no_record_names_another_user_than_synapse_acted_for(synapse: Synapse, gateway: Start) -> None:
    alice, bob = synapse.register("alice"), synapse.register("bob")
    one, other = synapse.register_bridged("one"), synapse.register_bridged("other")
    ways = credentials(alice, bob, synapse.as_token, one, other)
    owners = [alice.user_id, bob.user_id, one, other]
    # One each: no more than twenty refusals of one user a minute have a record of their own.
    gateways = {owner: gateway(synapse.url) for owner in owners}

    def stored() -> dict[str, Any]:
        found = {user.user_id: synapse.content(user) for user in (alice, bob)}
        for user_id in (one, other):
            read = request(
                synapse.port, "GET", f"{account_data_path(user_id)}?user_id={user_id}",
                token=synapse.as_token,
            )  # fmt: skip
            found[user_id] = read.json() if read.status == 200 else None
        return found

    trials = []
    for way, path_of in itertools.product(ways, owners):
        before, ids = stored(), {}
        for kind, body in (("good", {"enabled": True, "n": next(numbers)}), ("bad", {"enabled": 1})):
            ids[kind] = f"{kind}-{next(numbers)}"
            fields = [("X-Request-Id", ids[kind]), *way.fields]
            target = account_data_path(path_of) + way.query
            through = gateways[path_of].request("PUT", target, body=body, fields=fields)
            assert through.status in (200, 400, 401, 403), (way.name, through)
        after = stored()
        trials.append((way, ids, [user for user in owners if before[user] != after[user]]))
    expected = {way.name: named_by_synapse(synapse, way) for way in ways}

    trail = defaultdict(list)
    for record in itertools.chain(*(served.records() for served in gateways.values())):
        trail[record["request_id"]].append(record)
    for way, ids, changed in trials:
        name = way.name
        good, bad = trail[ids["good"]], trail[ids["bad"]]
        # The body that is refused never changes anything, so this is the good one's doing.
        done = [record for record in good if record["origin_status"] == 200]
        assert [record["authenticated_user"] for record in done] == changed, name
        assert [record["claimed_user"] for record in done] == changed, name
        # Refused or not: named as Synapse names them, and not recorded if it names nobody.
        for records in (good, bad):
            assert {record["authenticated_user"] for record in records} == expected[name], name
    acted = sum(len(changed) for _, _, changed in trials)
    assert acted >= 20


def test_what_connection_names_reaches_neither_whoami_nor_the_write(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port)
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    for options in ("Authorization", "close, authorization", "AUTHORIZATION,x"):
        answered = served.put(alice, {"enabled": True}, fields=[("Connection", options)])
        assert answered.status == 401
    assert synapse.content(alice) is None
    assert served.records() == []
    assert origin.seen
    assert not any(seen.values("authorization") for seen in origin.seen if not seen.target.endswith("versions"))


def test_a_write_on_another_users_path_is_recorded_with_both_users(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url, identity={"reads": True})
    alice, bob = synapse.register("alice"), synapse.register("bob")
    answered = served.request("PUT", bob.path(), token=alice.token, body={"enabled": True})
    assert answered.status == 403
    intent, outcome = served.records()
    for record in (intent, outcome):
        assert (record["claimed_user"], record["authenticated_user"]) == (bob.user_id, alice.user_id)
    assert (outcome["outcome"], outcome["origin_status"]) == ("answered", 403)
    assert outcome["errcode"] == "M_FORBIDDEN"
    assert served.request("GET", bob.path(), token=alice.token).status == 403
    [read] = served.records_when(lambda records: records, action="read")
    assert (read["claimed_user"], read["authenticated_user"]) == (bob.user_id, alice.user_id)
    assert read["origin_status"] == 403


def test_reads_are_recorded_when_answered_and_only_counted_otherwise(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    assert served.request("GET", alice.path(), token="wrong").status == 401
    assert served.get(alice).status == 404
    synapse.write(alice, {"enabled": True})
    assert served.get(alice).status == 200
    missing, found = served.records_when(lambda records: len(records) >= 2)
    assert (missing["origin_status"], missing["errcode"]) == (404, "M_NOT_FOUND")
    assert (found["origin_status"], found["preference"]) == (200, "enabled")
    for record in (missing, found):
        # Whoami is not asked about reads.
        assert (record["claimed_user"], record["authenticated_user"]) == (alice.user_id, None)
    assert served.metric("keybackup_exchanges_only_counted_total", reason="read_not_answered") == 1


def test_a_revoked_token_is_synapses_401_although_its_user_is_remembered(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port)
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    assert served.put(alice, {"enabled": True}).status == 200
    assert served.put(alice, {"enabled": False}).status == 200
    assert sum(seen.is_whoami for seen in origin.seen) == 1
    logout = request(synapse.port, "POST", "/_matrix/client/v3/logout", token=alice.token, body={})
    assert logout.status == 200
    answered = served.put(alice, {"enabled": True})
    assert (answered.status, answered.errcode) == (401, "M_UNKNOWN_TOKEN")
    last = served.records()[-1]
    assert (last["outcome"], last["origin_status"]) == ("answered", 401)


BROKEN = {
    "slow": (lambda _: time.sleep(3), 504),
    "reset": (lambda _: reset, 502),
    "500": (lambda _: answer(500, b'{"errcode":"M_UNKNOWN","error":"x"}'), 502),
    "200 without a user": (lambda _: answer(200, b"{}"), 502),
    "200 without JSON": (lambda _: answer(200, b"<html>"), 502),
    "404": (lambda _: answer(404, b'{"errcode":"M_UNRECOGNIZED","error":"x"}'), 502),
    "no HTTP": (lambda _: b"nonsense\r\n\r\n", 502),
}


@pytest.mark.parametrize("how", BROKEN)
def test_when_whoami_cannot_be_had_a_good_write_goes_on_unnamed_and_a_bad_one_is_only_counted(
    synapse: Synapse, gateway: Start, listening: Keep, how: str
) -> None:
    broken, status = BROKEN[how]
    origin = Origin(synapse.port, lambda seen: broken(seen) if seen.is_whoami else None)
    listening(origin)
    served = gateway(origin.url, identity={"deadline": "500ms"})
    alice = synapse.register("alice")
    assert served.put(alice, {"enabled": True}).status == 200
    assert synapse.content(alice) == {"enabled": True}
    bad = served.put(alice, {"enabled": "yes"})
    assert (bad.status, bad.errcode) == (status, "M_UNKNOWN")
    intent, outcome = served.records()
    for record in (intent, outcome):
        assert (record["claimed_user"], record["authenticated_user"]) == (alice.user_id, None)
        assert record["device_id"] is None
    assert (outcome["outcome"], outcome["origin_status"]) == ("answered", 200)
    # Not remembered: asked each time.
    assert sum(seen.is_whoami for seen in origin.seen) >= 2


@pytest.mark.parametrize("status", [401, 403, 429])
def test_whoamis_refusal_is_relayed_and_only_counted(
    synapse: Synapse, gateway: Start, listening: Keep, status: int
) -> None:
    body = b'{"errcode":"M_LIMIT_EXCEEDED","error":"x","retry_after_ms":7}'

    def refuse(seen: Seen) -> bytes | None:
        return answer(status, body, "Retry-After: 7\r\nX-Own: 1\r\n") if seen.is_whoami else None

    origin = Origin(synapse.port, refuse)
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    for content in ({"enabled": True}, {"enabled": "yes"}):
        answered = served.put(alice, content)
        assert (answered.status, answered.body) == (status, body)
        assert (answered.field("retry-after"), answered.field("x-own")) == ("7", "1")
    assert origin.writes() == []
    assert served.records() == []
    assert served.metric("keybackup_exchanges_only_counted_total", reason="not_identified") == 2


def test_more_unnamed_writes_than_the_limit_are_503_with_retry_after(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port, lambda seen: answer(500) if seen.is_whoami else None)
    listening(origin)
    served = gateway(origin.url, limits={"unknown_per_second": 2})
    alice = synapse.register("alice")
    answers: list[Answer] = [served.put(alice, {"enabled": True}) for _ in range(12)]
    taken = [each for each in answers if each.status == 200]
    turned_away = [each for each in answers if each.status == 503]
    assert len(taken) + len(turned_away) == 12
    assert taken and turned_away
    for each in turned_away:
        assert each.errcode == "M_UNKNOWN"
        assert int(each.field("retry-after") or 0) >= 1
    assert len(origin.writes()) == len(taken)
    assert len(served.records()) == 2 * len(taken)


@pytest.mark.parametrize(
    ("query", "authorization"),
    [
        ("?access_token=%00", None),
        ("?access_token=%FF", None),
        ("", "Bearer \xff"),
        ("", "Bearer MDAx"),
        ("?" + "x" * 17_000, "Bearer nobody"),
    ],
    ids=["a NUL", "no UTF-8", "no ASCII", "half a macaroon", "a long query"],
)
def test_nobody_without_an_account_adds_a_record_by_making_whoami_fail(
    synapse: Synapse, gateway: Start, query: str, authorization: str | None
) -> None:
    served, alice = gateway(synapse.url), synapse.register("alice")
    fields = [("Authorization", authorization)] if authorization else []
    refused = served.request("PUT", alice.path() + query, body={"enabled": True}, fields=fields)
    assert (refused.status, refused.errcode) == (502, "M_UNKNOWN")
    assert served.records() == []
    assert synapse.content(alice) is None
    # What the homeserver can name goes on as before.
    assert served.put(alice, {"enabled": True}).status == 200
    assert len(served.records()) == 2
