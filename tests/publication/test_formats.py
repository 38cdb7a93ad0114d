"""The public metadata in other people's words: complete, and safe whatever a title holds."""

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.catalogue.model import Properties
from albufera.kernel.canonical import canonical_bytes, digest
from albufera.publication.formats.citing import to_bibtex, to_text
from albufera.publication.formats.datacite import to_datacite
from albufera.publication.formats.plain import to_json
from albufera.publication.formats.schema_org import in_script, to_json_ld
from albufera.publication.formats.signposting import FORMATS, link_header
from albufera.publication.model import PublicDataset, is_identifier, licence_url
from tests.publication.library import PROPERTIES, public_dataset, version

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script> --!>",
    "quotes \" and ' and \\ and {braces}",
    "\u202egnp.exe\u202c \u2028\u2029 & % $ # _ ~ ^",
    "]]> &amp; \U0001f600 \u05e9\u05dc\u05d5\u05dd",
]
TITLES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)

TOMBSTONE = public_dataset(
    state="invalidated",
    invalidated_at=datetime(2026, 5, 6, tzinfo=UTC),
    reason="A patient withdrew.",
    aggregate={},
    versions=(*public_dataset().versions, version(2)),
)


class Scripts(HTMLParser):
    """Collects the content of the page's scripts, and every tag there is."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.content = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"]:
            self.content += data


def through_html(document: object) -> tuple[list[str], Any]:
    """What a browser finds in a page that holds the document in a script."""
    page = Scripts()
    page.feed(f'<script type="application/ld+json">{in_script(document)}</script><p>end</p>')
    page.close()
    return page.tags, json.loads(page.content.removesuffix("end"))


def test_json_ld_has_what_search_engines_ask_for() -> None:
    found = to_json_ld(public_dataset())
    assert found["@context"] == "https://schema.org/"
    assert found["@type"] == "Dataset"
    for name in ("name", "description", "url", "identifier", "license", "creator", "publisher",
                 "datePublished", "version", "keywords", "isAccessibleForFree",
                 "includedInDataCatalog"):  # fmt: skip
        assert found[name], name
    assert 50 <= len(found["description"]) <= 5000
    assert found["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert "distribution" not in found  # nothing is downloaded


def test_a_short_description_is_made_long_enough() -> None:
    assert len(to_json_ld(public_dataset(description="CT."))["description"]) >= 50
    assert len(to_json_ld(public_dataset(description=""))["description"]) >= 50


def test_datacite_has_every_mandatory_property() -> None:
    found = to_datacite(public_dataset())
    assert found["schemaVersion"] == "http://datacite.org/schema/kernel-4"
    assert found["alternateIdentifiers"][0] == {
        "alternateIdentifier": "https://node.example/id/albufera:node/abc",
        "alternateIdentifierType": "URL",
    }
    assert found["creators"] == [{"name": "Lung screening", "nameType": "Organizational"}]
    assert found["titles"] == [{"title": PROPERTIES.name}]
    assert found["publisher"] == {"name": "Test node"}
    assert found["publicationYear"] == "2026"
    assert found["types"]["resourceTypeGeneral"] == "Dataset"
    assert found["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"
    assert found["version"] == "1"
    assert "9,000 images" in found["sizes"]


def test_versions_are_related() -> None:
    middle = public_dataset(
        version=2, versions=(version(1), public_dataset().versions[0], version(3))
    )
    related = {r["relationType"]: r["relatedIdentifier"] for r in to_datacite(middle)["relatedIdentifiers"]}  # noqa: E501  # fmt: skip
    assert related == {
        "IsNewVersionOf": "https://node.example/id/albufera:node/v1",
        "IsPreviousVersionOf": "https://node.example/id/albufera:node/v3",
    }
    assert to_json_ld(middle)["supersededBy"].endswith("3" * 26)
    assert 'rel="successor-version"' in link_header(middle)


def test_an_invalidated_successor_is_not_recommended() -> None:
    old = public_dataset(versions=(*public_dataset().versions, version(2, "invalidated")))
    assert old.successor is None
    assert "supersededBy" not in to_json_ld(old)


def test_a_tombstone_says_so_in_every_format() -> None:
    assert to_json_ld(TOMBSTONE)["creativeWorkStatus"] == "Withdrawn"
    assert "A patient withdrew." in to_json_ld(TOMBSTONE)["description"]
    withdrawn = [d for d in to_datacite(TOMBSTONE)["dates"] if d["dateType"] == "Withdrawn"]
    assert withdrawn == [
        {"date": "2026-05-06", "dateType": "Withdrawn", "dateInformation": "A patient withdrew."}
    ]
    assert "[Withdrawn]" in to_text(TOMBSTONE)
    assert "note = {Withdrawn}" in to_bibtex(TOMBSTONE)
    assert to_json(TOMBSTONE)["invalidated"] == "2026-05-06T00:00:00.000Z"
    assert to_datacite(TOMBSTONE)["sizes"] == []


def test_without_identifier_the_page_is_cited() -> None:
    fresh = public_dataset(identifier=None)
    assert fresh.resolver == fresh.url
    assert to_text(fresh).endswith(fresh.url)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_title_ends_the_script(text: str) -> None:
    hostile = public_dataset(name=text, description=text, contact=text, purpose=text)
    tags, found = through_html(to_json_ld(hostile))
    assert tags == ["script", "p"]
    assert found == to_json_ld(hostile)


@given(TITLES)
def test_any_title_comes_back_from_the_page(text: str) -> None:
    document = to_json_ld(public_dataset(name=text))
    assert "<" not in in_script(document)
    assert json.loads(in_script(document)) == document


@given(TITLES, TITLES)
def test_bibtex_is_balanced_on_one_line_a_field(title: str, creator: str) -> None:
    entry = to_bibtex(public_dataset(name=title, project_name=creator))
    assert entry.splitlines() == entry.split("\n")[:-1]
    assert len(entry.splitlines()) == 9
    unescaped = re.sub(r"\\textbackslash\{\}|\\text\w+\{\}|\\[{}]", "", entry)
    depth = 0
    for character in unescaped:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


@given(TITLES)
def test_a_citation_is_one_line_without_turned_letters(title: str) -> None:
    text = to_text(public_dataset(name=title))
    assert len(text.splitlines()) == 1
    assert "\u202e" not in text


@given(TITLES)
def test_every_format_is_i_json(text: str) -> None:
    shown = public_dataset(name=text, description=text)
    for document in (to_json(shown), to_json_ld(shown), to_datacite(shown)):
        assert json.loads(canonical_bytes(document)) == document


def test_the_properties_in_the_plain_form_are_those_the_release_digests() -> None:
    assert digest(to_json(public_dataset())["properties"]) == digest(asdict(PROPERTIES))
    assert set(to_json(public_dataset())["properties"]) == set(asdict(Properties("x")))


@pytest.mark.parametrize(
    ("licence", "address"),
    [
        ("", None),
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0.html"),
        ("https://example.org/l?a=1&b=2", "https://example.org/l?a=1&b=2"),
        ("https://exämple.org/é", "https://ex%C3%A4mple.org/%C3%A9"),
    ],
)
def test_licence_addresses_fit_into_a_header(licence: str, address: str | None) -> None:
    assert licence_url(licence) == address
    header = link_header(public_dataset(licence=licence))
    assert header.isascii()
    assert ('rel="license"' in header) is (address is not None)


def test_signposting_names_every_format() -> None:
    header = link_header(public_dataset())
    assert '<https://node.example/id/albufera:node/abc>; rel="cite-as"' in header
    for media in FORMATS.values():
        assert f'rel="describedby"; type="{media}"' in header


@pytest.mark.parametrize("text", ["", "a", "a b", "x" * 300, "abc\x00d", "<a>bc", "é:abc"])
def test_what_is_no_identifier(text: str) -> None:
    assert not is_identifier(text)


def test_previous_and_next_are_the_neighbours() -> None:
    shown: PublicDataset = replace(public_dataset(), version=3, versions=(version(1), version(5)))
    assert shown.previous is not None
    assert shown.previous.version == 1
    assert shown.next is not None
    assert shown.next.version == 5
