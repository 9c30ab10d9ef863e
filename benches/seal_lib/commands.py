"""Commands of the gateway, as an auditor runs them, and what they take."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from soak_lib.machine import Trouble

CORES = 2
SHOWN = 2000


@dataclass(frozen=True)
class Done:
    """What a command took, and said."""

    seconds: float
    # The peak, in bytes.
    memory: int
    output: str


def run(*command: str, output: Path | None = None) -> Done:
    """To its end, on two cores; what it says goes into the file `output`, if one is given."""
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:CORES]))
    whole = ["setpriv", "--pdeathsig", "KILL", "--", "taskset", "-c", cores, *command]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        with open(output or os.devnull, "wb") as file:
            started = time.monotonic()
            child = subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=file if output else said,
                                     stderr=complained)
            try:
                _, status, used = os.wait4(child.pid, 0)
            except BaseException:
                child.kill()
                child.wait()
                raise
            took = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for written in (said, complained):
            written.seek(0)
            texts.append(written.read().decode(errors="replace"))
    if child.returncode != 0:
        said_at_last = "".join(texts)[-SHOWN:]
        raise Trouble(f"{' '.join(command[:3])} … exited with {child.returncode}:\n{said_at_last}")
    return Done(took, used.ru_maxrss * 1024, texts[0])
