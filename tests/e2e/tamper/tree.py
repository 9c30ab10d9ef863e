"""Leaf hashes, tiles, the tree head and checkpoints are changed."""

from __future__ import annotations

from verifier import merkle
from verifier.leaf import Record, leaf_hash

from .forge import Signer, tree
from .world import Expected, Tampering, World


def change_leaf_hash(world: World) -> Expected:
    index = world.pick()
    world.set_leaf(index, world.chance.randbytes(32))
    return Expected("leaf_hash_changed", index, world.id(index))


def _edit(world: World) -> tuple[int, bytes]:
    """Somebody is said to have refused what they had allowed; the hash that this would have."""
    index = world.pick(lambda record: record.fields["preference"] == "enabled")
    edited = {**world.record(index).fields, "preference": "disabled"}
    world.set(index, preference="disabled")
    hash_ = leaf_hash(Record(edited))
    assert hash_ is not None
    return index, hash_


def edit_with_leaf(world: World) -> Expected:
    index, hash_ = _edit(world)
    world.set_leaf(index, hash_)
    return Expected("record_replaced", index, world.id(index))


def edit_with_tile(world: World) -> Expected:
    index, hash_ = _edit(world)
    world.set_tile_hash(0, index, hash_)
    # Of the three it is the leaf's that is signed.
    return Expected("record_changed", index, world.id(index))


def edit_with_leaf_and_tile(world: World) -> Expected:
    """What stands above the tile gives it away."""
    index, hash_ = _edit(world)
    world.set_leaf(index, hash_)
    world.set_tile_hash(0, index, hash_)
    complete = world.size // merkle.WIDTH * merkle.WIDTH
    return Expected("tile_changed" if index < complete else "tree_changed")


def edit_with_leaf_and_tiles(world: World) -> Expected:
    """No leaf says why the tree is not the one that was signed."""
    index, hash_ = _edit(world)
    hashes = world.hashes()
    hashes[index] = hash_
    world.set_leaf(index, hash_)
    world.set_all_tiles(hashes)
    return Expected("tree_changed")


def edit_with_tree_head(world: World) -> Expected:
    """All but the note, for which the key would be needed."""
    index, hash_ = _edit(world)
    hashes = world.hashes()
    hashes[index] = hash_
    world.set_leaf(index, hash_)
    world.set_all_tiles(hashes)
    world.set_head(root=tree(hashes))
    return Expected("head_changed")


def change_tile(world: World) -> Expected:
    index = world.pick()
    world.set_tile_hash(0, index, world.chance.randbytes(32))
    return Expected("tile_changed", index, world.id(index))


