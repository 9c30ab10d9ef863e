"""A database that was brought back to what it was, or rewritten, does not go on as if nothing had happened."""

from __future__ import annotations

import time

import pytest

from support.gateway import Gateway, run, to_toml
from support.process import eventually
from tamper.forge import Signer, tree
from verifier import merkle, postgres, sqlite
from verifier.leaf import Record, leaf_hash
from verifier.notes import Checkpoint

from .notary import Notary, has_all, sizes
from .stage import Stage, is_well, says
from .stores import STORES, PostgresStore

# The database is held against what was published every two seconds once it was found to differ.
LONG = 4.5
WAY_OUT = "audit resume --after-restore"


@pytest.fixture
def notary(stage: Stage) -> Notary:
    keeper = Notary()
    stage.undo_with(keeper.cut)
    return keeper


def rolled_back(stage: Stage, **checkpoint: str | None) -> str:
    """Restores a backup that is older than the newest checkpoint, which is returned."""
    gateway = stage.start(**checkpoint)
    stage.write(gateway, 5)
    stage.stop(gateway)
    stage.store.keep()
    gateway = stage.start(**checkpoint)
    stage.write(gateway, 10)
    stage.stop(gateway)
    stage.sealed()
    lost = stage.sql("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1") + "\n"
    stage.store.restore()
    assert stage.checkpoints()[-1] < sizes([lost])[0]
    return lost


def refuses(stage: Stage, gateway: Gateway, seconds: float = LONG) -> None:
    """It forwards and records, and seals nothing, for as long as nobody says otherwise."""
    leaves = stage.leaves()
    assert WAY_OUT in says(gateway, "seal_rolled_back")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = stage.count()
        stage.write(gateway)
        assert stage.count() >= before + 2
        says(gateway, "seal_rolled_back", 0.5)
        assert gateway.metric("keybackup_sealing") == 0
        assert stage.leaves() == leaves
        time.sleep(0.5)


