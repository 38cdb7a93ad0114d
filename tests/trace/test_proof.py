"""Proof documents: what they say, and that nothing altered verifies."""

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from albufera.kernel import merkle
from albufera.kernel.canonical import canonical_bytes
from albufera.kernel.signing import SigningKey, VerifyKey, sign_note
from albufera.trace.model import Checkpoint, Entry
from albufera.trace.proof import MAX_PROOF_BYTES, InvalidProof, Proof, read_proof, verify

ORIGIN = "node.example/log"
KEY = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STRANGER = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
VKEY = KEY.verify_key.vkey


def entry(index: int) -> Entry:
    return Entry(
        index=index,
        event_id=f"ev-{index:026d}",
        verb="dataset.released",
        at=f"2026-11-23T12:00:{index:02d}.000Z",
        actor_id="us-1",
        project_id="pr-1",
        subjects={"dataset_id": f"ds-{index}", "manifest": "ab" * 32, "series": index},
    )


ENTRIES = [entry(index) for index in range(7)]
LEAVES = [one.leaf_hash() for one in ENTRIES]


def checkpoint(size: int, key: SigningKey = KEY) -> str:
    return Checkpoint(ORIGIN, size, merkle.root(LEAVES[:size])).sign(key)


def proof(index: int, size: int) -> dict[str, Any]:
    path = merkle.inclusion_proof(size, index, merkle.nodes_of(LEAVES))
    made = Proof(ENTRIES[index], size, tuple(path), checkpoint(size), VKEY)
    return json.loads(json.dumps(made.document()))  # type: ignore[no-any-return]


ROOT = base64.b64encode(bytes(32)).decode()


# --- proofs that hold --------------------------------------------------------------------------


def test_every_proof_of_a_log_verifies() -> None:
    for size in range(1, 8):
        for index in range(size):
            verdict = verify(proof(index, size), VKEY)
            assert verdict.entry == ENTRIES[index]
            assert verdict.checkpoint.size == size


def test_the_verdict_says_whose_key_it_is() -> None:
    fingerprint = KEY.verify_key.fingerprint
    alone, trusted = verify(proof(2, 5), None), verify(proof(2, 5), f"{VKEY}\n")
    assert not alone.trusted
    assert "the key is the one inside the file" in alone.unproven[0]
    assert fingerprint in alone.unproven[0]
    assert not any(fingerprint in line for line in alone.proven)
    assert trusted.trusted
    assert not any("inside the file" in line for line in trusted.unproven)
    assert fingerprint in trusted.proven[-1]
    assert "number 2, counted from 0, among the 5 entries" in trusted.proven[1]


def test_a_proof_reads_back_from_its_bytes() -> None:
    written = canonical_bytes(proof(2, 5))
    assert verify(read_proof(written), VKEY).entry == ENTRIES[2]
    assert Proof.parse(read_proof(written)).document() == proof(2, 5)


def test_the_signature_of_a_witness_does_no_harm() -> None:
    document = proof(2, 5)
    witness = SigningKey.generate("witness.example")
    text = Checkpoint(ORIGIN, 5, merkle.root(LEAVES[:5])).render()
    document["checkpoint"] += sign_note(text, witness).rsplit("\n\n", 1)[1]
    assert verify(document, VKEY).entry == ENTRIES[2]


# --- proofs that do not ------------------------------------------------------------------------


def test_a_forger_with_a_key_of_his_own_is_found_out_by_the_trusted_key() -> None:
    document = proof(2, 5)
    document["checkpoint"] = checkpoint(5, STRANGER)
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(document, None)
    document["logKey"] = STRANGER.verify_key.vkey
    assert "inside the file" in verify(document, None).unproven[0]
    with pytest.raises(InvalidProof, match="not the key that you trust"):
        verify(document, VKEY)


@pytest.mark.parametrize("trusted", ["", "nonsense", VKEY[:-1], "\ud800", VKEY + "x"])
def test_a_trusted_key_that_cannot_be_read_is_said_so(trusted: str) -> None:
    with pytest.raises(InvalidProof, match="that you trust cannot be read"):
        verify(proof(2, 5), trusted)


def alter_entry(document: dict[str, Any]) -> None:
    document["entry"]["subjects"]["series"] += 1


def alter_both_indexes(document: dict[str, Any]) -> None:
    document["entry"]["index"] = document["leafIndex"] = 3


def alter_leaf_index(document: dict[str, Any]) -> None:
    document["leafIndex"] = 3


def alter_size(document: dict[str, Any]) -> None:
    document["treeSize"] = 6


def alter_size_and_checkpoint(document: dict[str, Any]) -> None:
    document["treeSize"], document["checkpoint"] = 6, checkpoint(6)


def alter_path(document: dict[str, Any]) -> None:
    document["inclusionPath"][0] = document["inclusionPath"][1]


def shorten_path(document: dict[str, Any]) -> None:
    document["inclusionPath"].pop()


