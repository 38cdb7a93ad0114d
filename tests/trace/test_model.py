"""Entries and checkpoints: the bytes that are hashed and signed, and what is refused."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from albufera.kernel import merkle
from albufera.kernel.signing import SigningKey, sign_note
from albufera.trace.model import Checkpoint, Entry, InvalidCheckpoint, InvalidEntry

ORIGIN = "node.example/log"
KEY = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


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


def checkpoint(size: int) -> str:
    return Checkpoint(ORIGIN, size, merkle.root(LEAVES[:size])).sign(KEY)


# --- entries -----------------------------------------------------------------------------------


def test_the_leaf_of_an_entry_recomputed_by_hand() -> None:
    written = (
        b'{"actor":"us-1","at":"2026-11-23T12:00:03.000Z","event":"ev-00000000000000000000000003",'
        b'"index":3,"project":"pr-1","schema":"albufera-trace/1","subjects":{"dataset_id":"ds-3",'
        b'"manifest":"' + b"ab" * 32 + b'","series":3},"verb":"dataset.released"}'
    )
    assert ENTRIES[3].leaf_bytes() == written
    assert ENTRIES[3].leaf_hash() == hashlib.sha256(b"\x00" + written).digest()


def test_an_entry_is_read_back_from_its_document() -> None:
    for one in (ENTRIES[0], replace(ENTRIES[1], project_id=None, actor_id="", subjects={})):
        assert Entry.parse(json.loads(one.leaf_bytes())) == one


def test_an_entry_does_not_change_with_the_mapping_it_was_made_of() -> None:
    subjects: dict[str, str | int] = {"dataset_id": "ds-1"}
    one = replace(ENTRIES[0], subjects=subjects)
    before = one.leaf_hash()
    subjects["dataset_id"] = "ds-2"
    assert one.leaf_hash() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("index", -1),
        ("index", True),
        ("index", 1.0),
        ("index", 2**53),
        ("event_id", ""),
        ("verb", ""),
        ("verb", None),
        ("at", "2026-11-23"),
        ("at", "2026-11-31T12:00:00.000Z"),
        ("at", "2026-11-23T12:00:00.000+00:00"),
        ("at", "２026-11-23T12:00:00.000Z"),
        ("actor_id", "Jane Doe"),
        ("project_id", "proyecto-ñ"),
        ("subjects", []),
        ("subjects", {"note": "found a lesion"}),
        ("subjects", {"note": "x" * 257}),
        ("subjects", {"a name": "x"}),
        ("subjects", {"count": 2**53}),
        ("subjects", {"count": 0.5}),
        ("subjects", {"flag": True}),
        ("subjects", {"nested": {}}),
        ("subjects", {1: "x"}),
        ("subjects", {f"s{number}": "x" for number in range(65)}),
    ],
)
def test_what_the_log_does_not_take(field: str, value: object) -> None:
    arguments: dict[str, Any] = {**vars(ENTRIES[0]), field: value}
    with pytest.raises(InvalidEntry):
        Entry(**arguments)


# --- checkpoints -------------------------------------------------------------------------------


def test_a_checkpoint_has_the_form_of_c2sp() -> None:
    # the example in the C2SP tlog-checkpoint specification
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    read = Checkpoint.parse(text)
    assert (read.origin, read.size) == ("example.com/behind-the-sofa", 20852163)
    assert read.root == base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    assert read.render() == text


def test_a_signed_checkpoint_opens_with_the_key_of_the_log() -> None:
    for size in (0, 1, 7):
        expected = Checkpoint(ORIGIN, size, merkle.root(LEAVES[:size]))
        assert Checkpoint.open(checkpoint(size), [KEY.verify_key]) == expected


def test_a_witness_does_not_stand_in_for_the_log() -> None:
    witness = SigningKey.generate("witness.example")
    text = Checkpoint(ORIGIN, 1, LEAVES[0]).render()
    with pytest.raises(InvalidCheckpoint):
        Checkpoint.open(sign_note(text, witness), [witness.verify_key, KEY.verify_key])
    with pytest.raises(InvalidCheckpoint, match="own name"):
        Checkpoint(ORIGIN, 1, LEAVES[0]).sign(witness)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log\n1\n{ROOT}",
        f"log\n01\n{ROOT}\n",
        f"log\n+1\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n1_0\n{ROOT}\n",
        f"log\n１\n{ROOT}\n",
        f"log\n{2**63}\n{ROOT}\n",
        f"log\n{'9' * 5000}\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"log\x00\n1\n{ROOT}\n",
        "log\n1\nQUJD\n",
        f"log\n1\n{ROOT[:-1]}\n",
        f"log\n1\n{ROOT}\nextension\n",
        f"log\n1\n{ROOT}\n\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidCheckpoint):
        Checkpoint.parse(text)
