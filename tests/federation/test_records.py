"""What the tables answer, on both databases."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from albufera.federation.backends.in_process import InProcessPeers
from albufera.federation.hub import records as hub_records
from albufera.federation.hub.catalogue import HubCatalogue
from albufera.federation.hub.desk import HubDesk
from albufera.federation.hub.enrolment import EnrolmentService
from albufera.federation.hub.model import NodeState, Search, Standing
from albufera.federation.hub.questions import QuestionService
from albufera.federation.messages import (
    Answer,
    AnswerBatch,
    AnswerReceipt,
    Enrolled,
    Introduction,
    OfferBatch,
    OfferReceipt,
    Poll,
    QuestionBatch,
    TellCount,
)
from albufera.federation.model import Told
from albufera.federation.node import records as node_records
from albufera.federation.node.conversation import Conversation
from albufera.federation.node.disclosure import Measured, Sketch, measure
from albufera.governance.policy import TablePolicy
from albufera.identity.records import users
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.pages import PageRequest
from albufera.kernel.signing import SigningKey
from tests.federation.test_desk import enrolment
from tests.federation.test_messages import offer
from tests.federation.world import URL, all_of
from tests.kernel.clocks import HandClock

OPERATOR = Actor("us-operator", "admin", is_operator=True)
RUTH = Actor("us-ruth", "ruth")


class BareHub:
    """A hub over a database, without a home."""

    def __init__(self, database: Database) -> None:
        self.database = database
        policy = TablePolicy()
        self.key = SigningKey.generate("hub/node")
        self.enrolment = EnrolmentService(database, policy)
        self.catalogue = HubCatalogue(database)
        self.questions = QuestionService(database, policy, b"s" * 32, 100)
        introduction = Introduction(
            protocol="albufera-federation/1",
            name="Hub",
            url=URL,
            vkey=self.key.verify_key.vkey,
            fingerprint=self.key.verify_key.fingerprint,
        )
        services = (self.enrolment, self.catalogue, self.questions)
        self.desk = HubDesk(database, self.key, introduction, *services)
        self.peers = InProcessPeers({URL: self.desk})

    def enrol(self, name: str) -> Conversation:
        key = SigningKey.generate("node/node")
        talk = Conversation(self.peers.at(URL), key, self.key.verify_key)
        token = self.enrolment.invite(OPERATOR, name).token
        talk.say("enrolments", enrolment(token, key), Enrolled)
        return talk


@pytest.fixture
def hand_clock() -> Iterator[HandClock]:
    hand = HandClock()
    with clock.installed(hand):
        yield hand


@pytest.fixture
def hub(database: Database, hand_clock: HandClock) -> BareHub:
    with database.write() as connection:
        for actor in (OPERATOR, RUTH):
            connection.execute(
                users.insert().values(
                    user_id=actor.user_id, username=actor.username, name="", email="",
                    organisation="", password_hash="", is_operator=actor.is_operator,
                    disabled=False, created_at=clock.now(),
                )
            )  # fmt: skip
    return BareHub(database)


def numbered(number: int, **changes: Any) -> dict[str, Any]:
    named = {"datasetId": f"ds-{number:026d}", "title": f"Dataset {number}"}
    return offer(**{**named, **changes})


def shares(**values: Any) -> dict[str, Any]:
    return {
        name: [{"value": value, "atLeast": 5} for value in held] for name, held in values.items()
    }


def offered(hub: BareHub) -> None:
    first, second = hub.enrol("Hospital A"), hub.enrol("Hospital B")
    ct = numbered(1, distributions=shares(modality=["CT", "PT"], bodyPart=["CHEST"]))
    mr = numbered(2, distributions=shares(modality=["MR"], bodyPart=["BRAIN"]))
    gone = numbered(
        3, state="invalidated", invalidatedAt="2026-01-01T00:00:00.000Z", distributions={}
    )
    first.say("offers", OfferBatch(offers=[ct, gone]), OfferReceipt)
    second.say("offers", OfferBatch(offers=[mr]), OfferReceipt)


def titles(hub: BareHub, search: Search) -> set[str]:
    return {entry.offer.title for entry in hub.catalogue.search(search, PageRequest()).items}


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), {1, 2, 3}),
        (Search("dataset"), {1, 2, 3}),
        (Search("DATASET 2"), {2}),
        (Search("brain"), {2}),
        (Search("100%"), set()),
        (Search("_"), set()),
        (Search("\x00"), {1, 2, 3}),
        (Search("", {"modality": ("CT",)}), {1}),
        (Search("", {"modality": ("PT", "MR")}), {1, 2}),
        (Search("", {"modality": ("CT",), "bodyPart": ("BRAIN",)}), set()),
        (Search("", {"state": ("invalidated",)}), {3}),
        (Search("", {"modality": ("\x00",)}), set()),
        (Search("", {"node": ("nobody",)}), set()),
    ],
)
def test_searching(hub: BareHub, search: Search, found: set[int]) -> None:
    offered(hub)
    assert titles(hub, search) == {f"Dataset {number}" for number in found}
    assert hub.catalogue.count(search) == len(found)


def test_facets_count_datasets_regardless_of_themselves(hub: BareHub) -> None:
    offered(hub)
    found = hub.catalogue.facets(Search("", {"modality": ("CT",)}))
    assert {item.value: item.datasets for item in found["modality"]} == {
        "CT": 1, "PT": 1, "MR": 1,
    }  # fmt: skip
    assert {item.value: item.datasets for item in found["bodyPart"]} == {"CHEST": 1}
    assert {item.label: item.datasets for item in found["node"]} == {"Hospital A": 1}


def test_the_catalogue_pages_by_key(hub: BareHub, hand_clock: HandClock) -> None:
    talk = hub.enrol("Hospital A")
    for number in range(7):
        hand_clock.move(timedelta(seconds=1))
        talk.say("offers", OfferBatch(offers=[numbered(number)]), OfferReceipt)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = hub.catalogue.search(Search(), PageRequest(after, 3))
        seen += [entry.offer.title for entry in page.items]
        after = page.next_after
        if after is None:
            break
    assert seen == [f"Dataset {number}" for number in reversed(range(7))]
    assert hub.catalogue.search(Search(), PageRequest("no key", 3)).items == []


def test_the_last_state_of_a_dataset_stands(hub: BareHub, hand_clock: HandClock) -> None:
    offered(hub)
    entry = hub.catalogue.search(Search("dataset 2"), PageRequest()).items[0]
    talk = hub.enrol("Hospital C")
    talk.say("offers", OfferBatch(offers=[numbered(2, title="Another's")]), OfferReceipt)
    assert hub.catalogue.show(entry.entry_id).offer.title == "Dataset 2"
    assert hub.catalogue.count(Search()) == 4


def test_a_nonce_is_spent_once_for_each_key_and_forgotten(
    database: Database, hand_clock: HandClock
) -> None:
    now = clock.now()
    with database.write() as connection:
        hub_records.spend(connection, "key", "nonce", now, now - timedelta(minutes=15))
        hub_records.spend(connection, "other", "nonce", now, now - timedelta(minutes=15))
    with pytest.raises(IntegrityError), database.write() as connection:
        hub_records.spend(connection, "key", "nonce", now, now - timedelta(minutes=15))
    later = now + timedelta(minutes=16)
    with database.write() as connection:
        hub_records.spend(connection, "new", "nonce", later, later - timedelta(minutes=15))
        assert len(connection.execute(hub_records.nonces.select()).all()) == 1


def answer(batch: QuestionBatch, **changes: Any) -> AnswerBatch:
    question = batch.questions[0]
    made = {
        "query_id": question.query_id,
        "digest": question.digest,
        "outcome": "answered",
        "subjects": TellCount.of(Told(5, at_least=20)),
        "studies": None,
        "note": "",
    }
    return AnswerBatch(answers=[Answer(**{**made, **changes})])


def test_questions_go_to_all_nodes_and_first_answers_stand(
    hub: BareHub, hand_clock: HandClock
) -> None:
    first, second = hub.enrol("Hospital A"), hub.enrol("Hospital B")
    query = hub.questions.ask(RUTH, all_of())
    batch = first.say("polls", Poll(threshold=5), QuestionBatch)
    assert [question.query_id for question in batch.questions] == [query.query_id]
    first.say("answers", answer(batch), AnswerReceipt)
    other = answer(batch, subjects=TellCount.of(Told(5, at_least=500)))
    assert first.say("answers", other, AnswerReceipt).taken == [query.query_id]
    assert first.say("polls", Poll(threshold=5), QuestionBatch).questions == []
    result = hub.questions.result(RUTH, query.query_id)
    standings = [(a.standing, a.subjects) for a in result.answers]
    assert standings == [(Standing.ANSWERED, Told(5, at_least=20)), (Standing.WAITING, None)]
    hand_clock.move(timedelta(minutes=3))
    result = hub.questions.result(RUTH, query.query_id)
    assert [a.standing for a in result.answers] == [Standing.ANSWERED, Standing.OFFLINE]
    hand_clock.move(timedelta(days=1))
    result = hub.questions.result(RUTH, query.query_id)
    assert [a.standing for a in result.answers] == [Standing.ANSWERED, Standing.EXPIRED]
    assert second.say("polls", Poll(threshold=5), QuestionBatch).questions == []


def test_an_answer_to_another_question_is_not_kept(hub: BareHub) -> None:
    talk = hub.enrol("Hospital A")
    query = hub.questions.ask(RUTH, all_of())
    batch = talk.say("polls", Poll(threshold=5), QuestionBatch)
    talk.say("answers", answer(batch, digest="0" * 64), AnswerReceipt)
    assert hub.questions.result(RUTH, query.query_id).answers[0].standing == Standing.WAITING


def test_nodes_are_listed_with_what_they_publish(hub: BareHub) -> None:
    offered(hub)
    found = {node.name: node for node in hub.enrolment.nodes(OPERATOR)}
    assert (found["Hospital A"].datasets, found["Hospital B"].datasets) == (1, 1)
    suspended = hub.enrolment.suspend(OPERATOR, found["Hospital B"].node_id)
    assert suspended.state is NodeState.SUSPENDED
    assert titles(hub, Search()) == {"Dataset 1", "Dataset 3"}
    assert hub.catalogue.node_count() == 1


def counted(subjects: int, first: int = 0) -> Measured:
    pairs = sorted((f"su-{n:04d}", f"st-{n:04d}") for n in range(first, first + subjects))
    return measure(b"k" * 32, pairs)[0]


def test_only_counts_of_nearly_the_same_size_are_compared(database: Database) -> None:
    with database.write() as connection:
        for size in (20, 23, 24, 25, 28, 29, 40):
            told = Told(5, at_least=size // 5 * 5)
            node_records.remember_told(connection, "subjects", counted(size), told, clock.now())
        other = Told(7, at_least=21)
        node_records.remember_told(connection, "subjects", counted(24), other, clock.now())
        node_records.remember_told(
            connection, "studies", counted(24), Told(5, at_least=20), clock.now()
        )
    with database.read() as connection:
        near = list(node_records.told_before(connection, "subjects", counted(24), 5))
    assert [anchor.told.at_least for anchor in near] == [20, 20, 20, 25, 25]
    assert all(isinstance(anchor.sketch, Sketch) for anchor in near)
    assert [a.sketch.differing_buckets(counted(24).sketch) for a in near] == [4, 1, 0, 1, 4]
