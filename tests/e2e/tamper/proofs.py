"""Filtered exports and proofs are changed: each line proves itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .exports import another_key
from .papers import Forgery, Paper
from .world import Expected


def _some(paper: Paper) -> tuple[int, int]:
    """A line of a filtered export, and its leaf."""
    place = paper.chance.randrange(len(paper.lines) - 1)
    return place, paper.of(place)["leaf_index"]


def _leaves(paper: Paper) -> set[int]:
    """Of all lines of a filtered export."""
    return {paper.of(place)["leaf_index"] for place in range(len(paper.lines) - 1)}


def change_filtered_field(paper: Paper) -> Expected:
    place, index = _some(paper)
    paper.change(place, preference="never")
    return Expected("record_changed", index, paper.id(place))


def change_filtered_path(paper: Paper) -> Expected:
    place, index = _some(paper)
    path = paper.of(place)["inclusion"]
    path[paper.chance.randrange(len(path))] = paper.chance.randbytes(32).hex()
    paper.change(place, inclusion=path)
    return Expected("inclusion_wrong", index, paper.id(place))


def change_filtered_index(paper: Paper) -> Expected:
    """It was sealed somewhere else."""
    place, _ = _some(paper)
    other = paper.chance.choice(sorted(set(range(paper.size)) - _leaves(paper)))
    paper.change(place, leaf_index=other)
    return Expected("inclusion_wrong", other, paper.id(place))


def remove_filtered_path(paper: Paper) -> Expected:
    place, index = _some(paper)
    paper.change(place, inclusion=None)
    return Expected("inclusion_wrong", index, paper.id(place))


def remove_filtered_line(paper: Paper) -> Expected:
    """The manifest counts it. If it did not, nobody could tell: that is not proved."""
    del paper.lines[_some(paper)[0]]
    return Expected("export_cut")


def older_filtered_checkpoint(paper: Paper) -> Expected:
    """No path leads to its root, that of the first leaf neither."""
    paper.say(checkpoint=paper.manifest["checkpoints"][0])
    return Expected("inclusion_wrong", min(_leaves(paper)))


def call_it_whole(paper: Paper) -> Expected:
    """The first leaf is one of those that the filter left out."""
    assert 0 not in _leaves(paper)
    paper.say(filter=None)
    return Expected("leaf_missing", 0)


def _change_proof(paper: Paper, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Changes a record of the proof; returns it as it was."""
    proof = paper.of(0)
    record = paper.chance.choice(proof["proof"]["records"])
    was = dict(record)
    change(record)
    paper.put(0, proof)
    return was


def change_proved_field(paper: Paper) -> Expected:
    was = _change_proof(paper, lambda record: record.update(preference="never"))
    return Expected("record_changed", was["leaf_index"], _id(was))


def change_proved_path(paper: Paper) -> Expected:
    was = _change_proof(paper, lambda record: record["inclusion"].reverse())
    return Expected("inclusion_wrong", was["leaf_index"], _id(was))


def another_key_in_proof(paper: Paper) -> Expected:
    proof = paper.of(0)
    proof["proof"]["checkpoint"] = paper.sign_with_another_key(proof["proof"]["checkpoint"])
    paper.put(0, proof)
    return Expected("checkpoint_signature")


def _id(line: dict[str, Any]) -> bytes:
    return bytes.fromhex(line["id"].replace("-", ""))


PROOFS = [
    Forgery("call a filtered export whole", "filtered", call_it_whole),
    Forgery("filtered: change a field", "filtered", change_filtered_field),
    Forgery("filtered: change an audit path", "filtered", change_filtered_path),
    Forgery("filtered: change a leaf index", "filtered", change_filtered_index),
    Forgery("filtered: remove an audit path", "filtered", remove_filtered_path),
    Forgery("filtered: remove a line", "filtered", remove_filtered_line),
    Forgery("filtered: an older checkpoint", "filtered", older_filtered_checkpoint),
    Forgery("filtered: a checkpoint by another key", "filtered", another_key),
    Forgery("proof: change a field", "proof", change_proved_field),
    Forgery("proof: change an audit path", "proof", change_proved_path),
    Forgery("proof: a checkpoint by another key", "proof", another_key_in_proof),
]
