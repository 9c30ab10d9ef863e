"""The program that measures from inside: `main.rs` beside this."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from soak_lib.machine import REPOSITORY, Trouble

LIMIT = 1800


def build() -> Path:
    """Builds it in release mode, and says where it is."""
    command = ["cargo", "build", "--release", "--locked", "--bench", "audit",
               "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True, timeout=3600, check=False)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "audit":
            return Path(message["executable"])
    raise Trouble("the benchmark could not be built")


def measure(program: Path, *arguments: str) -> dict[str, float]:
    """One measurement."""
    try:
        done = subprocess.run([str(program), *arguments], stdin=subprocess.DEVNULL, timeout=LIMIT,
                              capture_output=True, text=True, check=True, env=dict(os.environ))
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or ""
        raise Trouble(f"{arguments[0]} could not be measured: {error}\n{said[-2000:]}") from error
    return dict(json.loads(done.stdout))
