"""What whoever holds the private key can do, and only a checkpoint from outside can show."""

from __future__ import annotations

from verifier.leaf import Record, leaf_hash

from .forge import tree
from .stores import Moment
from .world import Expected, Tampering, World

TAIL = 50


def _sign_all(world: World, hashes: list[bytes]) -> None:
    """Every tile, the tree head and all checkpoints as if these leaves had been sealed."""
    world.set_all_tiles(hashes)
    size, root, signer = len(hashes), tree(hashes), world.sealed.signer
    world.set_head(size=size, root=root, note=signer.sign(size, root))
    world.do("DELETE FROM audit_checkpoint WHERE size > ?", size)
    kept = [note.size for note in world.sealed.trail.checkpoints if note.size and note.size <= size]
    for each in kept:
        world.set_checkpoint(each, note=signer.sign(each, tree(hashes[:each])))
    if size not in kept:
        # Python's SQLite may be too old for the column's default.
        made_at = Moment(world.record(size - 1).fields["stored_at"])
        sql = "INSERT INTO audit_checkpoint (size, note, made_at) VALUES (?, ?, ?)"
        world.do(sql, size, signer.sign(size, root), made_at)


def cut_tail(world: World) -> Expected:
    left = world.size - TAIL
    for index in range(left, world.size):
        world.do("DELETE FROM audit_record WHERE id = ?", world.id(index))
    world.do("DELETE FROM audit_leaf WHERE leaf_index >= ?", left)
    _sign_all(world, world.hashes()[:left])
    return Expected(None, outside=Expected("leaves_lost"))


def rebuild(world: World) -> Expected:
    index = world.pick(lambda record: record.fields["preference"] == "enabled")
    world.set(index, preference="disabled")
    hash_ = leaf_hash(Record({**world.record(index).fields, "preference": "disabled"}))
    assert hash_ is not None
    world.set_leaf(index, hash_)
    hashes = world.hashes()
    hashes[index] = hash_
    _sign_all(world, hashes)
    return Expected(None, outside=Expected("tree_changed"))


RESIGNED = [
    Tampering("cut the last fifty, and sign anew", cut_tail),
    Tampering("edit a record, and sign all anew", rebuild),
]
