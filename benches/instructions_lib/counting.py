"""How many instructions one pass-by request takes, as callgrind counts them."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path

from compare_lib import content
from compare_lib.ports import free
from soak_lib.machine import Process, Trouble, wait_for

from . import dumps

# Until buffers, pools and caches are as they stay.
WARM_UP = 1000
# So often is counted; the median counts.
COUNTS = 3
# The valgrind of a busy machine may take so long to have started the gateway.
STARTING = 120
ORIGIN_FIELDS = {
    "Server": "Synapse/1.163.2",
    "Date": "Thu, 26 Nov 2026 12:00:00 GMT",
    "Content-Type": "application/json",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization, Date",
    "Content-Length": str(len(content.SMALL_BODY)),
}


def head(first: str, fields: dict[str, str]) -> bytes:
    return (first + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode()


ANSWER = head("HTTP/1.1 200 OK", ORIGIN_FIELDS) + content.SMALL_BODY.encode()
REQUEST = head(f"GET {content.SMALL} HTTP/1.1", {"Host": "compare.example.org", **content.FIELDS})


def count(binary: Path, folder: Path, requests: int) -> Counter[str]:
    """On one connection, one after the other, through a gateway with one worker.

    Of one request, by function, without what it calls; their sum is all but what system calls take in the kernel.
    """
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        threading.Thread(target=_accept, args=[listener], daemon=True).start()
        port, out = free(), folder / "callgrind.out"
        config = _configured(binary, folder, port, listener.getsockname()[1])
        command = ["env", "TOKIO_WORKER_THREADS=1", "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                   str(binary), "serve", "--config", str(config)]
        with Process(command, folder / "output.txt") as gateway:
            with wait_for(lambda: _connection(gateway, port), "the gateway listens under valgrind", STARTING) as client:
                _ask(client, WARM_UP)
                for _ in range(COUNTS):
                    _control(gateway, "--zero")
                    _ask(client, requests)
                    _control(gateway, "--dump")
    # The last one has no number, and is of the end of the gateway.
    found = [dumps.read(folder / f"callgrind.out.{number + 1}") for number in range(COUNTS)]
    middle = sorted(found, key=Counter.total)[COUNTS // 2]
    return Counter({function: cost / requests for function, cost in middle.items()})


def _configured(binary: Path, folder: Path, port: int, origin: int) -> Path:
    """With one worker by the key, if the gateway knows it; older ones obey tokio's variable."""
    config = folder / "gateway.toml"
    for workers in ("workers = 1\n", ""):
        config.write_text(f"""
[server]
listen = ["127.0.0.1:{port}"]
admin_listen = "127.0.0.1:{free()}"
{workers}
[origin]
url = "http://127.0.0.1:{origin}"

[database]
url = "sqlite:{folder}/trail.db"
""")
        checked = subprocess.run([str(binary), "check", "--config", str(config)], stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, check=False)
        if checked.returncode == 0:
            return config
    raise Trouble(f"the gateway does not take its configuration:\n{checked.stdout}{checked.stderr}")


# === both ends ===


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=[connection], daemon=True).start()


def _answer(connection: socket.socket) -> None:
    """The origin."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    heard = b""
    while more := connection.recv(65_536):
        heard += more
        while b"\r\n\r\n" in heard:
            heard = heard.partition(b"\r\n\r\n")[2]
            connection.sendall(ANSWER)


def _ask(connection: socket.socket, times: int) -> None:
    """The client."""
    body = content.SMALL_BODY.encode()
    for _ in range(times):
        connection.sendall(REQUEST)
        heard = b""
        while not heard.endswith(body):
            more = connection.recv(65_536)
            if not more or not (heard + more).startswith(b"HTTP/1.1 200 "):
                raise Trouble(f"the gateway answered {heard + more!r}")
            heard += more


def _connection(gateway: Process, port: int) -> socket.socket | None:
    if not gateway.running():
        raise Trouble(f"the gateway ended under valgrind:\n{gateway.log()[-2000:]}")
    try:
        return socket.create_connection(("127.0.0.1", port), 30)
    except OSError:
        return None


def _control(gateway: Process, what: str) -> None:
    done = subprocess.run(["callgrind_control", what, str(gateway.pid)], stdin=subprocess.DEVNULL, timeout=60,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0 or "OK" not in done.stdout:
        raise Trouble(f"callgrind_control {what} failed:\n{done.stdout}{done.stderr}")
