"""What is accepted is stored with the same meaning; what is refused is not stored."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable

import pytest

from support.bodies import BAD, CHUNKED, GOOD, Bad, Good, meaning
from support.gateway import Gateway
from support.http import Answer, request
from support.synapse import STABLE, Synapse, User

Start = Callable[..., Gateway]
CORS = [
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
]
BEFORE = {"enabled": False, "disabled": False, "before": True}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def user(synapse: Synapse) -> User:
    return synapse.register("alice")


@pytest.fixture
def served(synapse: Synapse, gateway: Start) -> Gateway:
    return gateway(synapse.url)


def put(gateway: Gateway, user: User, case: Good | Bad, request_id: str) -> Answer:
    return gateway.request(
        "PUT",
        user.path(case.event_type),
        token=user.token,
        body=case.body,
        fields=[("X-Request-Id", request_id), *case.fields],
    )


def raw(case: Good | Bad) -> bytes:
    """The body without its chunks."""
    if case.fields != CHUNKED:
        return case.body
    whole, rest = b"", case.body
    while (size := int(rest.split(b"\r\n", 1)[0], 16)) > 0:
        rest = rest.split(b"\r\n", 1)[1]
        whole, rest = whole + rest[:size], rest[size + 2 :]
    return whole


def test_what_is_accepted_is_stored_with_the_same_meaning(
    synapse: Synapse, served: Gateway, user: User
) -> None:
    for case in GOOD:
        synapse.write(user, BEFORE, case.event_type)
        request_id = f"good-{next(numbers)}"
        answer = put(served, user, case, request_id)
        assert (answer.status, answer.json()) == (200, {}), (case.name, answer)
        assert synapse.content(user, case.event_type) == meaning(raw(case)), case.name
        intent, outcome = served.of_request(request_id)
        verdict = "clear" if case.preference is None else "accept"
        for record in (intent, outcome):
            assert record["verdict"] == verdict, case.name
            assert record["preference"] == case.preference, case.name
            assert record["violations"] == [], case.name
            assert record["event_type"] == case.event_type, case.name
            assert record["action"] == "write", case.name
            assert record["claimed_user"] == record["authenticated_user"] == user.user_id
            assert record["device_id"] == user.device_id
            assert record["body_sha256"] == hashlib.sha256(raw(case)).hexdigest(), case.name
        assert (intent["phase"], intent["outcome"]) == ("intent", None), case.name
        assert (outcome["phase"], outcome["outcome"]) == ("outcome", "answered"), case.name
        assert outcome["origin_status"] == 200, case.name


def test_what_is_refused_is_not_stored_and_says_why(
    synapse: Synapse, served: Gateway, user: User
) -> None:
    model = synapse.read(user)
    # No more than twenty refusals of one user a minute have a record of their own.
    others = [synapse.register() for _ in range(len(BAD) // 20)]
    for case, user in zip(BAD, itertools.cycle([user, *others]), strict=False):
        synapse.write(user, BEFORE, case.event_type)
        request_id = f"bad-{next(numbers)}"
        answer = put(served, user, case, request_id)
        assert (answer.status, answer.errcode) == case.answer, (case.name, answer)
        assert synapse.content(user, case.event_type) == BEFORE, case.name
        refused_as_a_homeserver_would(answer, model, case.name)
        [record] = served.of_request(request_id)
        assert record["violations"] == case.codes, case.name
        assert (record["phase"], record["outcome"]) == ("outcome", "refused"), case.name
        assert record["verdict"] == "refuse", case.name
        assert record["origin_status"] is None, case.name
        assert record["preference"] is None, case.name
        assert record["authenticated_user"] == user.user_id, case.name


def refused_as_a_homeserver_would(answer: Answer, model: Answer, name: str) -> None:
    said = answer.json()
    assert set(said) == {"errcode", "error"}, name
    assert len(said["error"]) > 10, name
    assert answer.field("content-type") == "application/json", name
    for field in CORS:
        assert answer.field(field) == model.field(field), (name, field)


def test_every_code_of_the_table_is_tried() -> None:
    codes = {code for case in BAD for code in case.codes}
    assert len(codes) == 10
    # Those two need another policy; they are tried below.
    assert codes.isdisjoint({"extra_member", "clear_refused"})


def test_errors_name_the_member_of_the_type(served: Gateway, user: User) -> None:
    assert "enabled" in served.put(user, {"enabled": "yes"}).json()["error"]
    unstable = served.put(user, {"disabled": "yes"}, "m.org.matrix.custom.backup_disabled")
    assert "disabled" in unstable.json()["error"]


def test_a_strict_policy_refuses_extra_members_and_clears(
    synapse: Synapse, gateway: Start, user: User
) -> None:
    strict = gateway(synapse.url, policy={"extra_members": "refuse", "clear": "refuse"})
    synapse.write(user, BEFORE)
    extra = strict.put(user, {"enabled": True, "x": 1})
    assert (extra.status, extra.errcode) == (400, "M_BAD_JSON")
    clear = strict.put(user, {})
    assert (clear.status, clear.errcode) == (403, "M_FORBIDDEN")
    assert synapse.content(user) == BEFORE
    assert strict.put(user, {"enabled": True}).status == 200
    assert synapse.content(user) == {"enabled": True}
    codes = [record["violations"] for record in strict.records() if record["outcome"] == "refused"]
    assert codes == [["extra_member"], ["clear_refused"]]


def test_a_refused_clear_by_delete_clears_nothing(
    synapse_msc3391: Synapse, gateway: Start
) -> None:
    strict = gateway(synapse_msc3391.url, policy={"clear": "refuse"})
    loose = gateway(synapse_msc3391.url)
    alice = synapse_msc3391.register("alice")
    synapse_msc3391.write(alice, {"enabled": True})
    path = alice.path(version="unstable/org.matrix.msc3391")
    refused = strict.request("DELETE", path, token=alice.token)
    assert (refused.status, refused.errcode) == (403, "M_FORBIDDEN")
    assert synapse_msc3391.content(alice) == {"enabled": True}
    [record] = strict.records()
    assert (record["action"], record["violations"]) == ("clear", ["clear_refused"])
    assert loose.request("DELETE", path, token=alice.token).status == 200
    assert synapse_msc3391.content(alice) in (None, {})
    intent, outcome = loose.records()
    assert (intent["verdict"], outcome["origin_status"]) == ("clear", 200)


def test_observe_records_the_verdict_and_forwards(
    synapse: Synapse, gateway: Start, user: User
) -> None:
    observing = gateway(synapse.url, policy={"mode": "observe"})
    trials = []
    for case in BAD:
        if case.fields == CHUNKED or case.answer[0] == 413:
            continue
        synapse.write(user, BEFORE, case.event_type)
        request_id = f"observed-{next(numbers)}"
        through = put(observing, user, case, request_id)
        stored = synapse.content(user, case.event_type)
        synapse.write(user, BEFORE, case.event_type)
        direct = request(
            synapse.port, "PUT", user.path(case.event_type),
            token=user.token, body=case.body, fields=case.fields,
        )  # fmt: skip
        assert (through.status, through.errcode) == (direct.status, direct.errcode), case.name
        assert stored == synapse.content(user, case.event_type), case.name
        trials.append((case, request_id, direct.status))
    trail = defaultdict(list)
    for record in observing.records():
        trail[record["request_id"]].append(record)
    assert len(trials) >= 50
    for case, request_id, status in trials:
        intent, outcome = trail[request_id]
        assert intent["violations"] == outcome["violations"] == case.codes, case.name
        assert outcome["verdict"] == "refuse", case.name
        assert (outcome["outcome"], outcome["origin_status"]) == ("answered", status)


def test_a_head_of_a_stored_bad_value_is_relayed_and_a_get_says_so_in_the_trail(
    synapse: Synapse, served: Gateway, user: User
) -> None:
    synapse.write(user, {"enabled": "maybe"}, STABLE)
    got = served.get(user, fields=[("X-Request-Id", "bad-value")])
    assert (got.status, got.json()) == (200, {"enabled": "maybe"})
    assert served.request("HEAD", user.path(), token=user.token).status == 200
    records = served.records_when(lambda found: len(found) == 2, action="read")
    [record] = [record for record in records if record["request_id"] == "bad-value"]
    assert record["violations"] == ["field_not_boolean"]
    assert (record["outcome"], record["origin_status"]) == ("answered", 200)
