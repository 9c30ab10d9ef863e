"""A sealed trail, made by the gateway's own binary out of real traffic."""

from __future__ import annotations

import time
from pathlib import Path

import verifier.postgres
import verifier.sqlite
from support.gateway import Gateway, records, run

from .forge import Signer
from .homeserver import Homeserver, fill, user
from .stores import PostgresStore, Store
from .world import Sealed

RECORDS = 10_000
# Between them, the gateway makes checkpoints.
ROUNDS = 4
PAUSE = 1.2
NAME = "example.org/tamper"
# Whose records a filtered export has.
FILTERED = user(3)


def build(store: Store, folder: Path, seed: int) -> Sealed:
    """Fills a trail through a gateway, and stops it, so that all of it is sealed."""
    folder.mkdir(parents=True)
    checkpoint = {"interval": "1s", "file": str(folder / "checkpoints.txt")}
    if isinstance(store, PostgresStore):
        url = store.database()
        keys = folder / "tamper.key"
        made = run("audit", "keygen", "--name", NAME, "--key-file", str(keys))
        assert made.returncode == 0, made.stderr
        checkpoint["key_file"] = str(keys)
    else:
        url = f"sqlite:{folder}/audit.db"
        keys = folder / "audit.db.key"
    _serve(url, folder, checkpoint, seed)
    public_key = keys.with_suffix(".pub").read_text().strip()
    module = verifier.postgres if isinstance(store, PostgresStore) else verifier.sqlite
    trail = module.load(url)
    assert not trail.unsealed, f"{len(trail.unsealed)} records were left unsealed"
    assert len(trail.leaves) >= RECORDS, f"there are but {len(trail.leaves)} leaves"
    # To export is written down, and nobody is there to seal it: it is done to a copy.
    with store.copy(url) as copy:
        files = _files(copy, folder)
    return Sealed(store, url, public_key, Signer.of_file(keys), trail, files)


def _serve(url: str, folder: Path, checkpoint: dict[str, str], seed: int) -> None:
    homeserver = Homeserver()
    config: dict[str, dict[str, object]] = {"checkpoint": dict(checkpoint)}
    if url.startswith("postgres"):
        config["audit"] = {"durability": "store", "spool": "none"}
    gateway = Gateway(homeserver.url, url, folder / "gateway", config)
    try:
        gateway.wait()
        for number in range(ROUNDS):
            fill(gateway.port, RECORDS // ROUNDS, seed + number)
            time.sleep(PAUSE)
        assert gateway.stop(timeout=60) == 0, gateway.log[-3000:]
    finally:
        if gateway.process.running():
            gateway.process.child.kill()
        homeserver.cut()


def _files(url: str, folder: Path) -> dict[str, Path]:
    """What an auditor is given."""
    export = ("audit", "export", "--database", url, "--format", "jsonl")
    exchange = records(url, action="write", outcome="answered")[-1]["exchange_id"]
    made = {
        "whole": run(*export),
        "filtered": run(*export, "--user", FILTERED),
        "proof": run("audit", "prove", exchange, "--database", url),
    }
    files = {}
    for name, done in made.items():
        assert done.returncode == 0, done.stderr
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text(done.stdout)
    return files
