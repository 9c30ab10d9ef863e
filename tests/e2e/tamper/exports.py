"""A whole export is changed."""

from __future__ import annotations

from verifier.leaf import COLUMNS
from verifier.notes import Checkpoint

from .papers import Forgery, Paper
from .world import Expected

HUNDRED = 100


def cut_manifest(paper: Paper) -> Expected:
    paper.lines.pop()
    return Expected("export_cut")


def cut_half(paper: Paper) -> Expected:
    del paper.lines[len(paper.lines) // 2 :]
    return Expected("export_cut")


def cut_within_manifest(paper: Paper) -> Expected:
    paper.lines[-1] = paper.lines[-1][: len(paper.lines[-1]) // 2]
    return Expected("export_cut")


def cut_hundred(paper: Paper) -> Expected:
    """With what comes after the leaves. The manifest stays, and counts them."""
    del paper.lines[paper.size - HUNDRED : -1]
    return Expected("leaf_missing", paper.size - HUNDRED)


def count_fewer(paper: Paper) -> Expected:
    paper.say(records=paper.manifest["records"] - 1)
    return Expected("export_cut")


def remove_line(paper: Paper) -> Expected:
    place = paper.place()
    del paper.lines[place]
    return Expected("leaf_missing", place)


def remove_line_and_count(paper: Paper) -> Expected:
    place = paper.place()
    del paper.lines[place]
    paper.say(records=paper.manifest["records"] - 1, sealed=paper.manifest["sealed"] - 1)
    return Expected("leaf_missing", place)


def remove_line_and_renumber(paper: Paper) -> Expected:
    """Every line stands in its place; only the last one is missing."""
    place = paper.chance.randrange(paper.size - HUNDRED, paper.size)
    del paper.lines[place]
    for each in range(place, paper.size - 1):
        paper.change(each, leaf_index=each)
    paper.say(records=paper.manifest["records"] - 1, sealed=paper.manifest["sealed"] - 1)
    return Expected("leaf_missing", paper.size - 1)


def double_line(paper: Paper) -> Expected:
    place = paper.place()
    paper.lines.insert(place, paper.lines[place])
    # Where the next one should stand, it stands again.
    return Expected("export_order", place + 1)


def swap_lines(paper: Paper) -> Expected:
    first, second = sorted(paper.chance.sample(range(paper.size), 2))
    paper.lines[first], paper.lines[second] = paper.lines[second], paper.lines[first]
    return Expected("export_order", first)


def move_line(paper: Paper) -> Expected:
    place = paper.chance.randrange(paper.size - 1)
    paper.lines.insert(paper.size - 1, paper.lines.pop(place))
    return Expected("export_order", place)


def move_unsealed(paper: Paper) -> Expected:
    """The record of the export itself, which nobody has sealed yet, comes before all that are."""
    paper.lines.insert(0, paper.lines.pop(paper.size))
    return Expected("export_order", 0)


def change_field(paper: Paper) -> Expected:
    place = paper.place()
    paper.change(place, preference="never")
    return Expected("record_changed", place, paper.id(place))


def change_user(paper: Paper) -> Expected:
    """It is no part of the leaf, and does not fit its commitment."""
    place = paper.place()
    paper.change(place, claimed_user="@nobody:example.org")
    return Expected("record_changed", place, paper.id(place))


def add_field(paper: Paper) -> Expected:
    """Nothing has sealed it."""
    place = paper.place()
    paper.change(place, remark="agreed")
    return Expected("record_changed", place, paper.id(place))


def say_twice(paper: Paper) -> Expected:
    """Two readers might each believe another one."""
    place = paper.place()
    paper.lines[place] = paper.lines[place][:-1] + ',"preference":"never"}'
    return Expected("record_changed", place)


def garble_line(paper: Paper) -> Expected:
    place = paper.place()
    paper.lines[place] = paper.lines[place][: len(paper.lines[place]) // 2]
    return Expected("record_changed", place)


def change_hash(paper: Paper) -> Expected:
    place = paper.place()
    paper.change(place, leaf_hash=paper.chance.randbytes(32).hex())
    # The records make the tree that was signed.
    return Expected("leaf_hash_changed", place, paper.id(place))


def change_field_and_hash(paper: Paper) -> Expected:
    place = paper.place()
    paper.change(place, preference="never", leaf_hash=paper.record_hash(place, preference="never"))
    return Expected("tree_changed")


def remove_salt(paper: Paper) -> Expected:
    place = paper.place()
    paper.change(place, client_salt=None)
    return Expected("erased", place, paper.id(place))


def remove_record(paper: Paper) -> Expected:
    """As if the database had had nothing but the leaf."""
    place = paper.place()
    paper.change(place, **{name: None for name in COLUMNS if name != "id"})
    return Expected("record_missing", place, paper.id(place))


def older_checkpoint(paper: Paper) -> Expected:
    paper.say(checkpoint=paper.manifest["checkpoints"][-1])
    # The manifest says that it has more leaves.
    return Expected("checkpoint_changed")


def older_checkpoint_with_size(paper: Paper) -> Expected:
    """The lines after its last leaf are proved by nothing, and say that they were sealed."""
    older = paper.manifest["checkpoints"][-1]
    size = Checkpoint.parse(older).size
    paper.say(checkpoint=older, complete_up_to=size)
    return Expected("export_order", size)


def no_checkpoint(paper: Paper) -> Expected:
    paper.say(checkpoint=None, checkpoints=[])
    return Expected("checkpoint_changed")


def another_key(paper: Paper) -> Expected:
    paper.say(checkpoint=paper.sign_with_another_key(paper.manifest["checkpoint"]))
    return Expected("checkpoint_signature")


def call_it_filtered(paper: Paper) -> Expected:
    """A filtered export would have to prove each line."""
    paper.say(filter={})
    return Expected("inclusion_wrong", 0, paper.id(0))


EXPORTS = [
    Forgery("cut the export's manifest", "whole", cut_manifest),
    Forgery("cut the export in half", "whole", cut_half),
    Forgery("cut the export within its manifest", "whole", cut_within_manifest),
    Forgery("cut the last hundred lines", "whole", cut_hundred),
    Forgery("count one line fewer", "whole", count_fewer),
    Forgery("remove a line", "whole", remove_line),
    Forgery("remove a line, and count one fewer", "whole", remove_line_and_count),
    Forgery("remove a line, and renumber the others", "whole", remove_line_and_renumber),
    Forgery("double a line", "whole", double_line),
    Forgery("swap two lines", "whole", swap_lines),
    Forgery("move a line to the end", "whole", move_line),
    Forgery("move what is not sealed to the front", "whole", move_unsealed),
    Forgery("change a field in a line", "whole", change_field),
    Forgery("change a user in a line", "whole", change_user),
    Forgery("add a field to a line", "whole", add_field),
    Forgery("say a field of a line twice", "whole", say_twice),
    Forgery("cut a line in half", "whole", garble_line),
    Forgery("change a leaf's hash in a line", "whole", change_hash),
    Forgery("change a field, and the hash", "whole", change_field_and_hash),
    Forgery("remove a salt from a line", "whole", remove_salt),
    Forgery("remove all but the leaf from a line", "whole", remove_record),
    Forgery("an older checkpoint in the manifest", "whole", older_checkpoint),
    Forgery("an older checkpoint with its size", "whole", older_checkpoint_with_size),
    Forgery("no checkpoint in the manifest", "whole", no_checkpoint),
    Forgery("a manifest's checkpoint by another key", "whole", another_key),
    Forgery("call a whole export filtered", "whole", call_it_filtered),
]
