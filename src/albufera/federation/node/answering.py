"""Answering a hub's questions: counted here, by our own code, told by our own rules."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.federation.expressions import check_expression, expression_digest
from albufera.federation.messages import Answer, Question, TellCount
from albufera.federation.model import Told
from albufera.federation.node import records
from albufera.federation.node.disclosure import Measured, is_few, measure, tell
from albufera.federation.node.events import QueryAnswered
from albufera.federation.node.model import Membership
from albufera.federation.node.questions import contributions
from albufera.kernel.actor import SYSTEM
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

_DAY = timedelta(days=1)
_MEASURES = ("subjects", "studies")


class AnsweringService:
    """Counts among what is published, and remembers what was told to whom."""

    def __init__(self, database: Database, secret: bytes, threshold: int, daily: int) -> None:
        self.database = database
        self.secret = secret
        self.threshold = threshold
        self.daily = daily

    def answer(self, membership: Membership, question: Question) -> None:
        """Answer a question once: the same query again changes nothing.

        A question that this node cannot understand is answered so; it is never answered as zero.
        """
        with self.database.read() as connection:
            if _answered(connection, membership, question.query_id):
                return
            counted, note = self._count(connection, question)
        with unit_of_work(self.database, SYSTEM) as work:
            _serialise(work.connection)
            if not _answered(work.connection, membership, question.query_id):
                self._keep(work, membership, question, counted, note)

    def undelivered(self, membership: Membership, limit: int) -> list[Answer]:
        """Return answers that the hub has not acknowledged, the oldest first."""
        table = records.answers
        query = (
            table.select()
            .where(table.c.hub_id == membership.hub_id, table.c.delivered_at.is_(None))
            .order_by(table.c.answered_at, table.c.query_id)
            .limit(limit)
        )
        with self.database.read() as connection:
            return [
                Answer(
                    query_id=row.query_id,
                    digest=row.digest,
                    outcome=row.outcome,
                    subjects=_wire(row.subjects),
                    studies=_wire(row.studies),
                    note=row.note,
                )
                for row in connection.execute(query)
            ]

    def delivered(self, membership: Membership, query_ids: list[str]) -> None:
        """Remember which answers the hub has taken."""
        table = records.answers
        with unit_of_work(self.database, SYSTEM) as work:
            work.connection.execute(
                table.update()
                .where(table.c.hub_id == membership.hub_id, table.c.query_id.in_(query_ids))
                .values(delivered_at=work.now())
            )

    def _count(
        self, connection: Connection, question: Question
    ) -> tuple[tuple[Measured, Measured] | None, str]:
        """Count, or say why not."""
        try:
            expression = check_expression(question.expression)
            return measure(self.secret, contributions(connection, expression)), ""
        except Refusal as refusal:
            return None, refusal.detail[:300]

    def _keep(
        self,
        work: UnitOfWork,
        membership: Membership,
        question: Question,
        counted: tuple[Measured, Measured] | None,
        note: str,
    ) -> None:
        """Decide what is told, and commit it with the event before anything is sent."""
        subjects = studies = None
        outcome = "not-understood"
        if counted is not None and self._answers_today(work, membership) >= self.daily:
            outcome, note = "refused", "This node has answered as many questions as it may today."
        elif counted is not None:
            outcome = "answered"
            subjects, studies = self._tell_both(work, counted)
        digest = expression_digest(question.expression)
        work.connection.execute(
            records.answers.insert().values(
                hub_id=membership.hub_id,
                query_id=question.query_id,
                expression=question.expression,
                digest=digest,
                asker=question.asker,
                outcome=outcome,
                subjects=records.as_document(subjects),
                studies=records.as_document(studies),
                note=note,
                answered_at=work.now(),
            )
        )
        work.record(
            QueryAnswered(
                hub_id=membership.hub_id,
                query_id=question.query_id,
                digest=digest,
                outcome=outcome,
            )
        )

    def _tell_both(
        self, work: UnitOfWork, counted: tuple[Measured, Measured]
    ) -> tuple[Told, Told | None]:
        """Tell subjects; of few subjects the studies are not told at all."""
        subjects = self._tell(work, _MEASURES[0], counted[0])
        if is_few(counted[0], self.threshold):
            return subjects, None
        return subjects, self._tell(work, _MEASURES[1], counted[1])

    def _tell(self, work: UnitOfWork, name: str, measured: Measured) -> Told:
        before = list(records.told_before(work.connection, name, measured, self.threshold))
        told = tell(self.secret, measured, self.threshold, before)
        as_before = any(anchor.told is told for anchor in before)
        if not as_before and told.at_least is not None:
            records.remember_told(work.connection, name, measured, told, work.now())
        return told

    @staticmethod
    def _answers_today(work: UnitOfWork, membership: Membership) -> int:
        table = records.answers
        query = sa.select(sa.func.count()).where(
            table.c.hub_id == membership.hub_id,
            table.c.outcome == "answered",
            table.c.answered_at > work.now() - _DAY,
        )
        return int(work.connection.scalar(query) or 0)


def _answered(connection: Connection, membership: Membership, query_id: str) -> bool:
    table = records.answers
    mine = (table.c.hub_id == membership.hub_id, table.c.query_id == query_id)
    return connection.execute(sa.select(table.c.query_id).where(*mine)).first() is not None


def _serialise(connection: Connection) -> None:
    """Let one answer be decided after the other, so that each is compared with all before it."""
    table = records.memberships
    connection.execute(table.select().order_by(table.c.hub_id).limit(1).with_for_update())


def _wire(document: dict[str, int | None] | None) -> TellCount | None:
    if document is None:
        return None
    return TellCount.model_validate(document)