def change_upper_tile(world: World) -> Expected:
    world.set_tile_hash(1, world.chance.randrange(world.size // merkle.WIDTH), world.chance.randbytes(32))
    # Named by level and index.
    return Expected("tile_changed")


def delete_tile(world: World) -> Expected:
    tile = world.chance.randrange(world.size // merkle.WIDTH)
    world.do("DELETE FROM audit_tile WHERE level = 0 AND tile_index = ?", tile)
    first = tile * merkle.WIDTH
    return Expected("tile_changed", first, world.id(first))


def append_to_tile(world: World) -> Expected:
    index = world.size // merkle.WIDTH
    world.set_tile(0, index, world.sealed.trail.tiles[0, index] + world.chance.randbytes(32))
    # The tile says that there must be one more leaf.
    return Expected("leaf_missing", world.size)


def append_a_byte_to_tile(world: World) -> Expected:
    world.set_tile(0, 0, world.sealed.trail.tiles[0, 0] + world.chance.randbytes(1))
    return Expected("tile_changed")


def append_to_upper_tile(world: World) -> Expected:
    world.set_tile(1, 0, world.sealed.trail.tiles[1, 0] + world.chance.randbytes(32))
    return Expected("tile_changed")


def delete_upper_tile(world: World) -> Expected:
    world.do("DELETE FROM audit_tile WHERE level = 1")
    return Expected("tile_changed")


def _checkpoints(world: World) -> list[int]:
    """The sizes of the checkpoints, the oldest first."""
    found = sorted(note.size for note in world.sealed.trail.checkpoints if note.size)
    assert len(found) > 2, "a trail with several checkpoints"
    return found


def _note(world: World, size: int) -> str:
    return next(note.text for note in world.sealed.trail.checkpoints if note.size == size)


def change_root_of_checkpoint(world: World) -> Expected:
    size = world.chance.choice(_checkpoints(world))
    origin, number, _, *rest = _note(world, size).split("\n")
    other = Signer.other(origin).sign(size, world.chance.randbytes(32)).split("\n")[2]
    world.set_checkpoint(size, note="\n".join([origin, number, other, *rest]))
    # The signature was for another text.
    return Expected("checkpoint_signature")


def lower_size_of_checkpoint(world: World) -> Expected:
    sizes = set(_checkpoints(world))
    # No two rows have the same.
    size = world.chance.choice([size for size in sorted(sizes) if size - 1 not in sizes])
    world.set_checkpoint(size, size=size - 1)
    return Expected("checkpoint_changed")


def raise_size_of_checkpoint(world: World) -> Expected:
    """Its note says what it says, whatever the row does."""
    size = _checkpoints(world)[-1]
    world.set_checkpoint(size, size=size + 100)
    return Expected("checkpoint_changed")


def cut_checkpoint(world: World) -> Expected:
    size = world.chance.choice(_checkpoints(world))
    world.set_checkpoint(size, note=_note(world, size)[: world.chance.randrange(20)])
    return Expected("checkpoint_changed")


def replay_checkpoint(world: World) -> Expected:
    older, *_, newest = _checkpoints(world)
    world.set_checkpoint(newest, note=_note(world, older))
    return Expected("checkpoint_changed")


def replay_note_of_head(world: World) -> Expected:
    world.set_head(note=_note(world, _checkpoints(world)[0]))
    return Expected("head_changed")


def replay_head(world: World) -> Expected:
    older = _checkpoints(world)[0]
    world.set_head(size=older, root=tree(world.hashes()[:older]), note=_note(world, older))
    # Leaves and tiles are there that it does not know.
    return Expected("head_changed")


def lower_size_of_head(world: World) -> Expected:
    world.set_head(size=world.size - 1)
    return Expected("head_changed")


def raise_size_of_head(world: World) -> Expected:
    world.set_head(size=world.size + 1)
    # The tree head says that one more must be there.
    return Expected("leaf_missing", world.size)


def delete_head(world: World) -> Expected:
    world.do("DELETE FROM audit_tree_head")
    # There are more leaves than it says.
    return Expected("head_changed")


def _resign_checkpoint(world: World, signer: Signer) -> Expected:
    newest = _checkpoints(world)[-1]
    world.set_checkpoint(newest, note=signer.sign(newest, tree(world.hashes()[:newest])))
    return Expected("checkpoint_signature")


def sign_checkpoint_with_another_key(world: World) -> Expected:
    return _resign_checkpoint(world, Signer.other(world.sealed.signer.name))


def sign_checkpoint_wrongly(world: World) -> Expected:
    """With another key that claims to be the right one."""
    real = world.sealed.signer
    return _resign_checkpoint(world, Signer.other(real.name, real.id))


def sign_head_with_another_key(world: World) -> Expected:
    signer = Signer.other(world.sealed.signer.name)
    world.set_head(note=signer.sign(world.size, tree(world.hashes())))
    return Expected("checkpoint_signature")


TREE = [
    Tampering("change a leaf's hash", change_leaf_hash),
    Tampering("edit a record, its leaf", edit_with_leaf),
    Tampering("edit a record, its tile", edit_with_tile),
    Tampering("edit a record, its leaf, its tile", edit_with_leaf_and_tile),
    Tampering("edit a record, its leaf, all tiles", edit_with_leaf_and_tiles),
    Tampering("edit all that needs no key", edit_with_tree_head),
    Tampering("change a tile of level 0", change_tile),
    Tampering("change a tile of level 1", change_upper_tile),
    Tampering("delete a tile of level 0", delete_tile),
    Tampering("append to a tile of level 0", append_to_tile),
    Tampering("append a byte to a tile of level 0", append_a_byte_to_tile),
    Tampering("append to a tile of level 1", append_to_upper_tile),
    Tampering("delete the tile of level 1", delete_upper_tile),
    Tampering("change a checkpoint's root", change_root_of_checkpoint),
    Tampering("lower a checkpoint's size", lower_size_of_checkpoint),
    Tampering("raise a checkpoint's size", raise_size_of_checkpoint),
    Tampering("cut a checkpoint's note", cut_checkpoint),
    Tampering("an older checkpoint as the newest", replay_checkpoint),
    Tampering("an older checkpoint as the head's note", replay_note_of_head),
    Tampering("an older checkpoint as the tree head", replay_head),
    Tampering("lower the tree head's size", lower_size_of_head),
    Tampering("raise the tree head's size", raise_size_of_head),
    Tampering("delete the tree head", delete_head),
    Tampering("a checkpoint signed with another key", sign_checkpoint_with_another_key),
    Tampering("a checkpoint signed wrongly", sign_checkpoint_wrongly),
    Tampering("a tree head signed with another key", sign_head_with_another_key),
]
