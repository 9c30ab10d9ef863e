"""A disk of a spool's own, that can be full or read-only. Needs root."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[Path]:
    """A new one, mounted at `at`."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    at.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"]
    subprocess.run(["mount", *options, str(at)], check=True, timeout=30)
    try:
        yield at
    finally:
        # Whoever still has a file open on it, keeps it until it ends.
        subprocess.run(["umount", "--lazy", str(at)], check=True, timeout=30)


def make_read_only(at: Path, yes: bool) -> None:
    """Nobody may have a file open there to write to it."""
    options = f"remount,{'ro' if yes else 'rw'}"
    subprocess.run(["mount", "-o", options, str(at)], check=True, timeout=30)


def fill(at: Path) -> Path:
    """Leaves no byte. Returns the file that takes them all."""
    junk = at / "junk"
    with junk.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return junk
