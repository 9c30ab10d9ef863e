"""Records and leaves are taken out, put in, and moved."""

from __future__ import annotations

from verifier.leaf import SUBJECTS, Record, commitment, leaf_hash

from .stores import Id
from .world import Expected, Tampering, World

TEN = 10


def delete_record(world: World) -> Expected:
    index = world.pick()
    world.do("DELETE FROM audit_record WHERE id = ?", world.id(index))
    return Expected("record_missing", index, world.id(index))


def delete_leaf(world: World) -> Expected:
    index = world.pick()
    world.do("DELETE FROM audit_leaf WHERE leaf_index = ?", index)
    return Expected("leaf_missing", index)


def _delete_both(world: World, index: int) -> None:
    world.do("DELETE FROM audit_record WHERE id = ?", world.id(index))
    world.do("DELETE FROM audit_leaf WHERE leaf_index = ?", index)


def delete_record_and_leaf(world: World) -> Expected:
    index = world.pick()
    _delete_both(world, index)
    return Expected("leaf_missing", index)


def delete_and_close_the_gap(world: World) -> Expected:
    index = world.pick(within=range(world.size - 1))
    _delete_both(world, index)
    world.shift(index, -1)
    # The next one has its place.
    return Expected("record_replaced", index, world.id(index + 1))


def delete_last_ten(world: World) -> Expected:
    for index in range(world.size - TEN, world.size):
        _delete_both(world, index)
    # The tree head says that they must be there.
    return Expected("leaf_missing", world.size - TEN)


def delete_last_ten_records(world: World) -> Expected:
    first = world.size - TEN
    for index in range(first, world.size):
        world.do("DELETE FROM audit_record WHERE id = ?", world.id(index))
    return Expected("record_missing", first, world.id(first))


def swap_record_ids(world: World) -> Expected:
    """Two leaves name each other's record."""
    first, second = world.pair()
    sql = "UPDATE audit_leaf SET record_id = ? WHERE leaf_index = ?"
    # No two may have the same one meanwhile.
    world.do(sql, Id(world.chance.randbytes(16)), first)
    world.do(sql, world.id(first), second)
    world.do(sql, world.id(second), first)
    # Its hash and its tile agree, and the record that it names has another.
    return Expected("record_changed", first, world.id(second))


def swap_leaves(world: World) -> Expected:
    first, second = world.pair()
    world.do("DELETE FROM audit_leaf WHERE leaf_index IN (?, ?)", first, second)
    world.insert_leaf(first, world.id(second), world.leaf(second).hash)
    world.insert_leaf(second, world.id(first), world.leaf(first).hash)
    # Row and record agree, but not with the tile, whose tree was signed.
    return Expected("record_replaced", first, world.id(second))


def swap_records(world: World) -> Expected:
    """Two records have each other's id."""
    first, second = world.pair()
    sql = "UPDATE audit_record SET id = ? WHERE id = ?"
    meanwhile = Id(world.chance.randbytes(16))
    world.do(sql, meanwhile, world.id(first))
    world.do(sql, world.id(first), world.id(second))
    world.do(sql, world.id(second), meanwhile)
    return Expected("record_changed", first, world.id(first))


def forged(world: World, like: int) -> tuple[Id, bytes]:
    """A record that was never made, all but sealed, and the hash that its leaf would have."""
    was = world.record(like).fields
    # In the same month, so that Postgres keeps it beside the other.
    made = Id(world.id(like)[:6] + world.chance.randbytes(10))
    world.insert_like(like, id=made, preference="disabled")
    hash_ = leaf_hash(Record({**was, "id": made, "preference": "disabled"}))
    assert hash_ is not None
    return made, hash_


def insert_among_sealed(world: World) -> Expected:
    index = world.pick(within=range(world.size - 1))
    record_id, hash_ = forged(world, index)
    world.shift(index, 1)
    world.insert_leaf(index, record_id, hash_)
    return Expected("record_replaced", index, record_id)


def replace(world: World) -> Expected:
    """Another record, with another id, where one was sealed."""
    index = world.pick()
    record_id, hash_ = forged(world, index)
    _delete_both(world, index)
    world.insert_leaf(index, record_id, hash_)
    return Expected("record_replaced", index, record_id)


