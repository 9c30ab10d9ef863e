"""The Python verifier itself, against answers that others have given."""

from __future__ import annotations

import base64
import hashlib

import pytest

from support.gateway import REPOSITORY
from verifier import merkle
from verifier.export import read_line
from verifier.leaf import erased, leaf_bytes, unfit
from verifier.notes import Key, notes_in
from verifier.values import Malformed, encode, parse

# Of the reference implementation of RFC 6962: the leaves, and the roots of the first of them.
# https://github.com/google/certificate-transparency/blob/master/cpp/merkletree/merkle_tree_test.cc
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

# https://pkg.go.dev/golang.org/x/mod/sumdb/note
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


def test_trees_have_the_roots_of_rfc_6962() -> None:
    leaves = [hashlib.sha256(b"\0" + bytes.fromhex(each)).digest() for each in INPUTS]
    found = merkle.roots(leaves, range(len(leaves) + 1))
    assert found[0] == hashlib.sha256(b"").digest()
    assert [found[size].hex() for size in range(1, len(leaves) + 1)] == ROOTS


def path(leaves: list[bytes], index: int) -> list[bytes]:
    """As RFC 6962, section 2.1.1, defines it."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = leaves[:split], leaves[split:]
    mine, others, at = (left, right, index) if index < split else (right, left, index - split)
    return [*path(mine, at), merkle.roots(others, [len(others)])[len(others)]]


def test_a_path_leads_from_its_leaf_to_its_root_and_from_nowhere_else() -> None:
    for size in range(1, 40):
        leaves = [hashlib.sha256(bytes([each])).digest() for each in range(size)]
        root = merkle.roots(leaves, [size])[size]
        for index in range(size):
            proof = path(leaves, index)
            for other in range(size):
                assert merkle.leads_to(root, leaves[index], other, size, proof) == (other == index)
            assert not merkle.leads_to(root, leaves[index], index, size, [*proof, root])
            assert not proof or not merkle.leads_to(root, leaves[index], index, size, proof[:-1])


def test_tiles_hold_the_roots_of_complete_subtrees() -> None:
    leaves = [hashlib.sha256(bytes([each % 251])).digest() for each in range(1000)]
    made = merkle.tiles(leaves)
    assert set(made) == {(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)}
    assert len(made[0, 3]) == (1000 - 3 * 256) * 32
    assert made[1, 0] == b"".join(merkle.roots(leaves[at : at + 256], [256])[256] for at in (0, 256, 512))


def test_a_note_is_signed_as_go_signs_it() -> None:
    key, signature = Key.parse(KEY), base64.b64decode(SIGNATURE)
    assert (key.name, signature[:4]) == ("PeterNeumann", key.id)
    assert key.signed(TEXT, signature[4:])
    assert not key.signed(TEXT.replace("problem", "question"), signature[4:])


def test_a_file_of_notes_is_taken_apart() -> None:
    first, second = "a\n1\nAA==\n\n— a AAAA\n", "a\n2\nAA==\n\n— a AAAA\n— b AAAA\n"
    assert notes_in(first + second) == [first, second]
    assert notes_in(f"{first}\n{second}") == [first, second]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("null", "00"),
        ('"é"', "0100000002c3a9"),
        ("[true,false,[]]", "020000000306050200000000"),
        ("-1", "03ffffffffffffffff"),
        ("9223372036854775807", "037fffffffffffffff"),
        ("9223372036854775808", "0443e0000000000000"),
        ("1.0", "043ff0000000000000"),
        ("-0.0", "040000000000000000"),
        ("-0", "030000000000000000"),
        ("1e2", "044059000000000000"),
        ('{"b":null,"a":[],"":1}', "07000000030100000000030000000000000001" "0100000001610200000000" "01000000016200"),
        ('{"é":true,"z":true,"aa":true}', "0700000003" "0100000002616106" "01000000017a06" "0100000002c3a906"),
    ],
)  # fmt: skip
def test_values_are_written_as_the_page_says(text: str, written: str) -> None:
    assert encode(parse(text)).hex() == written


def test_the_vectors_are_leaves_as_the_page_says() -> None:
    text = (REPOSITORY / "deploy" / "vectors.json").read_text()
    vectors = parse(text)
    assert len(vectors) > 5
    for vector in vectors:
        record = read_line(vector["record"]).record
        assert record is not None
        assert not record.flaws
        assert leaf_bytes(record.fields).hex() == vector["leaf_bytes"]
        assert hashlib.sha256(b"\0" + leaf_bytes(record.fields)).hexdigest() == vector["leaf_hash"]
        assert (unfit(record), erased(record)) == (None, None)


@pytest.mark.parametrize("text", ["", "NaN", "1e999", '{"a":1,"a":1}', "[" * 100_000, '"\x01"'])
def test_what_is_no_json_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_a_lone_surrogate_cannot_be_written() -> None:
    with pytest.raises(Malformed):
        encode(parse('"\\ud800"'))
