"""Identifiers and citations over REST, for anybody."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS
from tests.nodes import Town, town
from tests.publication.library import invalidate, publish, publish_next, release


@dataclass
class Shelf:
    """A node with a withdrawn dataset, its valid successor, and one that is only released."""

    town: Town
    withdrawn: str
    valid: str
    released: str


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """The datasets that the tests of this module look at."""
    with town(tmp_path_factory.mktemp("publication") / "home") as made:
        first = publish(made)
        second = publish_next(made, first)
        invalidate(made, first)
        third = release(made, scans=[]).dataset_id
        yield Shelf(made, first, second, third)


def test_anybody_may_have_a_citation(shelf: Shelf) -> None:
    answer = shelf.town.client(ANONYMOUS).get(f"/api/v1/datasets/{shelf.valid}/citation")
    assert answer.status_code == 200
    assert answer.json()["dataset"]["id"] == shelf.valid


@pytest.mark.parametrize("role", [None, *Role])
def test_what_is_not_published_has_no_citation_for_anybody(shelf: Shelf, role: Role | None) -> None:
    actor = ANONYMOUS if role is None else shelf.town.people["LUNG", role]
    answer = shelf.town.client(actor).get(f"/api/v1/datasets/{shelf.released}/citation")
    assert answer.status_code == 404
    assert answer.json()["code"] == "dataset-not-found"


def test_an_identifier_is_resolved_and_a_tombstone_names_its_successor(shelf: Shelf) -> None:
    client = shelf.town.client(ANONYMOUS)
    identifier = shelf.town.node.publication.show(shelf.withdrawn).identifier
    found = client.get(f"/api/v1/identifiers/{identifier}").json()
    assert (found["datasetId"], found["state"]) == (shelf.withdrawn, "invalidated")
    assert found["successor"] == f"http://127.0.0.1:8080/datasets/{shelf.valid}"
    assert found["identifier"] == identifier


@pytest.mark.parametrize("text", ["albufera:test-node/none", "a\x00b", "%", "é" * 90, "../../x"])
def test_what_is_no_identifier_is_not_found(shelf: Shelf, text: str) -> None:
    answer = shelf.town.client(ANONYMOUS).get(f"/api/v1/identifiers/{quote(text, safe='')}")
    assert answer.status_code == 404


@pytest.mark.parametrize("text", ["ds-" + "0" * 26, "a\x00b", "x", "ds-%00"])
def test_what_is_no_dataset_is_not_found(shelf: Shelf, text: str) -> None:
    path = f"/api/v1/datasets/{quote(text, safe='')}/citation"
    assert shelf.town.client(ANONYMOUS).get(path).status_code == 404


def test_too_long_an_identifier_is_refused(shelf: Shelf) -> None:
    answer = shelf.town.client(ANONYMOUS).get("/api/v1/identifiers/" + "x" * 5000)
    assert answer.status_code == 422


def test_a_home_without_datasets_answers(tmp_path: Path) -> None:
    with town(tmp_path / "home") as empty:
        assert empty.client(ANONYMOUS).get("/sitemap.xml").status_code == 200
