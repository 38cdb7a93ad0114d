"""Two nodes push what they publish to a hub; nothing is lost when the hub is away."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import model_validator

from albufera.catalogue.query.expression import EVERYTHING
from albufera.catalogue.records import datasets
from albufera.federation.hub.model import Search
from albufera.federation.messages import DatasetOffer
from albufera.federation.node import records
from albufera.federation.node.membership import EXCHANGE
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events, task_progress, tasks
from albufera.kernel.pages import PageRequest
from tests.federation.world import (
    URL,
    World,
    exchange,
    federation,
    people,
    publish_people,
    world,
)
from tests.nodes import Town, town
from tests.publication.library import PROPERTIES, invalidate, publish, publish_next


def listed(place: World) -> dict[str, str]:
    """Title → state of what the hub lists."""
    page = place.hub.catalogue.search(Search(), PageRequest())
    return {entry.offer.title: entry.offer.state for entry in page.items}


def test_the_hub_shows_one_catalogue_of_two_nodes(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, _, _second):
        assert listed(place) == {"Lung of A": "published", "Lung of B": "published"}
        page = place.hub.catalogue.search(Search("lung SCREENED"), PageRequest())
        entry = next(item for item in page.items if item.offer.title == "Lung of A")
        assert entry.node_name == "Hospital A"
        assert entry.offer.subjects.at_least == 20
        assert entry.offer.images == 69
        assert entry.offer.pid.startswith("albufera:")
        assert entry.offer.landing_url == (
            f"http://127.0.0.1:8080/datasets/{entry.offer.dataset_id}"
        )
        shares = {share.value: share.at_least for share in entry.offer.distributions["sex"]}
        assert shares == {"Female": 10, "Male": 10}
        ages = {share.value: share.at_least for share in entry.offer.distributions["age"]}
        assert ages == {"40–49": 10, "50–59": 10, "60–69": None}


def test_of_a_dataset_of_few_subjects_no_number_leaves(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, _, _second):
        page = place.hub.catalogue.search(Search("", {"modality": ("MR",)}), PageRequest())
        entry = page.items[0]
        assert entry.offer.subjects.told().words == "fewer than 5"
        assert (entry.offer.studies, entry.offer.series, entry.offer.images) == (None, None, None)
        assert {s.at_least for v in entry.offer.distributions.values() for s in v} == {None}


def test_only_what_is_published_leaves(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        made = first.node.drafts.create(
            first.operator, "LUNG", replace(PROPERTIES, name="A secret draft"), EVERYTHING
        )
        first.drain()
        exchange(first)
        first.node.lifecycle.release(first.operator, made.dataset_id)
        exchange(first)
        first.node.lifecycle.invalidate(first.operator, made.dataset_id, "Never shown.")
        exchange(first)
        assert set(listed(place)) == {"Lung of A", "Lung of B"}
        assert not any(b"secret draft" in body for _, body in place.peers.wire)


def test_no_name_of_a_subject_is_on_the_wire(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, _, _second):
        assert place.peers.wire
        for _, body in place.peers.wire:
            assert b"SUBJ-" not in body
            assert b"2.25." not in body


def test_what_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        before = len(place.peers.wire)
        assert [moved.offered for moved in exchange(first)] == [0]
        assert [kind for kind, _ in place.peers.wire[before:]] == ["polls"]


def test_an_invalidated_dataset_becomes_a_tombstone(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        dataset_id = publish(first, replace(PROPERTIES, name="Lung of A"), people(23))
        hub_id = place.join(first, "Hospital A").hub_id
        exchange(first)
        invalidate(first, dataset_id, "A patient withdrew.")
        exchange(first)
        assert listed(place) == {"Lung of A": "invalidated"}
        entry = place.hub.catalogue.search(Search(), PageRequest()).items[0]
        assert entry.offer.reason == "A patient withdrew."
        assert entry.offer.distributions == {}
        status = first.node.federation.memberships.show(first.operator, hub_id)
        assert [(offer.state, offer.current) for offer in status.offers] == [("invalidated", True)]


def test_a_new_version_is_listed_beside_the_old_one(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        dataset_id = publish(first, PROPERTIES, people(23))
        place.join(first, "Hospital A")
        publish_next(first, dataset_id)
        exchange(first)
        page = place.hub.catalogue.search(Search(), PageRequest())
        assert sorted(entry.offer.version for entry in page.items) == [1, 2]


def test_the_worker_keeps_in_touch_by_itself(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        publish(first, PROPERTIES, people(23))
        hub_id = place.join(first, "Hospital A").hub_id
        first.drain()
        assert listed(place) == {PROPERTIES.name: "published"}
        with first.node.database.read() as connection:
            task = task_progress(connection, EXCHANGE, hub_id)
        assert task is not None
        assert task.state == "queued"


def test_a_lost_task_is_queued_again(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        place.join(first, "Hospital A")
        with first.node.database.write() as connection:
            connection.execute(tasks.update().values(state="failed"))
        first.node.federation.exchange.chore()
        first.drain()
        assert any(kind == "polls" for kind, _ in place.peers.wire)


def test_while_the_hub_is_away_nothing_is_lost(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        hub_id = place.join(first, "Hospital A").hub_id
        place.peers.unreachable = True
        publish(first, PROPERTIES, people(23))
        for _ in range(3):
            make_due(first)
            first.drain()
        status = first.node.federation.memberships.show(first.operator, hub_id).membership
        assert status.failures >= 3
        assert "does not answer" in status.problem or "nobody there" in status.problem
        assert listed(place) == {}
        place.peers.unreachable = False
        make_due(first)
        first.drain()
        assert listed(place) == {PROPERTIES.name: "published"}
        status = first.node.federation.memberships.show(first.operator, hub_id).membership
        assert (status.failures, status.problem) == (0, "")


def make_due(place: Town) -> None:
    """Let the pause before the next try be over."""
    with place.node.database.write() as connection:
        connection.execute(tasks.update().values(not_before=tasks.c.created_at))


def test_the_pause_grows_up_to_five_minutes(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        membership = place.join(first, "Hospital A")
        pauses = [replace(membership, failures=n).pause.total_seconds() for n in (1, 2, 6, 10**9)]
        assert pauses == [10, 20, 300, 300]


def test_a_text_that_looks_like_markup_reaches_the_hub_as_text(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        place.join(first, "Hospital A")
        publish_people(first, people(9), name="<script>alert(1)</script>", description="a<b>c")
        exchange(first)
        assert listed(place) == {"< script>alert(1)< /script>": "published"}


class StricterOffer(DatasetOffer):
    """A double: what a hub of another version would accept of an offer."""

    @model_validator(mode="after")
    def _no_contact(self) -> "StricterOffer":
        if self.contact:
            raise ValueError("contacts are not taken here")
        return self


def test_a_refused_offer_is_told_to_the_operator_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        hub_id = place.join(first, "Hospital A").hub_id
        monkeypatch.setattr("albufera.federation.hub.catalogue.DatasetOffer", StricterOffer)
        publish_people(first, people(9), contact="somebody")
        assert [moved.refused for moved in exchange(first)] == [1]
        assert [moved.refused for moved in exchange(first)] == [0]
        status = first.node.federation.memberships.show(first.operator, hub_id)
        assert "contacts are not taken" in status.offers[0].refusal
        assert listed(place) == {}


def test_a_dataset_that_cannot_be_offered_holds_up_no_other(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        hub_id = place.join(first, "Hospital A").hub_id
        odd = publish_people(first, people(9), name="Odd")
        publish_people(first, people(9, first=9), name="Fine")
        with first.node.database.write() as connection:
            mine = datasets.c.dataset_id == odd
            connection.execute(datasets.update().where(mine).values(manifest_root="odd"))
        exchange(first)
        assert listed(place) == {"Fine": "published"}
        status = first.node.federation.memberships.show(first.operator, hub_id)
        assert [bool(offer.refusal) for offer in status.offers] == [False, True]
        assert [moved.offered for moved in exchange(first)] == [0]


def test_joining_needs_the_right_fingerprint_and_the_right(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        memberships = first.node.federation.memberships
        memberships.peers = place.peers
        token = place.hub.enrolment.invite(place.operator, "A").token
        right = memberships.look(first.operator, URL).fingerprint
        steward = next(iter(first.people.values()))
        for actor, fingerprint, given, code in (
            (first.operator, "SHA256:wrong", token, "hub-fingerprint-differs"),
            (first.operator, right, "00" * 32, "enrolment-token-invalid"),
            (first.operator, right, "no token", "invalid-input"),
            (steward, right, token, "forbidden"),
        ):
            with pytest.raises(Refusal) as caught:
                memberships.join(actor, URL, given, fingerprint)
            assert caught.value.code == code
        assert memberships.join(first.operator, URL, token, right).known_as == "A"
        with pytest.raises(Refusal, match="known there"):
            memberships.join(first.operator, URL, token, right)


def test_leaving_ends_it_on_both_sides(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        memberships = first.node.federation.memberships
        hub_id = memberships.list(first.operator)[0].hub_id
        assert memberships.leave(first.operator, hub_id)
        assert set(listed(place)) == {"Lung of B"}
        with pytest.raises(Refusal):
            first.node.federation.exchange.sync(first.operator, hub_id)
        before = len(place.peers.wire)
        make_due(first)
        first.drain()
        assert len(place.peers.wire) == before
        place.join(first, "Hospital A again")
        exchange(first)
        assert set(listed(place)) == {"Lung of A", "Lung of B"}


def test_leaving_a_hub_that_is_away_works(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        memberships = first.node.federation.memberships
        place.peers.unreachable = True
        assert not memberships.leave(first.operator, memberships.list(first.operator)[0].hub_id)
        assert memberships.joined() == []
        place.peers.unreachable = False
        assert place.join(first, "Hospital A, again").known_as == "Hospital A, again"


def test_a_suspended_node_is_told_so_and_catches_up(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        node_id = next(
            n.node_id for n in place.hub.enrolment.nodes(place.operator) if n.name == "Hospital A"
        )
        place.hub.enrolment.suspend(place.operator, node_id)
        with pytest.raises(Refusal) as caught:
            exchange(first)
        assert caught.value.code == "node-suspended"
        problem = first.node.federation.memberships.list(first.operator)[0].problem
        assert "suspended" in problem
        assert set(listed(place)) == {"Lung of B"}
        place.hub.enrolment.resume(place.operator, node_id)
        exchange(first)
        assert set(listed(place)) == {"Lung of A", "Lung of B"}


def test_offers_are_recorded_by_digest(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        with first.node.database.read() as connection:
            offered = connection.execute(
                events.select().where(events.c.verb == "federation.dataset-offered")
            ).all()
            row = connection.execute(records.offers.select()).one()
        assert [event.subjects["digest"] for event in offered] == [row.acknowledged_digest]
        with place.hub.database.read() as connection:
            taken = connection.execute(
                events.select().where(events.c.verb == "hub.offer-taken")
            ).all()
        assert row.acknowledged_digest in {event.subjects["digest"] for event in taken}


def test_a_nodes_own_researcher_learns_nothing_of_the_federation(tmp_path: Path) -> None:
    with federation(tmp_path) as (_, first, _second):
        for actor in first.people.values():
            client = first.client(actor)
            assert client.get("/api/v1/federation/hubs").status_code == 403
            assert client.get("/federation").status_code == 403
