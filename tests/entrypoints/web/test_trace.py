"""The pages of the log."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from albufera.entrypoints.web.proof_path import picture, steps_of
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS, Actor
from albufera.trace.proof import verify
from tests.nodes import Town, town


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as made:
        made.drain()
        yield made


def get(here: Town, actor: Actor, path: str) -> httpx.Response:
    with here.client(actor) as client:
        return client.get(path, headers={"accept": "text/html"})


def test_the_log_shows_its_head_its_entries_and_whether_it_was_verified(here: Town) -> None:
    page = get(here, here.operator, "/trace")
    assert page.status_code == 200
    head = here.node.trace.checkpoint()
    assert head.checkpoint.root.hex() in page.text
    assert "A person was given a role in a project." in page.text
    assert "The log was not verified yet." in page.text
    with here.client(here.operator) as client:
        assert client.post("/trace/verification").status_code == 303
        assert "data-live" in client.get("/trace").text
        here.drain()
        assert "The log is intact" in client.get("/trace").text
        client.post("/trace/verification")
        client.post("/trace/verification/cancel")
        assert "cancelled" in client.get("/trace").text


def test_findings_are_shown(here: Town) -> None:
    with here.node.database.write() as connection:
        connection.exec_driver_sql("UPDATE trace_entries SET verb = 'x' WHERE entry_index = 2")
    here.node.verifications.request(here.operator)
    here.drain()
    assert "Entry 2 was changed" in get(here, here.operator, "/trace").text


def test_an_entry_with_its_proof(here: Town) -> None:
    page = get(here, here.operator, "/trace/entries/5")
    assert page.status_code == 200
    assert "<svg" in page.text
    assert "/trace/entries/5/proof" in page.text
    file = get(here, here.operator, "/trace/entries/5/proof")
    assert 'filename="proof-5.json"' in file.headers["content-disposition"]
    assert verify(json.loads(file.text), None).entry.index == 5


def test_the_picture_leads_to_the_signed_root(here: Town) -> None:
    head = here.node.trace.checkpoint()
    for index in range(head.checkpoint.size):
        proof = here.node.trace.proof(here.operator, index)
        steps, root = steps_of(proof)
        assert root == head.checkpoint.root
        assert len(steps) == len(proof.inclusion_path)
        assert root.hex()[:8] in picture(proof)


def test_an_entry_that_cannot_be_proved_is_still_shown(here: Town) -> None:
    with here.node.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM trace_tiles")
    page = get(here, here.operator, "/trace/entries/5")
    assert page.status_code == 200
    assert "This entry cannot be proved" in page.text


@pytest.mark.parametrize(
    "query",
    ["dataset=ds-1", "user=admin", "verb=project.created", "project=LUNG", "since=2026-01-01",
     "order=oldest-first", "project=NONE", "since=soon", "after=x", "order=x", "dataset=%00",
     "since=0001-01-01T00:00:00%2B14:00", "dataset=" + "x" * 5000, "user=%00", "project=%00"],
)  # fmt: skip
def test_any_filter_is_answered(here: Town, query: str) -> None:
    assert get(here, here.operator, f"/trace?{query}").status_code == 200


def test_pages_follow_each_other(here: Town) -> None:
    for number in range(60):
        here.node.identity.create_user(here.operator, f"u{number}", "a password of some length")
    here.drain()
    first = get(here, here.operator, "/trace?user=admin").text
    assert "Next page" in first
    assert "user=admin&amp;after=" in first


def test_the_story_of_a_thing_begins_at_its_beginning(here: Town) -> None:
    user = here.people["LUNG", Role.STEWARD].user_id
    page = get(here, here.operator, f"/trace?dataset={user}").text
    assert page.index("An account was made.") < page.index("A person was given a role")
    assert 'class="timeline"' in page


def test_who_may_not_see_does_not(here: Town) -> None:
    researcher = here.people["BREAST", Role.RESEARCHER]
    page = get(here, researcher, "/trace")
    assert "Nothing that you may see was logged" in page.text
    assert "Verify the whole log" not in page.text
    assert get(here, researcher, "/trace/entries/5").status_code == 404
    auditor = get(here, here.people["BREAST", Role.AUDITOR], "/trace")
    assert "Verify the whole log" in auditor.text
    assert "LUNG" not in auditor.text
    anonymous = get(here, ANONYMOUS, "/trace")
    assert (anonymous.status_code, anonymous.headers["location"][:8]) == (303, "/sign-in")
