"""The keys that sign: how they are made, replaced and refused, and that nobody ever sees the private ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from support.gateway import Gateway, run, to_toml
from support.process import eventually
from tamper.verifiers import Both, verify
from test_planted_token import Outputs
from verifier.notes import Checkpoint, Key

from .notary import Notary
from .stage import NAME, Stage
from .stores import STORES, PostgresStore


def keygen(key: Path, *arguments: str) -> str:
    made = run("audit", "keygen", "--key-file", str(key), *arguments)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def with_keys(stage: Stage, *keys: str) -> Both:
    """What both verifiers say of the database with only these public keys."""
    file = stage.folder / "keys.pub"
    file.write_text("".join(f"{key}\n" for key in keys))
    return verify("--database", stage.database, "--public-key", str(file), "--checkpoint", str(stage.file))


def signers(note: str) -> set[str]:
    return {number.hex() for _, number, _ in Checkpoint.parse(note).signatures}


def secret_of(line: str) -> str:
    """`PRIVATE+KEY+<name>+<key id>+<01 and the seed, base64>`"""
    return line.strip().split("+", 4)[4]


def served(stage: Stage, writes: int = 2) -> None:
    """A run from start to stop."""
    gateway = stage.start()
    stage.write(gateway, writes)
    stage.sealed()
    stage.stop(gateway)


def test_a_key_is_its_owners_alone_and_is_never_written_over(tmp_path: Path) -> None:
    key = tmp_path / "trail.key"
    # Whatever others may do with files of this user.
    before = os.umask(0)
    try:
        public = keygen(key, "--name", NAME)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (tmp_path / "trail.pub").read_text() == public + "\n"
    assert Key.parse(public).name == NAME
    private = key.read_text()
    again = run("audit", "keygen", "--key-file", str(key), "--name", NAME)
    assert again.returncode != 0 and "--rotate" in again.stderr, again.stderr
    assert key.read_text() == private and (tmp_path / "trail.pub").read_text() == public + "\n"
    for name in ("", "two words", "a+b", "line\nbreak"):
        bad = run("audit", "keygen", "--key-file", str(tmp_path / "bad.key"), "--name", name)
        assert bad.returncode != 0 and not (tmp_path / "bad.key").exists(), name


def test_a_second_key_signs_beside_the_first_and_either_verifies_what_both_have_signed(stage: Stage) -> None:
    old = stage.public_key.read_text().strip()
    served(stage)
    new = keygen(stage.key, "--rotate")
    assert new != old and stage.public_key.read_text().split() == [old, new]
    assert stat.S_IMODE(stage.key.stat().st_mode) == 0o600
    assert len(stage.key.read_text().split()) == 2
    served(stage)
    ids = {Key.parse(each).id.hex() for each in (old, new)}
    assert signers(stage.published()[-1]) == ids
    newest = Checkpoint.parse(stage.published()[-1])
    assert newest.is_signed([Key.parse(old)]) and newest.is_signed([Key.parse(new)])
    # Whoever still has the older key alone misses nothing.
    for keys in ([old], [old, new]):
        said = with_keys(stage, *keys)
        assert said.gateway.exit == 0, said.gateway.said
        assert said.agree, f"{said.gateway.said}\n{said.python.said}"


def test_a_key_that_was_replaced_is_needed_for_what_it_alone_has_signed(stage: Stage) -> None:
    old = stage.public_key.read_text().strip()
    served(stage)
    new = keygen(stage.key, "--rotate")
    served(stage)
    stage.key.write_text(stage.key.read_text().split()[1] + "\n")
    served(stage)
    assert signers(stage.published()[-1]) == {Key.parse(new).id.hex()}
    both = with_keys(stage, old, new)
    assert both.gateway.exit == 0, both.gateway.said
    assert both.agree, f"{both.gateway.said}\n{both.python.said}"
    # The trail goes on under the new key, and what came before it is signed by nobody that is known.
    for key in (old, new):
        said = with_keys(stage, key)
        assert (said.gateway.exit, said.gateway.code) == (1, "checkpoint_signature"), said.gateway.said
        assert said.agree, f"{said.gateway.said}\n{said.python.said}"


def test_every_change_of_keys_is_in_the_trail_once(stage: Stage) -> None:
    old = Key.parse(stage.public_key.read_text()).id.hex()
    served(stage)
    served(stage)
    assert not stage.operations("key_rotation")
    new = Key.parse(keygen(stage.key, "--rotate")).id.hex()
    served(stage)
    served(stage)
    changes = [record["detail"] for record in stage.operations("key_rotation")]
    assert [(each["before"], each["now"]) for each in changes] == [([old], [old, new])], changes
    stage.key.write_text(stage.key.read_text().split()[1] + "\n")
    served(stage)
    served(stage)
    changes = [record["detail"] for record in stage.operations("key_rotation")]
    assert [(set(each["before"]), each["now"]) for each in changes[1:]] == [({old, new}, [new])], changes


def test_another_key_alone_seals_nothing(stage: Stage) -> None:
    served(stage)
    before = stage.leaves()
    stage.key.unlink()
    keygen(stage.key, "--name", NAME)
    gateway = stage.start()
    stage.write(gateway, 2)
    # The newest checkpoint that was published is none of its own, either.
    eventually(lambda: gateway.metric("keybackup_sealing") == 0, "that nothing is sealed")
    eventually(lambda: gateway.health("audit") == 503, "that it is said")
    reasons = gateway.admin("/health/audit").json()["reasons"]
    assert "keygen --rotate" in " ".join(each["message"] for each in reasons), reasons
    assert stage.leaves() == before and stage.count() > before


def configured(stage: Stage, **checkpoint: str) -> Path:
    file = stage.folder / "bad.toml"
    sections = {
        "origin": {"url": stage.homeserver.url},
        "server": {"listen": ["127.0.0.1:0"], "admin_listen": "127.0.0.1:0"},
        "database": {"url": stage.database},
        "checkpoint": checkpoint,
    }
    file.write_text(to_toml(sections))
    return file


def refused(config: Path) -> str:
    """Both commands refuse it as a mistake of the configuration; what is said."""
    said = ""
    for command in ("check", "serve"):
        done = run(command, "--config", str(config), timeout=20)
        assert done.returncode == 78, (command, done)
        said = done.stderr
    return said


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o660, 0o601])
def test_a_key_that_others_can_read_or_change_is_refused(stage: Stage, mode: int) -> None:
    stage.key.chmod(mode)
    said = refused(configured(stage, key_file=str(stage.key)))
    assert str(stage.key) in said and f"{mode:04o}" in said and "chmod 600" in said, said


def test_a_key_of_another_name_is_refused(stage: Stage) -> None:
    said = refused(configured(stage, key_file=str(stage.key), name="example.org/other"))
    assert NAME in said and "checkpoint.name" in said, said


def test_a_key_file_that_is_none_is_refused(stage: Stage) -> None:
    private = stage.key.read_text()
    for text in ("", "no key\n", private.replace("PRIVATE", "PUBLIC"), private[:-9] + "\n", private + "rest\n"):
        stage.key.write_text(text)
        said = refused(configured(stage, key_file=str(stage.key)))
        assert str(stage.key) in said and secret_of(private) not in said, said
    stage.key.unlink()
    assert str(stage.key) in refused(configured(stage, key_file=str(stage.key)))


def test_sqlite_makes_its_keys_at_the_first_start_and_says_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path, None, 0)
    try:
        gateway = stage.start()
        assert stat.S_IMODE(stage.key.stat().st_mode) == 0o600
        public = stage.public_key.read_text().strip()
        warnings = [line for line in gateway.log.splitlines() if "WARN" in line and str(stage.key) in line]
        assert len(warnings) == 1 and public in warnings[0], gateway.log
        stage.write(gateway)
        stage.stop(gateway)
        private = stage.key.read_text()
        again = stage.start()
        assert str(stage.key) not in again.log and stage.key.read_text() == private
        stage.is_whole(again)
        # Found by itself.
        assert run("audit", "verify", "--database", stage.database).returncode == 0
    finally:
        stage.clear()


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_nothing_shows_the_private_key(stage: Stage) -> None:
    notary = Notary()
    stage.undo_with(notary.cut)
    outputs = Outputs()
    gateway = stage.start(log="trace", endpoint=f"{notary.url}/notes")
    secrets = [secret_of(stage.key.read_text())]
    stage.write(gateway, 3)
    stage.sealed()
    eventually(lambda: notary.notes, "a checkpoint at the endpoint")
    show(stage, gateway, outputs)
    stage.stop(gateway)
    made = run("audit", "keygen", "--rotate", "--key-file", str(stage.key))
    outputs.add("keygen", made.stdout + made.stderr)
    secrets.append(secret_of(stage.key.read_text().split()[1]))
    again = stage.start(log="trace", endpoint=f"{notary.url}/notes")
    stage.write(again)
    stage.sealed()
    # Something is wrong, and that is said, too.
    stage.sql(f"UPDATE audit_tree_head SET root = {stage.store.blob(bytes(32))}")
    stage.write(again)
    eventually(lambda: again.metric("keybackup_sealing") == 0, "that it is said")
    show(stage, again, outputs)
    stage.stop(again)
    for name, text in careless(stage).items():
        outputs.add(name, text)
    if isinstance(stage.store, PostgresStore):
        outputs.add("the database", stage.store.cluster.dump(stage.database))
    else:
        outputs.add("the database", Path(stage.database.removeprefix("sqlite:")).read_bytes())
    outputs.add("the public keys", stage.public_key.read_bytes())
    for note in [*notary.notes, *stage.published()]:
        outputs.add("a note", note)
    outputs.hold_nothing_of(secrets)


def show(stage: Stage, gateway: Gateway, outputs: Outputs) -> None:
    for page in ("/metrics", "/health/audit", "/health/live", "/health/ready"):
        outputs.add(page, gateway.admin(page).body)
    outputs.add("the log", gateway.log)
    listed = run("audit", "list", "--database", stage.database, "--format", "jsonl", "--limit", "0")
    exported = run("audit", "export", "--database", stage.database, "--format", "jsonl")
    outputs.add("the list", listed.stdout + listed.stderr)
    outputs.add("the export", exported.stdout + exported.stderr)


def careless(stage: Stage) -> dict[str, str]:
    """What is said to whoever mistakes the private key for something else."""
    private = stage.key.read_text().split()[0]
    database = ("--database", stage.database)
    commands = {
        "the private key to verify with": ("audit", "verify", *database, "--public-key", private),
        "its file to verify with": ("audit", "verify", *database, "--public-key", str(stage.key)),
        "its file as a checkpoint": (
            "audit", "verify", *database, "--public-key", str(stage.public_key), "--checkpoint", str(stage.key)
        ),
        "a key that is there": ("audit", "keygen", "--key-file", str(stage.key), "--name", NAME),
    }
    said = {}
    for name, command in commands.items():
        done = run(*command)
        assert done.returncode != 0, (name, done)
        said[name] = done.stdout + done.stderr
    kept = stage.key.read_text()
    for name, text in {"cut short": kept[:-9] + "\n", "with more": kept.strip() + " x\n"}.items():
        stage.key.write_text(text)
        done = run("check", "--config", str(configured(stage, key_file=str(stage.key))))
        assert done.returncode == 78, done
        said[name] = done.stdout + done.stderr
    stage.key.write_text(kept)
    return said
