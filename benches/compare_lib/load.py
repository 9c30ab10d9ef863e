"""The load: wrk, h2load, and a client of our own for large bodies. Any answer that is not right is trouble."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from soak_lib.machine import Process, Trouble

from . import content

CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 4, 100
TRANSFERRING = 4

SCRIPT = """
function done(summary, latency)
  local errors = summary.errors
  print(string.format('compare {"requests":%d,"micros":%d,"bytes":%d,"errors":%d,"statuses":%d,"p99":%d}',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status, latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What was asked and answered, and how long that took."""

    requests: int
    seconds: float
    # In seconds; 0 where it is not measured.
    p99: float = 0.0


def wrk(folder: Path, url: str, target: str, seconds: float, smallest: int, close: bool = False,
        preload: Path | None = None) -> Load:
    """As fast as it goes, on `CONNECTIONS` connections, or with `close` on a new one for each request.

    An answer has at least `smallest` bytes. `preload` is loaded into wrk.
    """
    script, output = folder / "wrk.lua", folder / "wrk.txt"
    script.write_text(SCRIPT)
    output.unlink(missing_ok=True)
    loaded = [] if preload is None else ["env", f"LD_PRELOAD={preload}"]
    fields = dict(content.FIELDS, **({"Connection": "close"} if close else {}))
    command = [*loaded, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(script)]
    for name, value in fields.items():
        command += ["-H", f"{name}: {value}"]
    with Process([*command, url + target], output) as child:
        code = child.wait(seconds + 30)
    found = re.search(r"^compare (.+)$", child.log(), re.M)
    if code != 0 or found is None:
        raise Trouble(f"wrk failed with {code}:\n{child.log()[-2000:]}")
    said = json.loads(found[1])
    if said["errors"] or said["statuses"] or not said["requests"] or said["bytes"] < said["requests"] * smallest:
        raise Trouble(f"not all answers of {url} were right: {said}")
    return Load(said["requests"], said["micros"] / 1e6, said["p99"] / 1e6)


def h2load(folder: Path, port: int, target: str, requests: int, smallest: int) -> Load:
    """So many, with `H2_STREAMS` at a time on each connection, by prior knowledge."""
    output = folder / "h2load.txt"
    output.unlink(missing_ok=True)
    command = ["h2load", f"-n{requests}", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", "-T20", "-N20"]
    for name, value in content.FIELDS.items():
        command += ["-H", f"{name.lower()}: {value}"]
    with Process([*command, f"http://127.0.0.1:{port}{target}"], output) as child:
        code = child.wait(120)
    said = child.log()
    took = re.search(r"^finished in ([\d.]+)(ms|s), ", said, re.M)
    good = re.search(r"^status codes: (\d+) 2xx", said, re.M)
    size = re.search(r"headers \(space savings [^)]*\), \S+ \((\d+)\) data", said)
    if code != 0 or not took or not good or not size:
        raise Trouble(f"h2load failed with {code}:\n{said[-2000:]}")
    if int(good[1]) != requests or int(size[1]) < requests * smallest:
        raise Trouble(f"not all answers over HTTP/2 were right:\n{said[-2000:]}")
    return Load(requests, float(took[1]) / (1000 if took[2] == "ms" else 1))


def transfer(folder: Path, way: str, port: int, target: str, size: int, transfers: int) -> Load:
    """So many on each of `TRANSFERRING` connections."""
    output = folder / "transfer.txt"
    output.unlink(missing_ok=True)
    program = [sys.executable, str(Path(__file__).with_name("transfer.py"))]
    arguments = [way, str(port), target, str(size), str(TRANSFERRING), str(transfers)]
    started = time.monotonic()
    with Process(program + arguments, output) as child:
        code = child.wait(120)
    took = time.monotonic() - started
    if code != 0:
        raise Trouble(f"{way}load of {size} bytes failed with {code}:\n{child.log()[-2000:]}")
    return Load(TRANSFERRING * transfers, took)
