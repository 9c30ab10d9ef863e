"""`deploy/nginx.conf` and `deploy/haproxy.cfg`, run by the real nginx and the real HAProxy: no
spelling that a homeserver honours goes round the gateway."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.edge import NAMES, Edge, deployed
from support.gateway import Gateway
from support.http import Answer, build, connect, read_answer, request
from support.synapse import STABLE, UNSTABLE, Synapse, User
from support.targets import all_targets
from support.trail import answered, by_request

Start = Callable[..., Gateway]


@pytest.fixture(params=["synapse_msc3391", "synapse_157"])
def homeserver(request: pytest.FixtureRequest) -> Synapse:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["guarded routes", "everything"])
def before(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def guarded(homeserver: Synapse, gateway: Start) -> Gateway:
    """The gateway behind the edge."""
    return gateway(homeserver.url)


@pytest.fixture
def edge(
    name: str, before: str, homeserver: Synapse, guarded: Gateway, tmp_path: Path
) -> Iterator[Edge]:
    running = deployed(name, before, guarded.port, homeserver.port, tmp_path / name)
    yield running
    running.stop()


def send(edge: Edge, method: str, target: bytes, user: User, name: str, body: Any = None) -> Answer:
    return request(
        edge.port, method, target, token=user.token, body=body, fields=[("X-Request-Id", name)]
    )


def content(number: int) -> dict[str, Any]:
    """Good for either type."""
    return {"enabled": True, "disabled": True, "number": number}


def test_no_spelling_writes_or_clears_without_a_record(
    edge: Edge, homeserver: Synapse, guarded: Gateway
) -> None:
    user, other = homeserver.register("writer"), homeserver.register("other")
    numbers = itertools.count(1)
    changed: dict[str, set[str]] = {}
    targets = {
        f"write-{at}": target
        for at, target in enumerate(all_targets(user, other))
        if target.method not in ("GET", "HEAD")
    }
    assert len(targets) >= 150
    for event_type in (STABLE, UNSTABLE):
        homeserver.write(user, content(next(numbers)), event_type)
    for name, target in targets.items():
        stored = {each: homeserver.content(user, each) for each in (STABLE, UNSTABLE)}
        body = None if target.method == "DELETE" else content(next(numbers))
        send(edge, target.method, target.raw, user, name, body)
        changed[name] = {
            each for each, value in stored.items() if homeserver.content(user, each) != value
        }
        for each in changed[name] if target.method == "DELETE" else ():
            homeserver.write(user, content(next(numbers)), each)
    trail = by_request(guarded.records())
    round_it = {
        str(targets[name]): types ^ answered(trail[name], "write", "clear")
        for name, types in changed.items()
        if types != answered(trail[name], "write", "clear")
    }
    assert not round_it
    # An edge that lets nothing through would pass, too.
    assert sum(map(bool, changed.values())) >= 40


def test_no_spelling_reads_without_a_record(
    edge: Edge, homeserver: Synapse, guarded: Gateway
) -> None:
    user, other = homeserver.register("reader"), homeserver.register("other")
    for event_type in (STABLE, UNSTABLE):
        homeserver.write(user, content(1), event_type)
    targets = {
        f"read-{at}": target
        for at, target in enumerate(all_targets(user, other))
        if target.method in ("GET", "HEAD")
    }
    assert len(targets) >= 150
    read = set()
    for name, target in targets.items():
        answer = send(edge, target.method, target.raw, user, name)
        # Nothing else is stored for this user.
        if answer.status == 200 and (target.method == "HEAD" or b'"number"' in answer.body):
            read.add(name)
    assert len(read) >= 40
    # Reads are queued, in order.
    last = max(read, key=lambda name: int(name.removeprefix("read-")))
    trail = by_request(guarded.records_when(lambda records: last in by_request(records)))
    told = {name for name in targets if answered(trail[name], "read")}
    assert {str(targets[name]) for name in read ^ told} == set()


def test_what_a_location_would_take_for_another_path_is_guarded(
    edge: Edge, homeserver: Synapse, guarded: Gateway
) -> None:
    # A user ID may have a slash in it: nginx's decoded path then has a segment more.
    user = homeserver.register("a/b")
    path = user.path()
    assert "a%2Fb" in path
    spellings = {
        "slash": path,
        "unstable": user.path(version="unstable"),
        "query": path + "?x",
        "slash-in-query": path + "?/../../../../x",
        "dot": path.replace("m.key_backup", "m%2Ekey_backup"),
        "dots-encoded": path.replace("m.key_backup", "m%2ekey%5fbackup"),
        "up": path + "/../../x",
        "up-encoded": path + "/%2E%2E/%2e%2e/x",
        "double-slash": path + "//",
    }
    before = len(guarded.records())
    for number, (name, target) in enumerate(spellings.items()):
        answer = send(edge, "PUT", target.encode(), user, name, content(number))
        stored = homeserver.content(user) == content(number)
        # Synapse says whether it honours what follows a further slash; none may be unrecorded.
        assert stored == (answer.status == 200), (target, answer)
        assert stored or "backup/" in target, (target, answer)
    trail = by_request(guarded.records()[before:])
    for name in spellings:
        phases = [record["phase"] for record in trail[name]]
        assert phases == ["intent", "outcome"], (name, trail[name])
        assert {record["claimed_user"] for record in trail[name]} == {user.user_id}


def test_a_bad_shape_is_refused_and_the_true_client_is_named(
    edge: Edge, homeserver: Synapse, guarded: Gateway
) -> None:
    user = homeserver.register()
    forged = [("X-Request-Id", "forged"), ("X-Forwarded-For", "203.0.113.9")]
    answer = request(
        edge.port, "PUT", user.path(), token=user.token, body={"enabled": "yes"}, fields=forged
    )
    assert (answer.status, answer.errcode) == (400, "M_BAD_JSON"), answer
    assert homeserver.content(user) is None
    (record,) = by_request(guarded.records())["forged"]
    assert (record["outcome"], record["violations"]) == ("refused", ["field_not_boolean"])
    assert record["client_address"] == "127.0.0.1"


def test_only_the_guarded_routes_need_the_gateway(
    edge: Edge, before: str, homeserver: Synapse, guarded: Gateway
) -> None:
    user = homeserver.register()
    guarded.stop()
    versions = request(edge.port, "GET", "/_matrix/client/versions")
    put = request(edge.port, "PUT", user.path(), token=user.token, body={"enabled": True})
    assert put.status in (502, 503), put
    assert homeserver.content(user) is None
    assert versions.status == 200 if before == "guarded routes" else versions.status in (502, 503)


def test_a_kept_connection_changes_sides_with_each_request(
    edge: Edge, homeserver: Synapse, guarded: Gateway
) -> None:
    user = homeserver.register()
    with connect(edge.port) as connection:
        for number in range(4):
            name = f"kept-{number}"
            fields = [("X-Request-Id", name)]
            put = build("PUT", user.path(), token=user.token, body=content(number), fields=fields)
            for raw in (put, build("GET", "/_matrix/client/versions")):
                connection.sendall(raw.replace(b"Connection: close\r\n", b""))
                assert read_answer(connection).status == 200
            assert homeserver.content(user) == content(number)
    trail = by_request(guarded.records())
    assert all(len(trail[f"kept-{number}"]) == 2 for number in range(4))


def test_the_admin_api_of_synapse_stays_inside(edge: Edge) -> None:
    assert request(edge.port, "GET", "/_synapse/admin/v1/register").status == 404