def lengthen_path(document: dict[str, Any]) -> None:
    document["inclusionPath"] = [ROOT] * 64


def alter_checkpoint(document: dict[str, Any]) -> None:
    document["checkpoint"] = document["checkpoint"].replace("\n5\n", "\n6\n")


def alter_origin(document: dict[str, Any]) -> None:
    document["checkpoint"] = document["checkpoint"].replace("node.example", "node.exampla")


def alter_signature(document: dict[str, Any]) -> None:
    note: str = document["checkpoint"]
    document["checkpoint"] = note[:-10] + ("A" if note[-10] != "A" else "B") + note[-9:]


def replace_entry(document: dict[str, Any]) -> None:
    document["entry"] = ENTRIES[3].document() | {"index": 2}


def alter_format(document: dict[str, Any]) -> None:
    document["format"] = "albufera-proof/2"


def alter_schema(document: dict[str, Any]) -> None:
    document["entry"]["schema"] = "albufera-trace/2"


def add_field(document: dict[str, Any]) -> None:
    document["comment"] = "trust me"


def add_entry_field(document: dict[str, Any]) -> None:
    document["entry"]["comment"] = "trust me"


@pytest.mark.parametrize(
    "alter",
    [
        alter_entry,
        alter_both_indexes,
        alter_leaf_index,
        alter_size,
        alter_size_and_checkpoint,
        alter_path,
        shorten_path,
        lengthen_path,
        alter_checkpoint,
        alter_origin,
        alter_signature,
        replace_entry,
        alter_format,
        alter_schema,
        add_field,
        add_entry_field,
    ],
    ids=lambda alter: alter.__name__,
)
def test_an_altered_proof_does_not_verify(alter: Callable[[dict[str, Any]], None]) -> None:
    document = proof(2, 5)
    alter(document)
    for trusted in (None, VKEY):
        with pytest.raises(InvalidProof):
            verify(document, trusted)


GENUINE = proof(2, 7)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a document, as the keys and indexes that lead to it."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@st.composite
def mutated_texts(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    put = draw(st.text(st.characters(), max_size=2) | st.sampled_from(["\n", " ", "=", "A", "0"]))
    return text[:at] + put + text[at + draw(st.integers(0, 2)) :]


@st.composite
def mutated(draw: st.DrawFn) -> object:
    """The genuine proof with one place of it dropped, doubled, edited or replaced by anything."""
    document: Any = copy.deepcopy(GENUINE)
    path = draw(st.sampled_from([place for place in places(document) if place]))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    last, old = path[-1], parent[path[-1]]
    edits: list[st.SearchStrategy[object]] = [json_values]
    if isinstance(old, str):
        edits.append(mutated_texts(old))
    if isinstance(old, int):
        edits.append(st.integers(old - 3, old + 3))
    action = draw(st.sampled_from(["edit", "edit", "edit", "drop", "double", "whole"]))
    if action == "edit":
        parent[last] = draw(st.one_of(edits))
    elif action == "drop":
        del parent[last]
    elif action == "double" and isinstance(parent, list):
        parent.insert(int(last), old)
    elif action == "double":
        parent[draw(st.text())] = old
    else:
        document = draw(json_values)
    return document


def identical(one: object, other: object) -> bool:
    """Equality that tells 2 from 2.0 and 1 from True."""
    return repr(one) == repr(other)


@given(mutated())
def test_no_mutated_proof_verifies_or_crashes(document: object) -> None:
    if identical(document, GENUINE):
        return
    for trusted in (None, VKEY):
        with pytest.raises(InvalidProof):
            verify(document, trusted)


@given(st.data())
def test_no_mutated_file_verifies_or_crashes(data: st.DataObject) -> None:
    genuine = canonical_bytes(GENUINE)
    at = data.draw(st.integers(0, len(genuine) - 1))
    put = data.draw(st.binary(max_size=3))
    altered = genuine[:at] + put + genuine[at + data.draw(st.integers(0, 3)) :]
    try:
        document = read_proof(altered)
    except InvalidProof:
        return
    if not identical(sorted_deep(document), sorted_deep(GENUINE)):
        with pytest.raises(InvalidProof):
            verify(document, VKEY)


def sorted_deep(value: object) -> object:
    if isinstance(value, dict):
        return {key: sorted_deep(value[key]) for key in sorted(value)}
    return [sorted_deep(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"format":"albufera-proof/1","format":"albufera-proof/1"}',
        b" " * (MAX_PROOF_BYTES + 1),
        b"\xff\xfe",
    ],
    ids=["empty", "null", "deep", "duplicate", "long", "not text"],
)
def test_hostile_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidProof):
        verify(read_proof(data), None)


def test_the_key_in_a_proof_must_be_a_key() -> None:
    assert VerifyKey.parse(VKEY) == KEY.verify_key
    document = proof(2, 5)
    document["logKey"] = "nonsense"
    with pytest.raises(InvalidProof, match="in the proof cannot be read"):
        verify(document, None)
