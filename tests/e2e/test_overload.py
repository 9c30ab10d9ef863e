"""Too many, too slow, too large: whoever overloads the gateway is held off, and the others are served."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support.gateway import Gateway
from support.http import build, connect, exchange, read_answer, request
from support.load import Load, ordinary
from support.process import descriptors, eventually, memory, processor_time
from support.synapse import Synapse, account_data_path

Start = Callable[..., Gateway]
VERSIONS = "/_matrix/client/versions"


@contextmanager
def slowly(served: Gateway, target: str, *options: str, seconds: int) -> Iterator[None]:
    """Runs `slowhttptest` beside the block, to its own end."""
    tool = shutil.which("slowhttptest")
    assert tool, "slowhttptest is missing: `tests/run e2e` installs it"
    command = [tool, *options, "-r", "150", "-l", str(seconds), "-p", "5", "-u", served.url + target]
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield
            child.wait(seconds + 30)
        finally:
            child.kill()
            child.wait()
        output.seek(0)
        said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output.read())
    # It asks for the same page all the time, as an ordinary client would.
    assert set(re.findall(r"service available:\s+(\w+)", said)) == {"YES"}, said[-3000:]
    assert re.search(r"Exit status: +(Hit test time limit|No open connections left)", said), said[-3000:]


def is_served(load: Load) -> None:
    assert len(load.said) >= 30
    assert [said for said in load.said if said.status != 200] == []
    # Synapse itself takes seconds while it opens some hundred files at once.
    slowest = max(said.seconds for said in load.said)
    assert slowest < 10, slowest


# === slow ===


@pytest.mark.parametrize("connections", [10_000, 150], ids=["room for all", "no room for all"])
def test_slow_heads_starve_nobody_and_are_closed(
    synapse: Synapse, gateway: Start, connections: int
) -> None:
    served = gateway(synapse.url, limits={"connections": connections})
    at_rest = descriptors(served.process.pid)
    with Load() as load, slowly(served, VERSIONS, "-H", "-c", "400", "-i", "4", seconds=25):
        ordinary(load, served.port)
        eventually(lambda: descriptors(served.process.pid) > at_rest + 120, "slow connections")
        # A head may take 15 s, however it trickles.
        time.sleep(18)
        eventually(lambda: descriptors(served.process.pid) < at_rest + 60, "slow connections closed", 10)
    is_served(load)


@pytest.mark.parametrize("target", ["/_matrix/client/v3/login", account_data_path("@a:localhost")])
def test_slow_bodies_starve_nobody(synapse: Synapse, gateway: Start, target: str) -> None:
    served = gateway(synapse.url)
    method = "PUT" if "account_data" in target else "POST"
    options = ["-B", "-t", method, "-c", "300", "-i", "5", "-s", "8192"]
    with Load() as load, slowly(served, target, *options, seconds=20):
        ordinary(load, served.port)
    is_served(load)


def test_slow_readers_starve_nobody_and_cost_little(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    size, readers = 5 << 20, 200
    upload = request(
        synapse.port, "POST", "/_matrix/media/v3/upload", token=alice.token, body=b"x" * size
    )
    name = upload.json()["content_uri"].rsplit("/", 1)[1]
    target = f"/_matrix/client/v1/media/download/localhost/{name}?access_token={alice.token}"
    assert len(request(served.port, "GET", target).body) == size
    before = memory(served.process.pid)
    options = ["-X", "-c", str(readers), "-w", "512", "-y", "1024", "-n", "3", "-z", "32"]
    with Load() as load, slowly(served, target, *options, seconds=20):
        ordinary(load, served.port)
        time.sleep(15)
        grown = memory(served.process.pid) - before
        # What all of them want is a gigabyte. Held is one head's worth (128 KiB) of what was read,
        # one of what was not yet written, one on its way between the two; and what allocating costs.
        assert grown < readers * (5 * 128 << 10), grown
    is_served(load)


# === many ===


def idle(served: Gateway, count: int) -> list:
    """Connections on which nothing is sent."""
    return [connect(served.port) for _ in range(count)]


def poll(served: Gateway, token: str, seconds: int) -> threading.Thread:
    """A long poll that has been sent when this returns, and is waited for in a thread."""
    since = request(served.port, "GET", "/_matrix/client/v3/sync", token=token).json()["next_batch"]
    target = f"/_matrix/client/v3/sync?since={since}&timeout={seconds * 1000}"
    connection = connect(served.port, timeout=seconds + 30)
    connection.sendall(build("GET", target, token=token))

    def wait() -> None:
        with connection:
            assert read_answer(connection).status == 200

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_connections_that_wait_for_a_request_make_room_for_those_that_have_one(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url, limits={"connections": 50})
    alice = synapse.register("alice")
    polling = poll(served, alice.token, 10)
    quiet = idle(served, 60)
    # Half a head is no request either.
    for connection in quiet[30:]:
        connection.sendall(b"GET /_matrix/client/versions HTTP/1.1\r\nHost:")
    for _ in range(30):
        assert request(served.port, "GET", VERSIONS, timeout=5).status == 200
    newest = quiet[-1]
    newest.sendall(b" localhost\r\n\r\n")
    # Those that waited longest went first, and the newest was not among them.
    assert read_answer(newest).status == 200
    with pytest.raises((ConnectionError, EOFError)):
        quiet[0].settimeout(5)
        if not quiet[0].recv(1):
            raise EOFError
    polling.join(30)
    assert not polling.is_alive()
    for connection in quiet:
        connection.close()


def test_with_all_connections_at_work_new_ones_wait_and_the_log_says_so_once(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url, limits={"connections": 8})
    users = [synapse.register("poller") for _ in range(8)]
    polls = [poll(served, user.token, 6) for user in users]
    time.sleep(1)
    started = time.monotonic()
    answers = [exchange(served.port, build("GET", VERSIONS), timeout=20) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert time.monotonic() - started > 2
    for thread in polls:
        thread.join(30)
        assert not thread.is_alive()
    assert len(warnings(served, "no room for more connections")) == 1, served.log[-3000:]


def warnings(served: Gateway, about: str) -> list[str]:
    return [line for line in served.log.splitlines() if '"WARN"' in line and about in line]


def limit_descriptors(served: Gateway, limit: int) -> None:
    command = ["prlimit", "--pid", str(served.process.pid), f"--nofile={limit}:4096"]
    subprocess.run(command, check=True, timeout=10)


def test_without_descriptors_it_says_so_and_serves_whoever_has_a_request(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    assert served.put(alice, {"enabled": True}).status == 200
    limit_descriptors(served, descriptors(served.process.pid) + 20)
    quiet = idle(served, 100)
    with Load() as load:
        ordinary(load, served.port)
        time.sleep(3)
    is_served(load)
    assert served.put(alice, {"enabled": False}).status == 200
    assert len(warnings(served, "accept")) == 1, served.log[-3000:]
    for connection in quiet:
        connection.close()
    assert (served.health("live"), served.health("ready")) == (200, 200)


def test_without_descriptors_and_with_all_at_work_it_waits_and_recovers(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url)
    users = [synapse.register("poller") for _ in range(8)]
    # Two descriptors for each poll, and not one more.
    request(served.port, "GET", VERSIONS)
    limit_descriptors(served, descriptors(served.process.pid) + 2 * len(users) - 2)
    polls = [poll(served, user.token, 6) for user in users[:-1]]
    waiting = idle(served, 10)
    time.sleep(2)
    before = processor_time(served.process.pid)
    time.sleep(2)
    # It waits, and does not spin.
    assert processor_time(served.process.pid) - before < 0.4
    for connection in waiting:
        connection.close()
    for thread in polls:
        thread.join(30)
        assert not thread.is_alive()
    for _ in range(20):
        assert request(served.port, "GET", VERSIONS).status == 200
