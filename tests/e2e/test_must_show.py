"""What `serve` must show in front of a real Synapse, and as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.gateway import Gateway, binary, run
from support.http import Answer, connect, request
from support.postgres import Postgres
from support.process import Process, eventually
from support.relay import Listener, Origin, Relay, slow_writes
from support.synapse import Synapse

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]
STORES = pytest.mark.parametrize("database", ["sqlite", "postgres"])


@STORES
def test_put_enabled_true_is_200_and_stored(synapse: Synapse, gateway: Start, database: str) -> None:
    served = gateway(synapse.url, database=database)
    alice = synapse.register("alice")
    answer = served.put(alice, b'{"enabled":true}')
    assert (answer.status, answer.body) == (200, b"{}")
    assert synapse.content(alice) == {"enabled": True}
    intent, outcome = served.records()
    assert (intent["phase"], intent["outcome"], intent["origin_status"]) == ("intent", None, None)
    assert (outcome["phase"], outcome["outcome"], outcome["origin_status"]) == ("outcome", "answered", 200)
    assert intent["exchange_id"] == outcome["exchange_id"]
    for record in (intent, outcome):
        assert record["claimed_user"] == record["authenticated_user"] == alice.user_id
        assert record["device_id"] == alice.device_id
        assert record["client_address"] == "127.0.0.1"
        assert record["preference"] == "enabled"


@STORES
def test_put_enabled_yes_is_400_m_bad_json_and_not_stored(
    synapse: Synapse, gateway: Start, database: str
) -> None:
    served = gateway(synapse.url, database=database)
    alice = synapse.register("alice")
    answer = served.put(alice, b'{"enabled":"yes"}')
    assert (answer.status, answer.errcode) == (400, "M_BAD_JSON")
    assert synapse.content(alice) is None
    [record] = served.records()
    assert (record["outcome"], record["violations"]) == ("refused", ["field_not_boolean"])


@STORES
def test_the_oddly_spelt_put_is_guarded_like_the_first(
    synapse: Synapse, gateway: Start, database: str
) -> None:
    served = gateway(synapse.url, database=database)
    # The line says `alice`; the name is the fixture's, so that tests do not meet.
    alice = synapse.register("alice")
    target = f"/_matrix/client/unstable/user/%40{alice.name}%3Alocalhost/account_data/m%2Ekey%5Fbackup?x"
    good = served.request("PUT", target, token=alice.token, body={"enabled": True})
    assert good.status == 200
    assert synapse.content(alice) == {"enabled": True}
    bad = served.request("PUT", target, token=alice.token, body={"enabled": "yes"})
    assert (bad.status, bad.errcode) == (400, "M_BAD_JSON")
    assert synapse.content(alice) == {"enabled": True}
    outcomes = [record["outcome"] for record in served.records()]
    assert outcomes == [None, "answered", "refused"]


@STORES
def test_a_bad_body_with_a_bad_token_is_synapses_own_401_and_leaves_no_exchange_record(
    synapse: Synapse, gateway: Start, database: str
) -> None:
    served = gateway(synapse.url, database=database)
    alice = synapse.register("alice")
    for token, body in (("wrong", b'{"enabled":"yes"}'), (None, b"nonsense"), ("wrong", b'{"enabled":true}')):
        rest = {"token": token, "body": body}
        through = served.request("PUT", alice.path(), **rest)
        direct = request(synapse.port, "PUT", alice.path(), **rest)
        assert (through.status, through.json()) == (direct.status, direct.json())
        assert through.status == 401
        for field in ("access-control-allow-origin", "content-type"):
            assert through.field(field) == direct.field(field)
    # A record that is there shows that the others would have come before it.
    assert served.put(alice, {"enabled": True}).status == 200
    assert [record["phase"] for record in served.records()] == ["intent", "outcome"]


def test_five_that_migrate_at_once_all_succeed(postgres: Postgres) -> None:
    database = postgres.database()
    command = [str(binary()), "migrate", "--database", database]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(5)
    ]
    for child in children:
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 0, said
    assert run("migrate", "--database", database).returncode == 0
    listed = run("audit", "list", "--database", database, "--format", "jsonl", "--limit", "0")
    assert (listed.returncode, listed.stdout) == (0, "")


def test_sigterm_lets_a_guarded_write_finish_and_exits_0(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    origin = Origin(synapse.port, slow_writes(1.5))
    listening(origin)
    served = gateway(origin.url)
    alice = synapse.register("alice")
    answers: list[Answer] = []
    client = threading.Thread(target=lambda: answers.append(served.put(alice, {"enabled": True})))
    client.start()
    eventually(origin.writes, "the write at the origin")
    # An idle client holds nothing up.
    with connect(served.port):
        started = time.monotonic()
        assert served.stop(signal.SIGTERM) == 0
        assert time.monotonic() - started < 8
    client.join()
    assert answers[0].status == 200
    assert [record["outcome"] for record in served.records()] == [None, "answered"]
    with pytest.raises(OSError):
        served.get(alice)


def test_health_and_metrics_are_on_the_admin_listener_alone(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url)
    eventually(lambda: served.health("audit") == 200, "health/audit green")
    for which in ("live", "ready", "audit"):
        answer = served.admin(f"/health/{which}")
        assert (answer.status, answer.json()) == (200, {"status": "ok", "reasons": []})
    assert served.admin("/metrics").status == 200
    for path in ("/health/live", "/health/ready", "/health/audit", "/metrics"):
        through = served.request("GET", path)
        direct = request(synapse.port, "GET", path)
        assert (through.status, through.body) == (direct.status, direct.body)


def test_metrics_count_and_parse(synapse: Synapse, gateway: Start) -> None:
    # Synapse brings them along.
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as openmetrics

    served = gateway(synapse.url)
    alice = synapse.register("alice")
    served.put(alice, {"enabled": True})
    served.put(alice, {"enabled": "yes"})
    served.get(alice)
    served.request("PUT", alice.path(), token="wrong", body={})
    accept = [("Accept", "application/openmetrics-text; version=1.0.0")]
    for fields, content_type, read in (
        (accept, "application/openmetrics-text", openmetrics),
        ([], "text/plain", parser),
    ):
        answer = served.admin("/metrics", fields=fields)
        assert (answer.field("content-type") or "").startswith(content_type)
        families = list(read.text_string_to_metric_families(answer.body.decode()))
        assert families
        assert all(family.name.startswith("keybackup_") for family in families)
        assert all(family.type != "unknown" and family.documentation for family in families)
    assert served.metric("keybackup_verdicts_total", action="write", verdict="accept") == 1
    assert served.metric("keybackup_verdicts_total", action="write", verdict="refuse") == 1
    assert served.metric("keybackup_violations_total", code="field_not_boolean") == 1
    assert served.metric("keybackup_violations_total", code="too_large") == 0
    assert served.metric("keybackup_outcomes_total", action="write", outcome="answered") == 1
    assert served.metric("keybackup_outcomes_total", action="read", outcome="answered") == 1
    assert served.metric("keybackup_exchanges_only_counted_total", reason="not_identified") == 1


def test_port_0_takes_free_ports_and_logs_them(synapse: Synapse, gateway: Start) -> None:
    one, other = gateway(synapse.url), gateway(synapse.url)
    ports = {one.port, one.admin_port, other.port, other.admin_port}
    assert len(ports) == 4
    for served in (one, other):
        assert served.request("GET", "/_matrix/client/versions").status == 200
        for port in (served.port, served.admin_port):
            assert f"127.0.0.1:{port}" in served.log


def test_a_database_that_is_unreachable_at_start_stops_guarded_writes_and_nothing_else(
    synapse: Synapse, gateway: Start, postgres: Postgres, listening: Keep
) -> None:
    database = postgres.database()
    relay = Relay(postgres.port, opened=False)
    listening(relay)
    through_relay = database.replace(f":{postgres.port}/", f":{relay.port}/")
    served = gateway(synapse.url, database=through_relay, audit={"durability": "store"})
    alice = synapse.register("alice")

    assert served.request("GET", "/_matrix/client/versions").status == 200
    whoami = served.request("GET", "/_matrix/client/v3/account/whoami", token=alice.token)
    assert whoami.json()["user_id"] == alice.user_id
    assert served.get(alice).status == 404
    started = time.monotonic()
    answer = served.put(alice, {"enabled": True})
    assert (answer.status, answer.errcode) == (503, "M_UNKNOWN")
    assert int(answer.field("retry-after") or 0) >= 1
    assert answer.field("access-control-allow-origin") == "*"
    assert time.monotonic() - started < 10
    assert served.put(alice, {"enabled": "yes"}).status == 503
    assert synapse.content(alice) is None
    assert (served.health("live"), served.health("ready"), served.health("audit")) == (200, 200, 503)
    said = served.admin("/health/audit").json()
    assert said["status"] == "failing"
    assert said["reasons"][0].keys() == {"code", "message"}

    relay.mend()
    eventually(lambda: served.health("audit") == 200, "health/audit green again", timeout=30)
    assert served.put(alice, {"enabled": True}).status == 200
    assert synapse.content(alice) == {"enabled": True}
    written = [record["outcome"] for record in served.records(action="write")]
    assert written == [None, "answered"]


def test_an_origin_that_is_unreachable_at_start_is_red_in_ready_and_recovers(
    synapse: Synapse, gateway: Start, listening: Keep
) -> None:
    relay = Relay(synapse.port, opened=False)
    listening(relay)
    served = gateway(relay.url)
    assert (served.health("live"), served.health("ready")) == (200, 503)
    said = served.admin("/health/ready").json()
    assert said["status"] == "failing" and said["reasons"]
    answer = served.request("GET", "/_matrix/client/versions")
    assert (answer.status, answer.errcode) == (502, "M_UNKNOWN")
    relay.mend()
    eventually(lambda: served.health("ready") == 200, "health/ready green")
    assert served.request("GET", "/_matrix/client/versions").status == 200


def test_the_flag_origin_is_enough_to_start(synapse: Synapse, tmp_path: Path) -> None:
    # The default ports may be taken on this machine, so the listeners are given as well.
    flags = ["--origin", synapse.url, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    served = Process([str(binary()), "serve", *flags], tmp_path / "output.txt", cwd=tmp_path)
    served.wait_for((tmp_path / "key-backup-audit.db").exists, "its database in the working folder")
    assert served.stop() == 0
    bare = run("serve", cwd=tmp_path)
    assert bare.returncode == 78
    assert "origin.url" in bare.stderr


def test_the_request_id_joins_the_log_line_the_record_and_the_homeserver(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    fields = [("X-Request-Id", "joined-7")]
    assert served.put(alice, b'{"enabled":true}', fields=fields).status == 200
    records = served.of_request("joined-7")
    assert [record["phase"] for record in records] == ["intent", "outcome"]
    lines = [json.loads(line) for line in served.log.splitlines()]
    [line] = [line for line in lines if line.get("request.id") == "joined-7"]
    assert line["exchange.id"] == records[0]["exchange_id"]
