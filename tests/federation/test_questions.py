"""A count over two nodes: each counts by itself, and tells nothing small."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from albufera.federation.hub.model import Standing
from albufera.federation.model import Told
from albufera.federation.node import records
from albufera.federation.node.questions import contributions
from albufera.governance.model import Role
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events
from albufera.kernel.pages import PageRequest
from tests.clinical.forms import EVERY_TYPE, as_bytes
from tests.federation.world import (
    World,
    all_of,
    condition,
    exchange,
    federation,
    letters,
    people,
    publish_people,
    world,
)
from tests.nodes import Town, town
from tests.publication.library import invalidate

EVERYTHING = all_of()


def answers(place: World, expression: Any, *nodes: Town) -> dict[str, tuple[str, str]]:
    """Ask, let the nodes poll, and return node → (standing, subjects told)."""
    query = place.ask(expression)
    for node in nodes:
        exchange(node)
    return {
        answer.node_name: (answer.standing, answer.subjects.words if answer.subjects else "")
        for answer in place.result(query).answers
    }


def exact(node: Town, expression: Any) -> int:
    """What the node counts, which it tells nobody."""
    with node.node.database.read() as connection:
        return len({subject for subject, _ in contributions(connection, expression)})


def test_each_node_counts_and_suppresses_by_itself(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, second):
        assert (exact(first, EVERYTHING), exact(second, EVERYTHING)) == (23, 3)
        told = answers(place, EVERYTHING, first, second)
        assert told["Hospital A"] in {("answered", "at least 15"), ("answered", "at least 20")}
        assert told["Hospital B"] == ("answered", "fewer than 5")
        result = place.result(place.hub.questions.list(place.operator, PageRequest()).items[0])
        assert result.subjects in {15, 20}
        assert not result.is_open


def test_none_is_not_told_apart_from_few(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, second):
        told = answers(place, condition("modality", "MR"), first, second)
        assert (exact(first, condition("modality", "MR")), exact(second, EVERYTHING)) == (0, 3)
        assert told["Hospital A"] == told["Hospital B"] == ("answered", "fewer than 5")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (condition("sex", "f"), 12),
        (condition("sex", "F", "NOT_EQUALS"), 11),
        (condition("age", 50, "AT_LEAST"), 13),
        (condition("age", {"min": 40, "max": 49}, "BETWEEN"), 10),
        (condition("modality", ["CT", "PT"], "IN"), 23),
        (condition("manufacturer", "siem", "CONTAINS"), 23),
        (all_of(condition("sex", "F"), condition("age", 50, "LOWER_THAN")), 5),
        ({"operand": "NOT", "children": [condition("sex", "F")]}, 11),
        ({"operand": "OR", "children": [condition("sex", "F"), condition("age", 41)]}, 13),
        (condition("slice_thickness", 2.5), 23),
        (condition("year", 2019), 23),
    ],
)
def test_a_node_counts_what_is_asked(tmp_path: Path, expression: Any, expected: int) -> None:
    with town(tmp_path / "a") as first:
        publish_people(first, people(23))
        assert exact(first, expression) == expected


def test_only_published_datasets_count_and_each_person_once(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first:
        one = publish_people(first, people(10))
        publish_people(first, people(10, first=10))  # of all 20: the first ten are in both
        assert exact(first, EVERYTHING) == 20
        invalidate(first, one)
        assert exact(first, EVERYTHING) == 20


def test_an_invalidated_dataset_does_not_count(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first:
        one = publish_people(first, people(10))
        invalidate(first, one)
        assert exact(first, EVERYTHING) == 0


def test_no_exact_small_count_is_ever_on_the_wire(tmp_path: Path) -> None:
    """Whatever is asked, what leaves is a multiple of the threshold, or `fewer than`."""
    with federation(tmp_path) as (place, first, second):
        for age in range(38, 66, 3):
            place.ask(condition("age", age, "AT_LEAST"))
            place.ask(all_of(condition("age", age, "AT_MOST"), condition("sex", "M")))
        exchange(first)
        exchange(second)
        told = [
            answer
            for kind, body in place.peers.wire
            if kind == "answers"
            for answer in json.loads(body)["payload"]["body"]["answers"]
        ]
        assert len(told) == 40
        for answer in told:
            for count in (answer["subjects"], answer["studies"]):
                if count is not None and count["fewerThan"] is None:
                    assert count["atLeast"] % 5 == 0
                    assert count["atLeast"] >= 5
            small = answer["subjects"]["fewerThan"] is not None
            assert small == (answer["studies"] is None)
        assert any(answer["subjects"]["atLeast"] for answer in told)


def test_with_and_without_one_person_the_answer_is_the_same(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        scans = [
            *people(22),
            *people(1, first=22, manufacturer="UNIQUE", sex="O"),
        ]
        publish_people(first, scans)
        place.join(first, "A")
        with_one = answers(place, EVERYTHING, first)
        without = answers(place, condition("manufacturer", "UNIQUE", "NOT_EQUALS"), first)
        assert (exact(first, EVERYTHING), with_one) == (23, without)


def test_the_same_question_gets_the_same_answer(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, second):
        once = answers(place, condition("sex", "F"), first, second)
        again = answers(place, condition("sex", "F"), first, second)
        otherwise = answers(
            place, {"operand": "NOT", "children": [condition("sex", "M")]}, first, second
        )
        assert once == again == otherwise


def test_a_node_that_cannot_understand_says_so(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, second):
        told = answers(place, condition("diagnosis", "adenocarcinoma"), first, second)
        assert told["Hospital A"] == ("not-understood", "")
        result = place.result(place.hub.questions.list(place.operator, PageRequest()).items[0])
        assert "diagnosis" in result.answers[0].note
        assert result.subjects == 0


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (condition("diagnosis", "carcinoid"), 6),
        (condition("diagnosis", "CARCINOID TUMOUR"), 6),
        (condition("diagnosis", "tumour", "CONTAINS"), 6),
        (condition("diagnosis", ["carcinoid", "adenocarcinoma"], "IN"), 10),
        (condition("diagnosis", "carcinoid", "NOT_EQUALS"), 6),
        (all_of(condition("diagnosis", "carcinoid"), condition("sex", "F")), 3),
        (condition("diagnosis", "mesothelioma"), 0),
    ],
)
def test_a_diagnosis_is_found_in_the_e_forms(
    tmp_path: Path, expression: Any, expected: int
) -> None:
    with town(tmp_path / "a") as first:
        publish_people(first, people(12))
        steward = first.people["LUNG", Role.STEWARD]
        first.node.clinical.define_form(steward, "LUNG", as_bytes(EVERY_TYPE))
        rows = ["subject,diagnosis"]
        rows += [f"SUBJ-{letters(n)},carcinoid" for n in range(6)]
        rows += [f"SUBJ-{letters(n)},adenocarcinoma" for n in range(6, 10)]
        table = io.BytesIO("\n".join(rows).encode())
        report = first.node.clinical.load(steward, "LUNG", table)
        assert report.new == 10
        assert exact(first, expression) == expected


def test_what_was_answered_while_the_hub_was_away_arrives_later(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        query = place.ask(EVERYTHING)
        membership = first.node.federation.memberships.joined()[0]
        original = place.peers.desk(membership.url).receive

        def cut(kind: Any, body: bytes) -> dict[str, object]:
            if kind == "answers":
                place.peers.unreachable = True
                return place.peers.desk(membership.url).receive(kind, body)
            return original(kind, body)

        place.hub.desk.receive = cut  # type: ignore[method-assign]
        with pytest.raises(Refusal):
            exchange(first)
        del place.hub.desk.receive
        assert place.result(query).answers[0].standing == Standing.WAITING
        place.peers.unreachable = False
        exchange(first)
        assert place.result(query).answers[0].standing == Standing.ANSWERED


def test_questions_and_answers_are_recorded_without_the_number(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, second):
        answers(place, EVERYTHING, first, second)
        with first.node.database.read() as connection:
            node_events = connection.execute(
                events.select().where(events.c.verb == "federation.query-answered")
            ).all()
            kept = connection.execute(records.answers.select()).one()
        with place.hub.database.read() as connection:
            hub_events = connection.execute(
                events.select().where(events.c.verb.in_(["hub.query-asked", "hub.query-answered"]))
            ).all()
        assert [set(event.subjects) for event in node_events] == [
            {"hub_id", "query_id", "digest", "outcome"}
        ]
        assert {event.subjects["digest"] for event in hub_events} == {kept.digest}
        assert len(hub_events) == 3
        assert kept.delivered_at is not None


def test_the_node_sees_what_was_asked_and_told_but_not_by_whom(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, second):
        answers(place, condition("sex", "F"), first, second)
        hub_id = first.node.federation.memberships.list(first.operator)[0].hub_id
        question = first.node.federation.memberships.show(first.operator, hub_id).questions[0]
        assert question.expression == condition("sex", "F")
        assert question.subjects in {Told(5, at_least=5), Told(5, at_least=10)}
        assert place.researcher.user_id not in question.asker
        assert all(place.researcher.user_id.encode() not in body for _, body in place.peers.wire)


def test_a_person_may_ask_so_many_questions_a_day(tmp_path: Path) -> None:
    with world(tmp_path / "hub") as place:
        place.hub.questions.daily = 2
        place.ask(EVERYTHING)
        assert place.hub.questions.left_today(place.researcher) == 1
        place.ask(EVERYTHING)
        with pytest.raises(Refusal) as caught:
            place.ask(EVERYTHING)
        assert caught.value.code == "too-many-questions"
        place.ask(EVERYTHING, place.operator)


def test_a_node_answers_so_many_questions_a_day_whatever_the_hub_says(tmp_path: Path) -> None:
    with federation(tmp_path) as (place, first, _):
        first.node.federation.exchange.answering.daily = 1
        assert answers(place, EVERYTHING, first)["Hospital A"][0] == "answered"
        told = answers(place, condition("sex", "F"), first)
        assert told["Hospital A"] == ("refused", "")
        assert told["Hospital B"][0] == "waiting"


def test_who_asked_sees_their_questions_and_nobody_elses(tmp_path: Path) -> None:
    with world(tmp_path / "hub") as place:
        mine, theirs = place.ask(EVERYTHING), place.ask(EVERYTHING, place.operator)
        seen = place.hub.questions.list(place.researcher, PageRequest()).items
        assert [query.query_id for query in seen] == [mine.query_id]
        with pytest.raises(Refusal) as caught:
            place.hub.questions.result(place.researcher, theirs.query_id)
        assert caught.value.code == "query-not-found"
        assert len(place.hub.questions.list(place.operator, PageRequest()).items) == 2
