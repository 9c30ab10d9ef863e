"""Well-behaved load: wrk over HTTP/1.1, h2load over HTTP/2."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .kinds import MIX, MIX_H2, TOKENS, Kind
from .machine import Process, Trouble

CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 8, 8
# HTTP/2's preface, and an empty SETTINGS frame.
H2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
SETTINGS_FRAME = 4

SCRIPT = """
sent, got = {}, {}
local deck, threads = {}, {}
for _, kind in ipairs(kinds) do
  for _ = 1, kind.weight do deck[#deck + 1] = kind end
end

function setup(thread) threads[#threads + 1] = thread end

function init() math.randomseed(SEED) end

function request()
  local kind = deck[math.random(#deck)]
  sent[kind.name] = (sent[kind.name] or 0) + 1
  return kind.head .. math.random(TOKENS) .. kind.tail
end

function response(status, _, body)
  local answer
  if status == 200 then
    answer = answers[body] or "200 with another body"
  else
    answer = status .. " " .. (body:match('"errcode":"([A-Z_]+)"') or "without an errcode")
  end
  got[answer] = (got[answer] or 0) + 1
end

function done(summary)
  for name, count in pairs(threads[1]:get("sent")) do print("soak sent", count, name) end
  for answer, count in pairs(threads[1]:get("got")) do print("soak got", count, answer) end
  for name, count in pairs(summary.errors) do print("soak error", count, name) end
end
"""


@dataclass
class Tally:
    """What was sent, and what came back. Tallies add up."""

    # By kind.
    sent: Counter[str] = field(default_factory=Counter)
    # By `Kind.wanted`, or what it was instead.
    got: Counter[str] = field(default_factory=Counter)
    # By what broke: requests without an answer.
    broken: Counter[str] = field(default_factory=Counter)
    # What may have been sent without being answered: the load ended meanwhile.
    left: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        self.sent += other.sent
        self.got += other.got
        self.broken += other.broken
        self.left += other.left
        return self

    def answered(self) -> int:
        return self.got.total()


# === wrk ===


def lua(seed: int) -> str:
    """The script for wrk. JSON's strings are Lua's, if they are plain ASCII."""
    kinds = []
    for kind in MIX:
        head, tail = kind.around_number()
        kinds.append(
            f"{{name={json.dumps(kind.name)}, weight={kind.weight},"
            f" head={json.dumps(head)}, tail={json.dumps(tail)}}}"
        )
    answers = {kind.answer: kind.wanted() for kind in MIX if kind.status == 200}
    pairs = [f"[{json.dumps(body)}]={json.dumps(name)}" for body, name in answers.items()]
    values = f"local kinds = {{{', '.join(kinds)}}}\nlocal answers = {{{', '.join(pairs)}}}\n"
    return values + SCRIPT.replace("SEED", str(seed)).replace("TOKENS", str(TOKENS))


def start_wrk(port: int, seconds: int, folder: Path, seed: int) -> Process:
    """One thread: it is never the bottleneck, and its counts need no adding up."""
    script = folder / "mix.lua"
    script.write_text(lua(seed))
    output = folder / "wrk.txt"
    output.unlink(missing_ok=True)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s"]
    return Process([*command, "-s", str(script), f"http://127.0.0.1:{port}"], output)


def end_wrk(wrk: Process, seconds: int) -> Tally:
    """Waits for the end of it."""
    if wrk.wait(seconds + 60) != 0:
        raise Trouble(f"wrk failed:\n{wrk.log()[-2000:]}")
    # wrk asks for one request before the first, to look at it.
    tally = Tally(left=CONNECTIONS + 1)
    for what, count, name in re.findall(r"^soak (\w+)\t(\d+)\t(.+)$", wrk.log(), re.M):
        if what == "sent":
            tally.sent[name] = int(count)
        elif what == "got":
            tally.got[name] = int(count)
        # wrk's "status" counts the 4xx, which are judged below.
        elif name != "status" and int(count):
            tally.broken[name] = int(count)
    if not tally.got:
        raise Trouble(f"wrk had no answer at all:\n{wrk.log()[-2000:]}")
    return tally


# === h2load ===


def speaks_http2(port: int) -> bool:
    """Whether HTTP/2 by prior knowledge is answered with HTTP/2."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(H2_HELLO)
        try:
            first = connection.recv(9, socket.MSG_WAITALL)
        except OSError:
            return False
    return len(first) == 9 and first[3] == SETTINGS_FRAME


def run_h2load(port: int, requests: int, folder: Path) -> Tally:
    """All of the kinds, one after the other."""
    tally = Tally()
    for kind, share in MIX_H2:
        count = max(H2_CONNECTIONS, requests * share // 1000)
        tally += run_one(port, kind, count, folder)
    return tally


def run_one(port: int, kind: Kind, count: int, folder: Path) -> Tally:
    output = folder / "h2load.txt"
    output.unlink(missing_ok=True)
    command = ["h2load", f"-n{count}", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", "-T20", "-N20"]
    command += ["-H", f":method: {kind.method}", "-H", "authorization: Bearer t1"]
    if kind.body is not None:
        body = folder / "h2load-body"
        body.write_text(kind.body)
        command += ["-d", str(body)]
    with Process([*command, f"http://127.0.0.1:{port}{kind.target()}"], output) as h2load:
        h2load.wait(120)
    found = re.search(r"requests: .* (\d+) done, (\d+) succeeded", h2load.log())
    classes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", h2load.log())
    if found is None or classes is None:
        raise Trouble(f"h2load failed:\n{h2load.log()[-2000:]}")
    # h2load tells classes only; all of these kinds are to be 200.
    names = (kind.wanted(), "3xx over HTTP/2", "4xx over HTTP/2", "5xx over HTTP/2")
    got = zip(names, map(int, classes.groups()), strict=True)
    tally = Tally(Counter({kind.name: count}), Counter({name: n for name, n in got if n}))
    if broken := count - tally.answered():
        tally.broken["http2"] = broken
    return tally
