"""The exchange with a hub: push what is published, ask for questions, send answers."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy.engine import Row

from albufera.federation.messages import (
    MAX_OFFERS,
    MAX_QUESTIONS,
    AnswerBatch,
    AnswerReceipt,
    DatasetOffer,
    OfferBatch,
    OfferReceipt,
    Poll,
    QuestionBatch,
)
from albufera.federation.node import records
from albufera.federation.node.answering import AnsweringService
from albufera.federation.node.conversation import Conversation
from albufera.federation.node.events import DatasetOffered
from albufera.federation.node.holdings import Holdings
from albufera.federation.node.membership import EXCHANGE, MembershipService
from albufera.federation.node.model import (
    NOT_JOINED,
    Exchanged,
    Membership,
    MembershipState,
)
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.canonical import digest
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import TaskState, task_progress
from albufera.kernel.unit_of_work import unit_of_work
from albufera.kernel.worker import Again, Handler, TaskContext

CHECK_SECONDS = 60.0
Beat = Callable[[int, int, str], None]


class ExchangeService:
    """Talks with hubs, from the outbox alone: what cannot be sent now is sent later."""

    def __init__(
        self,
        memberships: MembershipService,
        holdings: Holdings,
        answering: AnsweringService,
        every: timedelta,
    ) -> None:
        self.database = memberships.database
        self.memberships = memberships
        self.holdings = holdings
        self.answering = answering
        self.every = every
        self._check_at = 0.0

    def handler(self) -> Handler:
        """Return the handler of the task that keeps in touch with one hub."""
        return Handler(run=self._run)

    def chore(self) -> None:
        """See to it, once a minute, that every joined hub has its task."""
        if time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + CHECK_SECONDS
        for membership in self.memberships.joined():
            with self.database.read() as connection:
                task = task_progress(connection, EXCHANGE, membership.hub_id)
            if task is None or task.state not in {TaskState.QUEUED, TaskState.RUNNING}:
                with unit_of_work(self.database, SYSTEM) as work:
                    work.enqueue(EXCHANGE, membership.hub_id, {})

    def sync(self, actor: Actor, hub_id: str) -> Exchanged:
        """Exchange with a hub now. Raises `not-joined`, and what kept it from succeeding."""
        self.memberships.require_join(actor)
        membership = self.memberships.show(actor, hub_id).membership
        if membership.state is not MembershipState.JOINED:
            raise NOT_JOINED("This node has left that hub.")
        try:
            return self.exchange(membership, _no_beat)
        except Refusal as refusal:
            self._failed(membership, refusal)
            raise

    def exchange(self, membership: Membership, beat: Beat) -> Exchanged:
        """Push, poll and answer; each step is safe to repeat."""
        conversation = self.memberships.conversation(membership)
        offered, refused = self._push(membership, conversation, beat)
        threshold = self.answering.threshold
        batch = conversation.say("polls", Poll(threshold=threshold), QuestionBatch)
        for place, question in enumerate(batch.questions):
            beat(place, len(batch.questions), "answering questions")
            self.answering.answer(membership, question)
        answered = self._deliver(membership, conversation)
        self._succeeded(membership)
        return Exchanged(offered, refused, answered)

    def _run(self, context: TaskContext) -> None:
        found = [m for m in self.memberships.joined() if m.hub_id == context.task.key]
        if not found:
            return
        try:
            self.exchange(found[0], context.progress)
        except Refusal as refusal:
            self._failed(found[0], refusal)
            raise Again(found[0].pause, str(refusal)) from None
        raise Again(self.every)

    def _push(
        self, membership: Membership, conversation: Conversation, beat: Beat
    ) -> tuple[int, int]:
        """Send every dataset whose metadata the hub has not acknowledged as they are now."""
        offered = refused = 0
        waiting = self._unacknowledged(membership)
        for start in range(0, len(waiting), MAX_OFFERS):
            beat(start, len(waiting), "sending metadata")
            part = waiting[start : start + MAX_OFFERS]
            batch = OfferBatch(offers=[offer.wire() for offer in part])
            receipt = conversation.say("offers", batch, OfferReceipt)
            self._acknowledge(membership, part, receipt)
            offered += len(receipt.accepted)
            refused += len(receipt.refused)
        return offered, refused

    def _unacknowledged(self, membership: Membership) -> Sequence[DatasetOffer]:
        table = records.offers
        query = table.select().where(table.c.hub_id == membership.hub_id)
        news: list[DatasetOffer] = []
        odd: dict[str, str] = {}
        with self.database.read() as connection:
            known = {row.dataset_id: row for row in connection.execute(query)}
            for prepared in self.holdings.offers(connection):
                row, offer = known.get(prepared.dataset_id), prepared.offer
                if offer is None and (row is None or row.refusal != prepared.complaint):
                    odd[prepared.dataset_id] = prepared.complaint
                elif offer is not None and _is_news(row, digest(offer.wire())):
                    news.append(offer)
        if odd:
            self._set_aside(membership, odd)
        return news

    def _set_aside(self, membership: Membership, odd: dict[str, str]) -> None:
        """Let the operator see which datasets cannot be offered, and why."""
        with unit_of_work(self.database, SYSTEM) as work:
            for dataset_id, complaint in odd.items():
                values = {"digest": "", "refusal": complaint[:300]}
                records.put_offer(work.connection, membership.hub_id, dataset_id, values)

    def _acknowledge(
        self, membership: Membership, offers: Sequence[DatasetOffer], receipt: OfferReceipt
    ) -> None:
        with unit_of_work(self.database, SYSTEM) as work:
            for offer in offers:
                fingerprint = digest(offer.wire())
                refusal = receipt.refused.get(offer.dataset_id, "")
                values: dict[str, object] = {"digest": fingerprint, "refusal": refusal}
                if receipt.accepted.get(offer.dataset_id) == fingerprint:
                    values |= {"acknowledged_digest": fingerprint, "acknowledged_at": work.now()}
                    work.record(_offered(membership, offer, fingerprint))
                records.put_offer(work.connection, membership.hub_id, offer.dataset_id, values)

    def _deliver(self, membership: Membership, conversation: Conversation) -> int:
        """Send the answers that the hub has not acknowledged; those of earlier tries too."""
        delivered = 0
        while answers := self.answering.undelivered(membership, MAX_QUESTIONS):
            batch = AnswerBatch(answers=answers)
            receipt = conversation.say("answers", batch, AnswerReceipt)
            self.answering.delivered(membership, receipt.taken)
            delivered += len(receipt.taken)
            if len(receipt.taken) < len(answers):
                break
        return delivered

    def _succeeded(self, membership: Membership) -> None:
        self._note(membership, {"failures": 0, "problem": "", "last_contact_at": None})

    def _failed(self, membership: Membership, refusal: Refusal) -> None:
        problem = f"{refusal} {refusal.error.remedy}"[:900]
        self._note(membership, {"failures": membership.failures + 1, "problem": problem})

    def _note(self, membership: Membership, values: dict[str, object]) -> None:
        table = records.memberships
        with unit_of_work(self.database, SYSTEM) as work:
            if "last_contact_at" in values:
                values = {**values, "last_contact_at": work.now()}
            work.connection.execute(
                table.update().where(table.c.hub_id == membership.hub_id).values(**values)
            )


def _offered(membership: Membership, offer: DatasetOffer, fingerprint: str) -> DatasetOffered:
    return DatasetOffered(
        hub_id=membership.hub_id,
        dataset_id=offer.dataset_id,
        digest=fingerprint,
        state=offer.state,
    )


def _is_news(row: Row[Any] | None, fingerprint: str) -> bool:
    """Tell whether a hub does not hold this; what it refused is not sent again unchanged."""
    if row is None or row.acknowledged_digest == fingerprint:
        return row is None
    return not (row.refusal and row.digest == fingerprint)


def _no_beat(_done: int, _total: int, _note: str) -> None:
    """Nobody watches."""
