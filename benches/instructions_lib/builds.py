"""The gateway at a commit and now, in release mode, with the names of its functions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from soak_lib.machine import REPOSITORY, Trouble

# Whatever the profile says: without names nobody sees what takes the instructions.
PROFILE = {"CARGO_PROFILE_RELEASE_STRIP": "none", "CARGO_PROFILE_RELEASE_DEBUG": "0"}
LIMIT = 3600


def folder() -> Path:
    """Where all of it is built: what it depends on is shared, and what a commit gave is kept."""
    # A relative one is relative to where cargo ran.
    return REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target") / "instructions"


def commit_id(name: str) -> str:
    """The whole name of the commit."""
    done = subprocess.run(["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"], cwd=REPOSITORY,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"there is no commit {name}")
    return done.stdout.strip()


def of_commit(commit: str) -> Path:
    """The gateway at `commit`, a whole name; built if it was not before."""
    kept = folder() / "commits" / commit
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(prefix="instructions-bench-") as place:
        archive = Path(place) / "source.tar"
        for command in (["git", "archive", "-o", str(archive), commit],
                        ["tar", "-xf", str(archive), "-C", place]):
            _run(command, REPOSITORY)
        built = _build(Path(place))
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".unfinished")
        shutil.copy2(built, unfinished)
        unfinished.rename(kept)
    return kept


def of_now() -> Path:
    """The gateway as the working tree is."""
    return _build(REPOSITORY)


def _build(source: Path) -> Path:
    target = folder()
    _run(["cargo", "build", "--release", "--locked", "--bin", "key-backup-gateway", "--target-dir", str(target)],
         source, PROFILE)
    return target / "release/key-backup-gateway"


def _run(command: list[str], place: Path, variables: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=LIMIT,
                       check=True, env={**os.environ, **(variables or {})})
    except (OSError, subprocess.SubprocessError) as error:
        raise Trouble(f"the gateway could not be built: {error}") from error
