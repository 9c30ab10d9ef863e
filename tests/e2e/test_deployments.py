"""As operators run it: nginx or HAProxy, the gateway, Synapse. What a client, or another
homeserver, sees is what Synapse says to those who ask it directly."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.edge import Edge, deployed
from support.gateway import Gateway
from support.http import Answer, request
from support.js import run_client
from support.process import free_port
from support.synapse import Synapse, User

LET_IN = {
    "nginx": ("^/(_matrix|_synapse/client)/", r"^/(_matrix|_synapse/client|\.well-known/matrix)/"),
    "haproxy": ("{ path_beg /_matrix/ ", "{ path_beg /_matrix/ /.well-known/matrix/ "),
}

# What nginx does when nobody tells it otherwise: HTTP/1.0 to the gateway, a connection for each
# request, bodies buffered on disk.
NGINX_PLAIN = """
server {{
    listen 127.0.0.1:{port};
    client_max_body_size 50m;
    location / {{
        proxy_pass http://127.0.0.1:{gateway};
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
}}
"""

THROUGH = ["gateway", "nginx", "nginx, HTTP/1.0", "haproxy"]
# What a proxy is free to change between two connections, and what nginx puts in place of its own.
ANYWAY = {"connection", "keep-alive", "transfer-encoding"}
NGINX_OWN = {"server", "date"}
# A time in milliseconds, an Ed25519 signature over one, and Twisted's boundary between ranges.
OF_THIS_SECOND = re.compile(r"(?<=[=:])\d{13}\b|\"[A-Za-z0-9+/]{86}\"|(?<=[-\"])[0-9a-f]{15,}")
# Twisted says `Content-Length: 0` there, which hyper leaves out, and so may we.
#
# > A server MUST NOT send a Content-Length header field in any response with a status code of
# > 1xx (Informational) or 204 (No Content).
#
# https://www.rfc-editor.org/rfc/rfc9110#section-8.6-6
WITHOUT_LENGTH = {204, 304}

UPLOAD = 20 << 20
POLL = 30
UPLOADED = "/_matrix/client/v1/media/download/localhost/"


@pytest.fixture(scope="module")
def ports(synapse: Synapse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Where clients come in, by deployment. `direct` is Synapse itself."""
    folder = tmp_path_factory.mktemp("deployments")
    guarded = Gateway(synapse.url, f"sqlite:{folder}/audit.db", folder / "gateway", {})
    edges: list[Edge] = []
    try:
        guarded.wait()
        for name, let_in in LET_IN.items():
            edges.append(
                deployed(name, "everything", guarded.port, synapse.port, folder / name, let_in)
            )
        port = free_port()
        plain = NGINX_PLAIN.format(port=port, gateway=guarded.port)
        edges.append(Edge("nginx", plain, port, folder / "plain"))
        nginx, haproxy, old = (edge.port for edge in edges)
        yield {
            "direct": synapse.port,
            "gateway": guarded.port,
            "nginx": nginx,
            "nginx, HTTP/1.0": old,
            "haproxy": haproxy,
        }
    finally:
        for edge in edges:
            edge.stop()
        stopped = guarded.stop()
    assert (stopped, "panicked at" in guarded.log) == (0, False)


@pytest.fixture(params=THROUGH)
def through(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def direct(synapse: Synapse) -> Callable[[str], dict[str, Any]]:
    """What a script of `js/` sees without the gateway; run once."""
    seen: dict[str, dict[str, Any]] = {}

    def run(script: str) -> dict[str, Any]:
        if script not in seen:
            seen[script] = run_client(synapse.url, synapse.register("direct"), script)
        return seen[script]

    return run


@pytest.mark.parametrize("script", ["client.mjs", "rooms.mjs"])
def test_a_real_client_sees_what_it_sees_without_the_gateway(
    ports: dict[str, int], synapse: Synapse, direct: Callable, through: str, script: str
) -> None:
    alice = synapse.register("alice")
    seen = run_client(f"http://127.0.0.1:{ports[through]}", alice, script)
    expected = dict(direct(script))
    own = ("user_id", "device_id")
    # Synapse takes any content, the gateway does not.
    refused = seen.pop("refused", None), expected.pop("refused", None)
    assert {key: value for key, value in seen.items() if key not in own} == {
        key: value for key, value in expected.items() if key not in own
    }
    if script == "client.mjs":
        assert refused[0]["errcode"] == "M_BAD_JSON" and refused[1] is None
        assert seen["backup_on"] is not None and seen["backup_off"] is None
        assert synapse.content(alice) == {"enabled": False}
    else:
        assert seen["media"] == [200, 300_000, True]
        assert seen["out"] == [401, "M_UNKNOWN_TOKEN"]


# === one request, one answer ===

PATH = "/_matrix/client/v3"
PROBES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "versions": ("GET", "/_matrix/client/versions", {}),
    "HEAD": ("HEAD", "/_matrix/client/versions", {}),
    "OPTIONS": ("OPTIONS", f"{PATH}/sync", {"fields": [("Origin", "https://app.example.org")]}),
    "OPTIONS of the unknown": ("OPTIONS", "/_matrix/nonsense", {}),
    "no token": ("GET", f"{PATH}/account/whoami", {}),
    "a wrong token": ("GET", f"{PATH}/account/whoami", {"token": "nobody's"}),
    "whoami": ("GET", f"{PATH}/account/whoami", {"token": True}),
    "unknown": ("GET", f"{PATH}/nonsense", {}),
    "unknown outside": ("GET", "/_matrix/nonsense", {}),
    "another method": ("DELETE", "/_matrix/client/versions", {}),
    "bad JSON": ("POST", f"{PATH}/login", {"body": b"{"}),
    "empty body": ("POST", f"{PATH}/login", {"body": b""}),
    "flows": ("GET", f"{PATH}/login", {}),
    "not found": ("GET", f"{PATH}/profile/%40nobody%3Alocalhost", {"token": True}),
    "odd query": ("GET", f"{PATH}/rooms/%21x%3Ay/messages?dir=b&&x=%FF%zz;=", {"token": True}),
    "an initial sync": ("GET", f"{PATH}/sync?timeout=0", {"token": True}),
    "static": ("GET", "/_matrix/static/client/login/style.css", {}),
    "a range": ("GET", "/_matrix/static/client/login/style.css", {"fields": [("Range", "bytes=5-20")]}),
    "ranges": ("GET", "/_matrix/static/client/login/style.css", {"fields": [("Range", "bytes=0-1,4-5")]}),
    "no such range": ("GET", "/_matrix/static/client/login/style.css",
                      {"fields": [("Range", "bytes=9999999-")]}),
    "not modified": ("GET", "/_matrix/static/client/login/style.css",
                     {"fields": [("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")]}),
    "keys": ("GET", "/_matrix/key/v2/server", {}),
    "federation version": ("GET", "/_matrix/federation/v1/version", {}),
    "federation without a signature": ("GET", "/_matrix/federation/v1/event/%24x", {}),
    "federation with a bad signature": ("GET", "/_matrix/federation/v1/event/%24x",
        {"fields": [("Authorization", 'X-Matrix origin="a.example",destination="localhost",key="ed25519:a",sig="AA"')]}),
    "federation, unknown": ("GET", "/_matrix/federation/v1/nonsense", {}),
    "federation, another method": ("PUT", "/_matrix/federation/v1/version", {"body": {}}),
    "federation transaction": ("PUT", "/_matrix/federation/v1/send/1", {"body": {"pdus": []}}),
    "well-known": ("GET", "/.well-known/matrix/server", {}),
}  # fmt: skip


def told(answer: Answer, through: str) -> tuple[Any, ...]:
    """All that concerns more than one connection, without what differs from one second to the next."""
    fields = []
    for name, value in answer.fields:
        name, value = name.lower(), OF_THIS_SECOND.sub("...", value)
        if through.startswith("nginx") and name in NGINX_OWN:
            continue
        if answer.status in WITHOUT_LENGTH and (name, value) == ("content-length", "0"):
            continue
        # The framing as well, where no other proxy has a say.
        if name not in ANYWAY or (through == "gateway" and name == "transfer-encoding"):
            fields.append((name, "now" if name == "date" else value))
    body: Any = answer.body
    if len(body) < UPLOAD:
        body = OF_THIS_SECOND.sub("...", body.decode("latin-1"))
    return answer.status, answer.reason, sorted(fields), body


def test_every_answer_is_the_one_that_synapse_gives(
    ports: dict[str, int], synapse: Synapse, through: str
) -> None:
    alice = synapse.register("alice")
    different = {}
    statuses = set()
    for name, (method, target, rest) in PROBES.items():
        if "token" in rest and rest["token"] is True:
            rest = {**rest, "token": alice.token}
        expected = request(synapse.port, method, target, **rest)
        answer = request(ports[through], method, target, **rest)
        statuses.add(answer.status)
        pairs = zip(told(expected, through), told(answer, through))
        if unlike := [pair for pair in pairs if pair[0] != pair[1]]:
            different[name] = unlike
    assert not different, "\n".join(f"{name}: {unlike}" for name, unlike in different.items())
    assert statuses >= {200, 204, 206, 304, 400, 401, 404, 405, 416}


# === much, and long ===


def test_20_mib_go_up_and_come_back(ports: dict[str, int], synapse: Synapse, through: str) -> None:
    alice = synapse.register("alice")
    content = random.Random(through).randbytes(UPLOAD)
    up = request(
        ports[through],
        "POST",
        "/_matrix/media/v3/upload?filename=large%20%C3%BC.bin",
        token=alice.token,
        body=content,
        fields=[("Content-Type", "application/x-large")],
        timeout=60,
    )
    assert up.status == 200, up
    target = UPLOADED + up.json()["content_uri"].rsplit("/", 1)[1]
    expected = request(synapse.port, "GET", target, token=alice.token, timeout=60)
    answer = request(ports[through], "GET", target, token=alice.token, timeout=60)
    assert (answer.status, len(answer.body)) == (200, UPLOAD)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(content).digest()
    assert told(answer, through) == told(expected, through)


def test_a_long_poll_is_ended_by_synapse_and_by_nobody_before(
    ports: dict[str, int], synapse: Synapse
) -> None:
    users: dict[str, User] = {name: synapse.register("poller") for name in ports}

    def poll(name: str) -> tuple[float, Answer]:
        port, token = ports[name], users[name].token
        # What a first sync sets in motion is over after the second.
        since = request(port, "GET", f"{PATH}/sync", token=token).json()["next_batch"]
        time.sleep(1)
        since = request(port, "GET", f"{PATH}/sync?since={since}", token=token).json()["next_batch"]
        started = time.monotonic()
        target = f"{PATH}/sync?since={since}&timeout={POLL * 1000}"
        answer = request(port, "GET", target, token=token, timeout=POLL + 20)
        return time.monotonic() - started, answer

    with ThreadPoolExecutor(len(ports)) as pool:
        polled = dict(zip(ports, pool.map(poll, ports)))
    for name, (took, answer) in polled.items():
        assert answer.status == 200, (name, answer)
        assert POLL - 1 < took < POLL + 5, (name, took)
        assert told(answer, name) == told(polled["direct"][1], name)


def test_a_message_ends_a_long_poll_at_once(
    ports: dict[str, int], synapse: Synapse, through: str
) -> None:
    alice = synapse.register("alice")
    port = ports[through]
    since = request(port, "GET", f"{PATH}/sync", token=alice.token).json()["next_batch"]
    with ThreadPoolExecutor(1) as pool:
        target = f"{PATH}/sync?since={since}&timeout=20000"
        polling = pool.submit(request, port, "GET", target, token=alice.token, timeout=30)
        time.sleep(1)
        assert not polling.done()
        started = time.monotonic()
        synapse.write(alice, {"text": "hello"}, "org.example.note")
        answer = polling.result()
        assert time.monotonic() - started < 2
    (event,) = answer.json()["account_data"]["events"]
    assert event == {"type": "org.example.note", "content": {"text": "hello"}}
