"""The pages of the catalogue and of datasets."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from albufera.catalogue.model import Dataset, Properties
from albufera.catalogue.query.language import parse
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS
from tests.catalogue.lakes import cohort, fill
from tests.nodes import Town, town

HTML = {"accept": "text/html"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as place:
        fill(place.node, "LUNG", cohort())
        yield place


@pytest.fixture
def client(place: Town) -> httpx.Client:
    return place.client(place.people["LUNG", Role.STEWARD])


def draft(place: Town, where: str = "modality = CT") -> Dataset:
    actor = place.people["LUNG", Role.STEWARD]
    told = Properties("Lung <CT>", "About & around")
    made = place.node.drafts.create(actor, "LUNG", told, parse(where))
    place.drain()
    return place.node.catalogue.show(actor, made.dataset_id).dataset


def page(client: httpx.Client, path: str, status: int = 200) -> str:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == status, answer.text[:500]
    return answer.text


def act(client: httpx.Client, dataset: Dataset, **fields: str) -> httpx.Response:
    return client.post(f"/datasets/{dataset.dataset_id}/actions", data=fields, headers=HTML)


def test_the_catalogue_counts_and_leads_to_a_dataset(client: httpx.Client) -> None:
    text = page(client, "/catalogue?where=age+%3E%3D+50&modality=CT")
    assert re.search(r"<dt>Subjects</dt>\s*<dd>5\b", text)
    assert 'name="modality" value="CT" checked' in text
    assert "/datasets/new?where=age+%3E%3D+50+and+modality+in+%28CT%29" in text
    assert "Nothing is found" in page(client, "/catalogue?where=age+%3E+200")


def test_a_wrong_filter_is_kept_and_explained(client: httpx.Client) -> None:
    text = page(client, "/catalogue?where=age+%3E+%3Cb%3E", 422)
    assert "At position 7" in text
    assert "age &gt; &lt;b&gt;" in text
    page(client, "/catalogue?where=%00&year=x", 422)


def test_a_dataset_is_made_described_and_released_by_forms(
    place: Town, client: httpx.Client
) -> None:
    assert 'value="LUNG"' in page(client, "/datasets/new")
    fields = {"project": "LUNG", "name": "By hand", "where": "modality = CT", "licence": "CC0-1.0"}
    made = client.post("/datasets", data=fields, headers=HTML)
    assert made.status_code == 303
    address = made.headers["location"]
    text = page(client, address)
    assert "Making the draft" in text
    assert "data-live" in text
    place.drain()
    text = page(client, address)
    assert "The draft is ready" in text
    assert "CC0-1.0" in text
    edited = client.post(f"{address}/edit", data={"name": "Renamed"}, headers=HTML)
    assert edited.headers["location"] == address
    assert "Release Renamed?" in page(client, f"{address}/confirm?verb=release")
    client.post(f"{address}/actions", data={"verb": "release"}, headers=HTML)
    assert "released" in page(client, address)
    page(client, f"{address}/edit", 409)


@pytest.mark.parametrize(
    ("fields", "place_of_error"),
    [
        ({"where": "modality ="}, "f-where"),
        ({"where": "age > 200"}, "f-where"),
        ({"studies": "2.25.404"}, "f-studies"),
        ({"where": "all", "studies": "2.25.1"}, "f-where"),
        ({"where": "all", "name": ""}, "f-name"),
        ({"where": "all", "licence": "my own"}, "f-licence"),
    ],
)
def test_what_cannot_be_made_keeps_what_was_typed(
    client: httpx.Client, fields: dict[str, str], place_of_error: str
) -> None:
    typed = {"project": "LUNG", "name": "Kept name", **fields}
    answer = client.post("/datasets", data=typed, headers=HTML)
    assert answer.status_code == 422
    assert f'href="#{place_of_error}"' in answer.text
    if "name" not in fields:
        assert 'value="Kept name"' in answer.text


def test_a_dataset_page_escapes_draws_and_offers_what_is_allowed(
    place: Town, client: httpx.Client
) -> None:
    dataset = draft(place)
    text = page(client, f"/datasets/{dataset.dataset_id}")
    assert "Lung &lt;CT&gt;" in text
    assert "<CT>" not in text
    assert text.count("<svg") > 5
    assert "verb=release" in text
    assert "verb=publish" not in text
    assert dataset.manifest is not None
    assert dataset.manifest.root in text
    assert "SUBJ-000" in page(client, f"/datasets/{dataset.dataset_id}/series")
    manifest = client.get(f"/datasets/{dataset.dataset_id}/manifest")
    assert manifest.json()["root"] == dataset.manifest.root


def test_invalidating_asks_for_a_reason(place: Town, client: httpx.Client) -> None:
    dataset = draft(place)
    act(client, dataset, verb="release")
    assert act(client, dataset, verb="invalidate").status_code == 422
    assert act(client, dataset, verb="invalidate", reason="Two withdrew.").status_code == 303
    text = page(client, f"/datasets/{dataset.dataset_id}")
    assert "Two withdrew." in text
    assert act(client, dataset, verb="new-version").status_code == 303
    assert act(client, dataset, verb="explode").status_code == 422


def test_the_outcome_of_a_verification_is_shown(place: Town, client: httpx.Client) -> None:
    dataset = draft(place)
    act(client, dataset, verb="verify")
    assert "Reading every file" in page(client, f"/datasets/{dataset.dataset_id}")
    place.drain()
    assert "24 files were read again" in page(client, f"/datasets/{dataset.dataset_id}")


def test_anybody_sees_a_published_dataset_and_no_person_in_it(
    place: Town, client: httpx.Client
) -> None:
    dataset = draft(place)
    anybody = place.client(ANONYMOUS)
    address = f"/datasets/{dataset.dataset_id}"
    assert anybody.get(address, headers=HTML).headers["location"].startswith("/sign-in")
    assert "No datasets to see" in page(anybody, "/datasets")
    act(client, dataset, verb="release")
    act(client, dataset, verb="publish")
    text = page(anybody, address)
    assert "Sign in to apply" in text
    assert "SUBJ-" not in text
    assert "lung.steward" not in text
    assert "modality = CT" not in text
    assert "Lung &lt;CT&gt;" in page(anybody, "/datasets")
    stranger = place.client(place.people["BREAST", Role.RESEARCHER])
    assert f"{address}/apply" in page(stranger, address)
    page(stranger, f"{address}/series", 403)


def test_lists_are_searched_and_narrowed(place: Town, client: httpx.Client) -> None:
    draft(place)
    assert "Lung &lt;CT&gt;" in page(client, "/datasets?q=around&state=ready")
    assert "No dataset fits" in page(client, "/datasets?q=nothing")
    assert "No dataset fits" in page(client, "/datasets?state=released")
    page(client, "/datasets?state=nonsense")
    page(client, "/datasets?q=%00", 422)
    page(client, "/datasets?after=%00", 422)
    page(client, "/datasets/%00", 404)
