"""A citation bundle: whole it holds, changed anywhere it does not."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from albufera.bootstrap.log_proofs import check_log_proof
from albufera.kernel.canonical import canonical_bytes, to_base64
from albufera.kernel.errors import Refusal
from albufera.kernel.signing import SigningKey
from albufera.publication.citation import (
    MAX_BUNDLE_BYTES,
    Verdict,
    read_bundle,
    verify_bundle,
)
from albufera.publication.model import CitationError
from tests.nodes import Town, town
from tests.publication.library import PROPERTIES, invalidate, publish, release, steward

FORGER = SigningKey.generate("test-node/node")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, str]]:
    """A node with a published dataset."""
    with town(tmp_path_factory.mktemp("citation") / "home") as here:
        yield here, publish(here)


@pytest.fixture(scope="module")
def bundle(made: tuple[Town, str]) -> dict[str, Any]:
    """Its citation bundle, as it is read from a file."""
    here, dataset_id = made
    content = json.dumps(here.node.publication.citation(dataset_id)).encode()
    found = read_bundle(content)
    assert isinstance(found, dict)
    return found


def check(bundle: object, key: str | None = None, log_key: str | None = None) -> Verdict:
    return verify_bundle(bundle, check_log_proof, key, log_key)


def places(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every leaf, and of every empty list or object."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    if not items:
        yield at
    for key, inner in items:
        yield from places(inner, (*at, key))


def changed(bundle: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    """A copy in which one value is another of the same kind."""
    other = copy.deepcopy(bundle)
    holder: Any = other
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = _another(holder[place[-1]])
    return other


def _another(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value[:-1] + ("A" if not value.endswith("A") else "B") if value else "x"
        case None:
            return "x"
        case list():
            return ["x"]
        case _:
            return {"x": 1}


def forged(bundle: dict[str, Any]) -> dict[str, Any]:
    """The bundle signed anew by somebody whose key bears the node's name."""
    content = {name: value for name, value in bundle.items() if name != "signature"}
    content["key"] = FORGER.verify_key.vkey
    signature = FORGER.sign(b"albufera-citation/1\0" + canonical_bytes(content))
    return {**content, "signature": to_base64(signature)}


def test_a_bundle_proves_identifier_root_and_properties(bundle: dict[str, Any]) -> None:
    verdict = check(bundle)
    assert verdict.identifier == bundle["dataset"]["identifier"]
    assert verdict.root == bundle["dataset"]["manifest"]["root"]
    assert verdict.name == PROPERTIES.name
    assert verdict.version == 1
    assert not verdict.trusted
    assert any("Compare SHA256:" in sentence for sentence in verdict.unproven)


def test_with_both_keys_brought_along_nothing_is_to_be_compared(
    made: tuple[Town, str], bundle: dict[str, Any]
) -> None:
    node = made[0].node
    verdict = check(bundle, node.publication.key.vkey, node.trace.key.vkey)
    assert verdict.trusted
    assert not any("Compare SHA256:" in sentence for sentence in verdict.unproven)


def test_every_changed_value_is_noticed(bundle: dict[str, Any]) -> None:
    found = list(places(bundle))
    assert len(found) > 60
    for place in found:
        with pytest.raises(CitationError):
            check(changed(bundle, place))


def test_every_missing_or_added_field_is_noticed(bundle: dict[str, Any]) -> None:
    for name in bundle:
        with pytest.raises(CitationError):
            check({key: value for key, value in bundle.items() if key != name})
    with pytest.raises(CitationError):
        check({**bundle, "more": 1})


@pytest.mark.parametrize(
    "place",
    [
        ("dataset", "id"), ("dataset", "identifier"), ("dataset", "version"),
        ("dataset", "manifest", "root"), ("dataset", "manifest", "sha256"),
        ("dataset", "properties", "name"), ("dataset", "properties", "description"),
        ("dataset", "properties", "purpose"), ("dataset", "properties", "licence"),
        ("dataset", "properties", "contact"),
    ],
)  # fmt: skip
def test_the_log_contradicts_a_forger_who_signs_anew(
    bundle: dict[str, Any], place: tuple[str, ...]
) -> None:
    with pytest.raises(CitationError, match="log's entry"):
        check(forged(changed(bundle, place)))


def test_a_forger_is_known_by_the_key(made: tuple[Town, str], bundle: dict[str, Any]) -> None:
    check(forged(bundle))  # without a key brought along it cannot be known
    with pytest.raises(CitationError, match="not the key"):
        check(forged(bundle), made[0].node.publication.key.vkey)
    with pytest.raises(CitationError):
        check(bundle, None, FORGER.verify_key.vkey)
    with pytest.raises(CitationError):
        check(bundle, "no key at all")


def test_proofs_of_other_events_or_exchanged_ones_are_refused(bundle: dict[str, Any]) -> None:
    proofs = bundle["proofs"]
    exchanged = {**bundle, "proofs": dict(zip(proofs, reversed(proofs.values()), strict=True))}
    with pytest.raises(CitationError, match="is of the event"):
        check(forged(exchanged))
    same = {**bundle, "proofs": dict.fromkeys(proofs, proofs["released"])}
    with pytest.raises(CitationError, match="is of the event"):
        check(forged(same))


@pytest.mark.parametrize(
    "dataset", [None, [], "x", {}, {"properties": {}}, {"id": 1, "identifier": None}]
)
def test_a_dataset_of_another_shape_is_refused(bundle: dict[str, Any], dataset: Any) -> None:
    with pytest.raises(CitationError):
        check(forged({**bundle, "dataset": dataset}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":1,"a":2}',
        b" " * MAX_BUNDLE_BYTES + b"1",
    ],
)
def test_hostile_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(CitationError):
        check(read_bundle(content))


def test_the_bundle_of_a_tombstone_holds_and_says_so(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        dataset_id = publish(here)
        invalidate(here, dataset_id)
        found = here.node.publication.citation(dataset_id)
        assert found["dataset"]["state"] == "invalidated"
        assert "[Withdrawn]" in check(json.loads(json.dumps(found))).citation


def test_before_the_log_has_it_there_is_no_bundle(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        dataset_id = release(here).dataset_id
        with pytest.raises(Refusal) as caught:
            here.node.publication.citation(dataset_id)
        assert caught.value.code == "dataset-not-found"
        here.node.lifecycle.publish(steward(here), dataset_id)
        with pytest.raises(Refusal) as caught:
            here.node.publication.citation(dataset_id)
        assert caught.value.code == "citation-not-ready"
