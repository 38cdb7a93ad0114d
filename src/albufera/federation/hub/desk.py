"""The hub's counter: opens what nodes send, checks it, hands it on, and signs the answer."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from albufera.federation.hub import records
from albufera.federation.hub.catalogue import HubCatalogue
from albufera.federation.hub.enrolment import EnrolmentService
from albufera.federation.hub.model import (
    NODE_SUSPENDED,
    NONCE_LIFETIME,
    UNKNOWN_NODE,
    EnrolledNode,
    NodeState,
)
from albufera.federation.hub.questions import QuestionService
from albufera.federation.messages import (
    MAX_MESSAGE_BYTES,
    AnswerBatch,
    Departure,
    Done,
    Enrolled,
    Enrolment,
    Introduction,
    Kind,
    OfferBatch,
    Poll,
    Wire,
    check_payload,
    compose,
    first_complaint,
)
from albufera.federation.model import BAD_MESSAGE, BAD_SIGNATURE, REPLAYED_MESSAGE
from albufera.kernel import clock
from albufera.kernel.actor import Actor, ActorKind
from albufera.kernel.canonical import CanonicalError, read_json
from albufera.kernel.database import Database
from albufera.kernel.signing import (
    KeyFileError,
    Message,
    SignatureError,
    SigningKey,
    VerifyKey,
    sign_message,
    verify_message,
)
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

W = TypeVar("W", bound=Wire)


class HubDesk:
    """Receives the messages of nodes (`federation.ports.Desk`)."""

    def __init__(
        self,
        database: Database,
        key: SigningKey,
        introduction: Introduction,
        enrolment: EnrolmentService,
        catalogue: HubCatalogue,
        questions: QuestionService,
    ) -> None:
        self.database = database
        self.key = key
        self._introduction = introduction
        self._enrolment = enrolment
        self._catalogue = catalogue
        self._questions = questions

    def introduction(self) -> Introduction:
        """Return who this hub is, for anybody."""
        return self._introduction

    def receive(self, kind: Kind, body: bytes) -> dict[str, object]:
        """Take one message and return the signed answer.

        Raises `federation-bad-message`, `federation-bad-signature`, `node-unknown`,
        `node-suspended`, `federation-wrong-addressee`, `federation-stale-message`,
        `federation-replayed-message`, and what the verb itself refuses.
        """
        try:
            envelope = read_json(body, MAX_MESSAGE_BYTES)
        except CanonicalError as problem:
            raise BAD_MESSAGE(str(problem)) from None
        if kind == "enrolments":
            return self._receive_enrolment(envelope)
        message, node = self._open(envelope)
        content = check_payload(message, kind, self.key.verify_key.fingerprint, clock.now())
        self._spend(message)
        if node.state is NodeState.SUSPENDED:
            raise NODE_SUSPENDED()
        with unit_of_work(self.database, _actor(node)) as work:
            answer = self._serve(work, kind, node, message, content)
            seen = records.nodes.update().where(records.nodes.c.node_id == node.node_id)
            work.connection.execute(seen.values(seen_at=work.now()))
        return self._sign(kind, message, answer)

    def _serve(
        self,
        work: UnitOfWork,
        kind: Kind,
        node: EnrolledNode,
        message: Message,
        content: dict[str, Any],
    ) -> Wire:
        serve: dict[Kind, Callable[[], Wire]] = {
            "offers": lambda: self._catalogue.take(
                work, node, message, _parse(OfferBatch, content)
            ),
            "polls": lambda: self._poll(work, node, _parse(Poll, content)),
            "answers": lambda: self._questions.take(work, node, _parse(AnswerBatch, content)),
            "departures": lambda: self._depart(work, node, _parse(Departure, content)),
        }
        return serve[kind]()

    def _poll(self, work: UnitOfWork, node: EnrolledNode, poll: Poll) -> Wire:
        told = records.nodes.update().where(records.nodes.c.node_id == node.node_id)
        work.connection.execute(told.values(threshold=poll.threshold))
        return self._questions.waiting(work.connection, node)

    def _depart(self, work: UnitOfWork, node: EnrolledNode, _departure: Departure) -> Wire:
        self._enrolment.leave(work, node.node_id)
        return Done()

    def _receive_enrolment(self, envelope: object) -> dict[str, object]:
        """A key that is not known yet: the token vouches for it, and it signs its own request."""
        content = _claimed_body(envelope)
        body = _parse(Enrolment, content)
        try:
            key = VerifyKey.parse(body.vkey)
        except KeyFileError as problem:
            raise BAD_MESSAGE(str(problem)) from None
        message = _verify(envelope, [key])
        check_payload(message, "enrolments", self.key.verify_key.fingerprint, clock.now())
        with self.database.read() as connection:
            self._enrolment.token(connection, body.token)
        self._spend(message)
        newcomer = Actor("", f"key:{key.fingerprint}", ActorKind.SYSTEM)
        with unit_of_work(self.database, newcomer) as work:
            node_id, name = self._enrolment.enrol(work, key, body)
        enrolled = Enrolled(node_id=node_id, name=name, hub_name=self._introduction.name)
        return self._sign("enrolments", message, enrolled)

    def _open(self, envelope: object) -> tuple[Message, EnrolledNode]:
        """Verify a message against the pinned keys; return it with the node that signed it."""
        identity = envelope.get("key") if isinstance(envelope, dict) else None
        if not isinstance(identity, str) or len(identity) > 300 or "\x00" in identity:  # noqa: PLR2004
            raise BAD_MESSAGE("What was sent is no signed message.")
        with self.database.read() as connection:
            pinned = records.keys_named(connection, identity)
            by_vkey = {row.vkey: row.node_id for row in pinned if row.state != NodeState.LEFT}
            if not by_vkey:
                raise UNKNOWN_NODE()
            message = _verify(envelope, [VerifyKey.parse(vkey) for vkey in by_vkey])
            mine = records.nodes.c.node_id == by_vkey[message.key.vkey]
            return message, records.to_node(records.node_rows(connection, mine)[0])

    def _spend(self, message: Message) -> None:
        """Use the nonce up, whatever becomes of the message: what was refused stays refused."""
        moment, vkey = clock.now(), message.key.vkey
        try:
            with self.database.write() as connection:
                records.spend(connection, vkey, message.nonce, moment, moment - NONCE_LIFETIME)
        except IntegrityError:
            raise REPLAYED_MESSAGE() from None

    def _sign(self, kind: Kind, message: Message, answer: Wire) -> dict[str, object]:
        payload = compose(kind, message.key.fingerprint, answer, re=message.nonce)
        return sign_message(payload, self.key, clock.now(), clock.random_token(16))


def _verify(envelope: object, keys: list[VerifyKey]) -> Message:
    try:
        return verify_message(envelope, keys)
    except SignatureError as problem:
        raise BAD_SIGNATURE(str(problem)) from None


def _parse(form: type[W], content: dict[str, Any]) -> W:
    try:
        return form.model_validate(content)
    except ValidationError as failure:
        raise BAD_MESSAGE(first_complaint(failure)) from None


def _claimed_body(envelope: object) -> dict[str, Any]:
    """Return what an enrolment claims, before anything about it was verified."""
    payload = envelope.get("payload") if isinstance(envelope, dict) else None
    content = payload.get("body") if isinstance(payload, dict) else None
    if not isinstance(content, dict):
        raise BAD_MESSAGE("What was sent is no signed message.")
    return content


def _actor(node: EnrolledNode) -> Actor:
    """A node, as the log names it. It passes no policy: its key is its permission."""
    return Actor(node.node_id, node.node_id, ActorKind.SYSTEM)