def resume(stage: Stage, *arguments: str, **checkpoint: str) -> str:
    """As an operator does: with the gateway's own configuration."""
    keys = {"file": str(stage.file)} | checkpoint
    if isinstance(stage.store, PostgresStore):
        keys["key_file"] = str(stage.key)
    config = stage.folder / "resume.toml"
    config.write_text(to_toml({"database": {"url": stage.database}, "checkpoint": keys}))
    done = run("audit", "resume", "--after-restore", "--config", str(config), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def goes_on(stage: Stage, gateway: Gateway, lost: str) -> None:
    """It seals again; the trail says what was lost, and is sound but for whoever has what was lost."""
    eventually(lambda: gateway.metric("keybackup_sealing") == 1, "sealing again", 10)
    stage.write(gateway, 2)
    stage.sealed()
    is_well(gateway)
    said = Checkpoint.parse(lost)
    named = [record["detail"]["lost_checkpoint"] for record in stage.operations("resume")]
    assert (said.size, said.root.hex()) in [(each["size"], each["root"]) for each in named]
    stage.stop(gateway)
    report = stage.is_sound()
    assert report["unsealed"] == 0 and report["sealed"] == stage.count()
    kept = stage.folder / "lost.txt"
    kept.write_text(lost)
    verdict = stage.verdict("--checkpoint", str(kept))
    code = "leaves_lost" if said.size > stage.leaves() else "tree_changed"
    for each in (verdict.gateway, verdict.python):
        assert (each.exit, each.code) == (1, code), each.said


def publishes_what_came_after(stage: Stage, lost: str) -> None:
    """Also the checkpoints that have no more leaves than the one that was lost."""
    restored = int(stage.operations("resume")[-1]["detail"]["restored_size"])
    wanted = [size for size in stage.checkpoints() if size > restored]
    found = sizes(stage.published())
    after = found[found.index(sizes([lost])[0]) + 1 :]
    assert has_all(after, wanted), (after, wanted)


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_a_rolled_back_database_is_not_sealed_before_the_operator_says_so(stage: Stage) -> None:
    rolled_back(stage)
    before = stage.file.read_bytes()
    gateway = stage.start()
    refuses(stage, gateway)
    # What was published stays the newest, or nobody could find it any more.
    assert stage.file.read_bytes() == before


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_after_a_restore_the_operator_has_it_sealed_again_without_a_restart(stage: Stage) -> None:
    lost = rolled_back(stage)
    gateway = stage.start()
    assert WAY_OUT in says(gateway, "seal_rolled_back")
    assert "lost" in resume(stage)
    goes_on(stage, gateway, lost)
    publishes_what_came_after(stage, lost)
    # To start again is to find the same checkpoints, and no rollback.
    again = stage.start()
    stage.write(again)
    stage.sealed()
    is_well(again)


def test_an_endpoint_alone_shows_a_rollback_too(stage: Stage, notary: Notary) -> None:
    url = f"{notary.url}/notes"
    rolled_back(stage, file=None, endpoint=url)
    before = list(notary.notes)
    gateway = stage.start(file=None, endpoint=url)
    refuses(stage, gateway)
    assert notary.notes == before


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_after_a_restore_the_endpoint_names_what_was_lost(stage: Stage, notary: Notary) -> None:
    url = f"{notary.url}/notes"
    lost = rolled_back(stage, file=None, endpoint=url)
    gateway = stage.start(file=None, endpoint=url)
    says(gateway, "seal_rolled_back")
    stage.file.touch()
    resume(stage, endpoint=url)
    goes_on(stage, gateway, lost)
    assert sizes(notary.notes)[-1] == stage.checkpoints()[-1]


def test_an_endpoint_that_does_not_say_what_it_has_is_not_written_to(stage: Stage, notary: Notary) -> None:
    url = f"{notary.url}/notes"
    rolled_back(stage, file=None, endpoint=url)
    before = list(notary.notes)
    notary.instead = {"GET": 503}
    gateway = stage.start(file=None, endpoint=url)
    says(gateway, "checkpoint_not_published")
    stage.write(gateway)
    time.sleep(3)
    # The newest it has would be one that the rolled back database leads to.
    assert notary.notes == before
    notary.instead.clear()
    says(gateway, "seal_rolled_back", 10)


def test_a_lost_checkpoint_of_more_leaves_than_there_will_be_is_named_as_lost_leaves(stage: Stage) -> None:
    lost = rolled_back(stage)
    # So few records come after that the lost checkpoint stays the larger one.
    resume(stage)
    kept = stage.folder / "lost.txt"
    kept.write_text(lost)
    verdict = stage.verdict("--checkpoint", str(kept))
    assert (verdict.gateway.exit, verdict.gateway.code) == (1, "leaves_lost"), verdict.gateway.said
    assert verdict.agree, f"{verdict.gateway.said}\n{verdict.python.said}"


def test_resume_has_nothing_to_say_where_nothing_was_lost(stage: Stage) -> None:
    gateway = stage.start()
    stage.write(gateway, 3)
    stage.sealed()
    eventually(stage.published, "a checkpoint in the file")
    assert "nothing is lost" in resume(stage)
    assert not stage.operations("resume")
    stage.is_whole(gateway)


@pytest.mark.parametrize("stage", STORES, indirect=True)
def test_a_rewritten_leaf_is_refused_although_it_was_signed_anew(stage: Stage) -> None:
    gateway = stage.start()
    stage.write(gateway, 10)
    stage.stop(gateway)
    rewrite(stage, 5)
    # In itself, it is sound.
    stage.is_sound()
    again = stage.start()
    refuses(stage, again)
    said = stage.verdict("--checkpoint", str(stage.file))
    assert (said.gateway.exit, said.gateway.code) == (1, "tree_changed"), said.gateway.said


def rewrite(stage: Stage, index: int) -> None:
    """As whoever holds the private key: changes a record, and the whole tree after it."""
    store = stage.store
    load = postgres.load if isinstance(store, PostgresStore) else sqlite.load
    trail = load(stage.database)
    record = trail.leaves[index].record
    assert record is not None
    hash_ = leaf_hash(Record({**record.fields, "request_id": "forged"}))
    assert hash_ is not None
    hashes = [trail.leaves[each].hash for each in range(len(trail.leaves))]
    hashes[index] = hash_
    signer, root = Signer.of_file(stage.key), tree(hashes)
    size = len(hashes)
    chosen = f"(SELECT record_id FROM audit_leaf WHERE leaf_index = {index})"
    store.sql(f"UPDATE audit_record SET request_id = 'forged' WHERE id = {chosen}")
    store.sql(f"UPDATE audit_leaf SET leaf_hash = {store.blob(hash_)} WHERE leaf_index = {index}")
    for (level, number), tile in merkle.tiles(hashes).items():
        where = f"level = {level} AND tile_index = {number}"
        store.sql(f"UPDATE audit_tile SET hashes = {store.blob(tile)} WHERE {where}")
    store.sql(f"UPDATE audit_tree_head SET root = {store.blob(root)}, note = '{signer.sign(size, root)}'")
    for each in stage.checkpoints():
        note = signer.sign(each, tree(hashes[:each]))
        store.sql(f"UPDATE audit_checkpoint SET note = '{note}' WHERE size = {each}")


def rolled_back_under(stage: Stage, **checkpoint: str | None) -> tuple[Gateway, str]:
    """The same while a gateway runs, and knows better."""
    assert isinstance(stage.store, PostgresStore)
    gateway = stage.start(**checkpoint)
    stage.write(gateway, 5)
    stage.sealed()
    stage.store.keep()
    is_well(gateway)
    stage.write(gateway, 10)
    stage.checkpointed()
    lost = stage.sql("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1") + "\n"
    eventually(lambda: sizes(stage.published())[-1:] == sizes([lost]) or checkpoint, "it in the file")
    stage.store.restore()
    eventually(lambda: try_write(stage, gateway), "the database back", 20)
    return gateway, lost


def try_write(stage: Stage, gateway: Gateway) -> bool:
    try:
        stage.write(gateway)
        return True
    except AssertionError:
        return False


def test_a_rollback_under_running_gateways_is_noticed(stage: Stage) -> None:
    gateway, _ = rolled_back_under(stage)
    leaves = stage.leaves()
    says(gateway, "seal_rolled_back")
    stage.write(gateway, 2)
    time.sleep(1)
    assert (stage.leaves(), gateway.metric("keybackup_sealing")) == (leaves, 0)
    assert WAY_OUT in says(gateway, "seal_rolled_back")


def test_after_a_restore_under_running_gateways_the_operator_has_it_sealed_again_without_a_restart(
    stage: Stage,
) -> None:
    gateway, lost = rolled_back_under(stage)
    says(gateway, "seal_rolled_back")
    assert "lost" in resume(stage)
    goes_on(stage, gateway, lost)
    publishes_what_came_after(stage, lost)


def test_after_a_restore_every_running_gateway_is_well_again(stage: Stage) -> None:
    others = [stage.start(), stage.start()]
    gateway, _ = rolled_back_under(stage)
    says(gateway, "seal_rolled_back")
    # An operator takes longer than the gateways do to look again.
    time.sleep(3)
    assert "lost" in resume(stage)
    for each in (gateway, *others):
        eventually(lambda: try_write(stage, each), "the database back", 20)
        is_well(each, 10)
        assert each.metric("keybackup_sealing") == 1
    stage.sealed()
    stage.stop(gateway, *others)
    stage.is_sound()


def test_a_rollback_is_noticed_by_whoever_seals_next(stage: Stage) -> None:
    # The first has gone on; the second has only watched.
    first, lost = rolled_back_under(stage)
    says(first, "seal_rolled_back")
    second = stage.start()
    assert WAY_OUT in says(second, "seal_rolled_back")
    stage.stop(first)
    resume(stage)
    goes_on(stage, second, lost)
