"""The hub's counter: what is forged, repeated, late, misdirected or unwanted is refused."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from albufera.federation.backends.in_process import InProcessPeers
from albufera.federation.hub.model import TOKEN_LIFETIME
from albufera.federation.messages import (
    Done,
    Enrolled,
    Enrolment,
    Kind,
    OfferBatch,
    OfferReceipt,
    Poll,
    QuestionBatch,
    Wire,
    compose,
)
from albufera.federation.node.conversation import Conversation
from albufera.kernel import clock
from albufera.kernel.canonical import canonical_bytes
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events
from albufera.kernel.signing import SigningKey, VerifyKey, sign_message
from tests.federation.test_messages import offer
from tests.federation.world import URL, World, world
from tests.kernel.clocks import HandClock

KEY = SigningKey.generate("a-hospital/node")
OTHER = SigningKey.generate("a-hospital/node")


@pytest.fixture
def hand_clock() -> Iterator[HandClock]:
    hand = HandClock()
    with clock.installed(hand):
        yield hand


@pytest.fixture
def place(tmp_path: Path, hand_clock: HandClock) -> Iterator[World]:
    with world(tmp_path / "hub") as made:
        yield made


def hub_key(place: World) -> VerifyKey:
    return VerifyKey.parse(place.hub.desk.introduction().vkey)


def conversation(place: World, key: SigningKey = KEY) -> Conversation:
    return Conversation(place.peers.at(URL), key, hub_key(place))


def enrolment(token: str, key: SigningKey = KEY, **changes: Any) -> Enrolment:
    made = {
        "token": token,
        "name": "Own name",
        "url": "https://a.example",
        "contact": "",
        "vkey": key.verify_key.vkey,
        "threshold": 5,
    }
    return Enrolment.model_validate({**made, **changes})


def enrol(place: World, key: SigningKey = KEY, name: str = "Hospital A") -> Enrolled:
    token = place.hub.enrolment.invite(place.operator, name).token
    return conversation(place, key).say("enrolments", enrolment(token, key), Enrolled)


def envelope(
    place: World, kind: Kind, body: Wire, key: SigningKey = KEY, to: str = "", nonce: str = ""
) -> dict[str, Any]:
    """A message signed now, as bytes go over the wire."""
    payload = compose(kind, to or hub_key(place).fingerprint, body)
    return sign_message(payload, key, clock.now(), nonce or clock.random_token(16))


def hand_in(place: World, kind: Kind, message: dict[str, Any]) -> Any:
    return place.hub.desk.receive(kind, canonical_bytes(message))


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value.code


POLL = Poll(threshold=5)


def test_a_node_is_called_what_the_operator_called_it(place: World) -> None:
    assert enrol(place).name == "Hospital A"
    node = place.hub.enrolment.nodes(place.operator)[0]
    assert (node.name, node.own_name, node.threshold) == ("Hospital A", "Own name", 5)
    assert node.fingerprint == KEY.verify_key.fingerprint


def test_the_token_is_good_for_one_node_and_seven_days(place: World, hand_clock: HandClock) -> None:
    token = place.hub.enrolment.invite(place.operator, "Hospital A").token
    late = place.hub.enrolment.invite(place.operator, "Late").token
    conversation(place).say("enrolments", enrolment(token), Enrolled)
    with pytest.raises(Refusal) as caught:
        conversation(place, OTHER).say("enrolments", enrolment(token, OTHER), Enrolled)
    assert caught.value.code == "enrolment-token-invalid"
    hand_clock.move(TOKEN_LIFETIME + timedelta(seconds=1))
    with pytest.raises(Refusal) as caught:
        conversation(place, OTHER).say("enrolments", enrolment(late, OTHER), Enrolled)
    assert caught.value.code == "enrolment-token-invalid"


def test_enrolling_again_after_a_lost_answer_changes_nothing(place: World) -> None:
    token = place.hub.enrolment.invite(place.operator, "Hospital A").token
    first = conversation(place).say("enrolments", enrolment(token), Enrolled)
    assert conversation(place).say("enrolments", enrolment(token), Enrolled) == first
    assert len(place.hub.enrolment.nodes(place.operator)) == 1


def test_a_new_token_renames_a_node_and_makes_no_second(place: World) -> None:
    """A node that left while the hub did not answer is still enrolled when it comes back."""
    first = enrol(place)
    second = enrol(place, name="Renamed")
    assert second.node_id == first.node_id
    assert [node.name for node in place.hub.enrolment.nodes(place.operator)] == ["Renamed"]


def test_a_token_does_not_serve_for_somebody_elses_key(place: World) -> None:
    """Whoever enrols a key must hold it: the request is signed by that very key."""
    token = place.hub.enrolment.invite(place.operator, "Hospital A").token
    forged = envelope(place, "enrolments", enrolment(token, KEY), OTHER)
    assert refusal(lambda: hand_in(place, "enrolments", forged)) == "federation-bad-signature"


def test_only_the_operator_invites_and_looks(place: World) -> None:
    assert refusal(lambda: place.hub.enrolment.invite(place.researcher, "X")) == "forbidden"
    assert refusal(lambda: place.hub.enrolment.nodes(place.researcher)) == "forbidden"
    assert refusal(lambda: place.hub.enrolment.suspend(place.researcher, "X")) == "forbidden"


def test_tokens_are_kept_as_hashes(place: World) -> None:
    token = place.hub.enrolment.invite(place.operator, "Hospital A").token
    assert token.encode() not in (place.hub.home.root / "albufera.sqlite").read_bytes()


def test_a_changed_message_is_refused(place: World) -> None:
    enrol(place)
    message = envelope(place, "polls", POLL)
    message["payload"]["body"] = {"threshold": 7}
    assert refusal(lambda: hand_in(place, "polls", message)) == "federation-bad-signature"


def test_a_message_signed_by_another_key_of_that_name_is_refused(place: World) -> None:
    enrol(place)
    message = envelope(place, "polls", POLL, OTHER)
    assert refusal(lambda: hand_in(place, "polls", message)) == "node-unknown"
    disguised = {**message, "key": KEY.verify_key.identity}
    assert refusal(lambda: hand_in(place, "polls", disguised)) == "federation-bad-signature"


def test_a_repeated_message_is_refused(place: World) -> None:
    enrol(place)
    message = envelope(place, "polls", POLL)
    hand_in(place, "polls", message)
    assert refusal(lambda: hand_in(place, "polls", message)) == "federation-replayed-message"


def test_a_repeated_message_is_refused_even_if_the_first_was(place: World) -> None:
    """What was refused while the node was suspended does not take effect when it is resumed."""
    node_id = enrol(place).node_id
    place.hub.enrolment.suspend(place.operator, node_id)
    message = envelope(place, "departures", Done())
    assert refusal(lambda: hand_in(place, "departures", message)) == "node-suspended"
    place.hub.enrolment.resume(place.operator, node_id)
    code = refusal(lambda: hand_in(place, "departures", message))
    assert code == "federation-replayed-message"


def test_a_late_message_is_refused_when_its_nonce_is_long_forgotten(
    place: World, hand_clock: HandClock
) -> None:
    enrol(place)
    message = envelope(place, "polls", POLL)
    hand_in(place, "polls", message)
    hand_clock.move(timedelta(minutes=20))
    conversation(place).say("polls", POLL, QuestionBatch)  # lets the hub forget old nonces
    assert refusal(lambda: hand_in(place, "polls", message)) == "federation-stale-message"


def test_a_message_to_another_hub_is_refused(place: World) -> None:
    enrol(place)
    message = envelope(place, "polls", POLL, to=OTHER.verify_key.fingerprint)
    assert refusal(lambda: hand_in(place, "polls", message)) == "federation-wrong-addressee"


def test_a_message_is_good_for_its_own_purpose_only(place: World) -> None:
    enrol(place)
    message = envelope(place, "polls", POLL)
    assert refusal(lambda: hand_in(place, "departures", message)) == "federation-bad-message"


def test_a_suspended_node_is_refused_and_hidden_and_resumed(place: World) -> None:
    node_id = enrol(place).node_id
    say = conversation(place)
    say.say("offers", OfferBatch(offers=[offer()]), OfferReceipt)
    assert place.client(place.researcher).get("/api/v1/catalogue").json()["items"]
    place.hub.enrolment.suspend(place.operator, node_id)
    assert refusal(lambda: say.say("polls", POLL, QuestionBatch)) == "node-suspended"
    assert refusal(lambda: enrol(place, name="Anew")) == "node-suspended"
    assert not place.client(place.researcher).get("/api/v1/catalogue").json()["items"]
    place.hub.enrolment.resume(place.operator, node_id)
    say.say("polls", POLL, QuestionBatch)
    assert place.client(place.researcher).get("/api/v1/catalogue").json()["items"]


def test_a_node_that_left_is_unknown_until_it_is_invited_again(place: World) -> None:
    first = enrol(place)
    say = conversation(place)
    say.say("departures", Done(), Done)
    assert refusal(lambda: say.say("polls", POLL, QuestionBatch)) == "node-unknown"
    assert enrol(place, name="Back again").node_id == first.node_id
    say.say("polls", POLL, QuestionBatch)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"null", b"\xff", b'{"a": NaN}', b'{"a":1,"a":2}', b"[" * 200000,
        b'{"key": 5}', b'{"key": "\\u0000"}', b'{"key": "' + b"x" * 999 + b'"}',
        b'{"payload": {"body": 5}}', b'"' + b"x" * 2_000_000 + b'"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["polls", "enrolments"])
def test_what_is_no_message_is_refused(place: World, kind: Kind, body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        place.hub.desk.receive(kind, body)
    assert caught.value.error.status in {400, 403}


def test_a_bad_offer_is_refused_by_itself(place: World) -> None:
    enrol(place)
    good, bad = offer(), offer(datasetId="ds-" + "1" * 26, title="<b>bold</b>")
    nameless = {"rows": [{"subject": "SUBJ-1", "age": 50}]}
    batch = OfferBatch(offers=[good, bad, nameless])
    receipt = conversation(place).say("offers", batch, OfferReceipt)
    assert list(receipt.accepted) == [good["datasetId"]]
    assert list(receipt.refused) == [bad["datasetId"]]
    assert "markup" in receipt.refused[bad["datasetId"]]
    assert "bold" not in receipt.refused[bad["datasetId"]]


def test_an_older_offer_does_not_replace_a_newer_one(place: World, hand_clock: HandClock) -> None:
    enrol(place)
    old = envelope(place, "offers", OfferBatch(offers=[offer(title="Old")]))
    hand_clock.move(timedelta(seconds=10))
    hand_in(place, "offers", envelope(place, "offers", OfferBatch(offers=[offer(title="New")])))
    hand_in(place, "offers", old)
    found = place.client(place.researcher).get("/api/v1/catalogue").json()["items"]
    assert [item["dataset"]["title"] for item in found] == ["New"]


def test_everything_is_recorded_with_the_node_as_the_actor(place: World) -> None:
    node_id = enrol(place).node_id
    conversation(place).say("offers", OfferBatch(offers=[offer()]), OfferReceipt)
    conversation(place).say("offers", OfferBatch(offers=[offer()]), OfferReceipt)
    with place.hub.database.read() as connection:
        rows = connection.execute(events.select().order_by(events.c.sequence)).all()
    told = [(row.verb, row.actor_id) for row in rows if row.verb.startswith("hub.")]
    assert told == [
        ("hub.node-invited", place.operator.user_id),
        ("hub.node-enrolled", f"key:{KEY.verify_key.fingerprint}"),
        ("hub.offer-taken", node_id),
    ]
    assert place.hub.trace.append() == len(rows)


class Impostor:
    """A double of a hub that answers, but is not the one that was joined."""

    def __init__(self, inner: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.inner = inner
        self.change = change

    def introduction(self) -> Any:
        return self.inner.introduction()

    def receive(self, kind: Kind, body: bytes) -> dict[str, Any]:
        return self.change(self.inner.receive(kind, body))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda e: {**e, "payload": {**e["payload"], "body": {"questions": []}, "re": "x"}},
         "federation-bad-signature"),
        (lambda e: sign_message(e["payload"], OTHER, clock.now(), "n" * 16),
         "federation-bad-signature"),
        (lambda e: {}, "federation-bad-signature"),
    ],
)  # fmt: skip
def test_a_node_believes_no_other_hub(
    place: World, change: Callable[[dict[str, Any]], dict[str, Any]], code: str
) -> None:
    enrol(place)
    hub = hub_key(place)
    peers = InProcessPeers({URL: Impostor(place.hub.desk, change)})
    talk = Conversation(peers.at(URL), KEY, hub)
    assert refusal(lambda: talk.say("polls", POLL, QuestionBatch)) == code


def test_a_node_believes_no_answer_to_another_message(place: World) -> None:
    """An answer that was recorded earlier does not pass for the answer to this message."""
    enrol(place)
    kept: list[dict[str, Any]] = []

    def replay(answer: dict[str, Any]) -> dict[str, Any]:
        kept.append(answer)
        return kept[0]

    peers = InProcessPeers({URL: Impostor(place.hub.desk, replay)})
    talk = Conversation(peers.at(URL), KEY, hub_key(place))
    talk.say("polls", POLL, QuestionBatch)
    code = refusal(lambda: talk.say("polls", POLL, QuestionBatch))
    assert code == "federation-bad-message"