def append(world: World) -> Expected:
    """One more leaf, of which neither the tiles nor the tree head know."""
    record_id, hash_ = forged(world, world.pick())
    world.insert_leaf(world.size, record_id, hash_)
    # The leaf itself is what its record makes it.
    return Expected("head_changed")


def insert_before_all(world: World) -> Expected:
    record_id, hash_ = forged(world, world.pick())
    world.insert_leaf(-1, record_id, hash_)
    # From 0 on, all is well; and there is one more than the tree head says.
    return Expected("head_changed")


def renumber_with_gap(world: World) -> Expected:
    middle = world.size // 2
    world.shift(middle, 1)
    return Expected("leaf_missing", middle)


def renumber_without_gap(world: World) -> Expected:
    """The last leaf comes into the middle, and the others after it."""
    middle = world.size // 2
    world.shift(middle, 1)
    world.do("UPDATE audit_leaf SET leaf_index = ? WHERE leaf_index = ?", middle, world.size)
    return Expected("record_replaced", middle, world.id(world.size - 1))


def swap_commitments(world: World) -> Expected:
    first, second = world.pair()
    subject = world.chance.choice(list(SUBJECTS))
    _swap(world, first, second, (f"{subject}_commitment",))
    return Expected("record_changed", first, world.id(first))


def swap_subjects(world: World) -> Expected:
    """With the fields and the salts, so that each fits its commitment."""
    first, second = world.pair()
    subject = world.chance.choice(list(SUBJECTS))
    columns = (f"{subject}_commitment", f"{subject}_salt", *SUBJECTS[subject])
    _swap(world, first, second, columns)
    return Expected("record_changed", first, world.id(first))


def _swap(world: World, first: int, second: int, columns: tuple[str, ...]) -> None:
    for to, of in ((first, second), (second, first)):
        world.set(to, **{column: world.record(of).fields[column] for column in columns})


def commit_anew(world: World) -> Expected:
    """Another user, with a commitment that fits."""
    index = world.pick()
    salt = world.chance.randbytes(16)
    fields = {**world.record(index).fields, "claimed_user": "@nobody:example.org"}
    made = commitment("claimed", salt, fields)
    world.set(index, claimed_user=fields["claimed_user"], claimed_salt=salt, claimed_commitment=made)
    return Expected("record_changed", index, world.id(index))


def _newest(world: World) -> int:
    """The newest `stored_at` among the sealed."""
    return max(int(world.record(index).fields["stored_at"]) for index in range(world.size))


def _forged_unsealed(world: World, stored_at: int) -> Id:
    # Of an exchange that has its outcome: it stays ended.
    like = world.pick(lambda record: record.fields["phase"] == "intent")
    made = world.id(like)[:6] + world.chance.randbytes(10)
    world.insert_like(like, id=made, stored_at=stored_at)
    return Id(made)


def unsealed(world: World) -> Expected:
    """It is as any that waits to be sealed: nobody could tell that it is forged."""
    _forged_unsealed(world, _newest(world) - 59_000_000)
    return Expected(None, unsealed=1)


def left_out(world: World) -> Expected:
    record_id = _forged_unsealed(world, _newest(world) - 60_000_001)
    return Expected("left_out", None, record_id, unsealed=1)


ROWS = [
    Tampering("delete a record", delete_record),
    Tampering("delete a leaf", delete_leaf),
    Tampering("delete a record with its leaf", delete_record_and_leaf),
    Tampering("delete both, and close the gap", delete_and_close_the_gap),
    Tampering("delete the last ten", delete_last_ten),
    Tampering("delete the last ten records alone", delete_last_ten_records),
    Tampering("swap the records of two leaves", swap_record_ids),
    Tampering("swap two leaves", swap_leaves),
    Tampering("swap the ids of two records", swap_records),
    Tampering("insert a record with its leaf", insert_among_sealed),
    Tampering("replace a record and its leaf", replace),
    Tampering("append a record with its leaf", append),
    Tampering("put a leaf before the first", insert_before_all),
    Tampering("renumber from the middle, with a gap", renumber_with_gap),
    Tampering("renumber from the middle, without", renumber_without_gap),
    Tampering("swap two commitments", swap_commitments),
    Tampering("swap two with fields and salts", swap_subjects),
    Tampering("another user, commitment and salt", commit_anew),
    Tampering("a forged record, not sealed", unsealed),
    Tampering("a forged record, not sealed, a minute old", left_out),
]
