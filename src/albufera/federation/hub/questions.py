"""Questions of the hub's users, carried to the nodes when they poll, and their answers."""

import hashlib
from dataclasses import asdict
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.federation.expressions import check_expression, expression_digest
from albufera.federation.hub import records
from albufera.federation.hub.events import QueryAnswered, QueryAsked
from albufera.federation.hub.model import (
    QUERY_NOT_FOUND,
    QUESTION_LIFETIME,
    SILENCE,
    TOO_MANY_QUESTIONS,
    EnrolledNode,
    Query,
    Result,
    Standing,
)
from albufera.federation.messages import (
    MAX_QUESTIONS,
    Answer,
    AnswerBatch,
    AnswerReceipt,
    Question,
    QuestionBatch,
)
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work

_DAY = timedelta(days=1)


class QuestionService:
    """What is asked of all nodes at once. The hub learns rounded counts and no more."""

    def __init__(self, database: Database, policy: Policy, secret: bytes, daily: int) -> None:
        self.database = database
        self.policy = policy
        self.secret = secret
        self.daily = daily

    def ask(self, actor: Actor, document: object) -> Query:
        """Ask every node how many subjects match. Raises `bad-question`, `too-many-questions`."""
        expression = check_expression(document)
        with unit_of_work(self.database, actor) as work:
            self.policy.require(work.connection, actor, "hub.query", Thing("hub"))
            self._check_budget(work, actor)
            query_id, fingerprint = new_id("hq"), expression_digest(expression)
            values = {
                "query_id": query_id,
                "user_id": actor.user_id,
                "expression": expression,
                "digest": fingerprint,
                "asked_at": work.now(),
                "deadline": work.now() + QUESTION_LIFETIME,
            }
            work.connection.execute(records.queries.insert().values(**values))
            work.record(QueryAsked(query_id=query_id, digest=fingerprint))
        return self.result(actor, query_id).query

    def list(self, actor: Actor, page: PageRequest) -> Page[Query]:
        """Return the questions that `actor` may see, the newest first."""
        table = records.queries
        visible = self.policy.which(actor, "query.view", records.QUERY_COLUMNS)
        query = records.QUERIES.where(visible)
        if page.after is not None:
            if not is_id(page.after, "hq"):
                return Page([], None)
            query = query.where(table.c.query_id < page.after)
        query = query.order_by(table.c.query_id.desc()).limit(page.limit + 1)
        with self.database.read() as connection:
            self.policy.require(connection, actor, "hub.query", Thing("hub"))
            found = [records.to_query(row) for row in connection.execute(query)]
        return cut(found, page, lambda item: item.query_id)

    def result(self, actor: Actor, query_id: str) -> Result:
        """Return a question and what the nodes have said so far. Raises `query-not-found`."""
        visible = self.policy.which(actor, "query.view", records.QUERY_COLUMNS)
        with self.database.read() as connection:
            row = None
            if is_id(query_id, "hq"):
                mine = records.queries.c.query_id == query_id
                row = connection.execute(records.QUERIES.where(mine, visible)).one_or_none()
            if row is None:
                raise QUERY_NOT_FOUND()
            query = records.to_query(row)
            return self._with_answers(connection, query)

    def left_today(self, actor: Actor) -> int:
        """Return how many more questions this person may ask today."""
        with self.database.read() as connection:
            return max(0, self.daily - self._asked(connection, actor))

    def waiting(self, connection: Connection, node: EnrolledNode) -> QuestionBatch:
        """Return the questions that a node has not answered yet, the oldest first."""
        rows = records.waiting_queries(connection, node.node_id, clock.now(), MAX_QUESTIONS)
        questions = [
            Question(
                query_id=row.query_id,
                expression=row.expression,
                digest=row.digest,
                asker=self._pseudonym(row.user_id),
                asked_at=clock.isoformat(row.asked_at),
                deadline=clock.isoformat(row.deadline),
            )
            for row in rows
        ]
        return QuestionBatch(questions=questions)

    def take(self, work: UnitOfWork, node: EnrolledNode, batch: AnswerBatch) -> AnswerReceipt:
        """Take answers in, within the desk's unit of work. The first answer of a node stands.

        Answers to unknown or expired questions are taken off the node's hands and not kept.
        """
        ids = [answer.query_id for answer in batch.answers]
        table = records.queries
        asked = work.connection.execute(table.select().where(table.c.query_id.in_(ids)))
        open_digests = {row.query_id: row.digest for row in asked if row.deadline > work.now()}
        given = records.answers
        mine = sa.and_(given.c.node_id == node.node_id, given.c.query_id.in_(ids))
        known = set(work.connection.scalars(sa.select(given.c.query_id).where(mine)))
        for answer in batch.answers:
            wanted = open_digests.get(answer.query_id)
            if wanted == answer.digest and answer.query_id not in known:
                known.add(answer.query_id)
                _keep(work, node, answer)
        return AnswerReceipt(taken=ids)

    def _with_answers(self, connection: Connection, query: Query) -> Result:
        moment = clock.now()
        expired = Standing.EXPIRED if query.deadline <= moment else None
        rows = records.answer_rows(connection, query.query_id)
        silent = moment - SILENCE
        return Result(query, [records.to_answer(row, silent, expired=expired) for row in rows])

    def _check_budget(self, work: UnitOfWork, actor: Actor) -> None:
        if self._asked(work.connection, actor) >= self.daily:
            raise TOO_MANY_QUESTIONS(f"One person may ask {self.daily} questions in a day.")

    @staticmethod
    def _asked(connection: Connection, actor: Actor) -> int:
        table = records.queries
        recent = table.c.asked_at > clock.now() - _DAY
        query = sa.select(sa.func.count()).where(table.c.user_id == actor.user_id, recent)
        return int(connection.scalar(query) or 0)

    def _pseudonym(self, user_id: str) -> str:
        """Name a user to the nodes: the same person is the same, who it is the hub alone knows."""
        return hashlib.blake2b(user_id.encode(), key=self.secret[:64], digest_size=16).hexdigest()


def _keep(work: UnitOfWork, node: EnrolledNode, answer: Answer) -> None:
    work.connection.execute(
        records.answers.insert().values(
            query_id=answer.query_id,
            node_id=node.node_id,
            outcome=answer.outcome,
            subjects=asdict(answer.subjects.told()) if answer.subjects else None,
            studies=asdict(answer.studies.told()) if answer.studies else None,
            note=answer.note,
            answered_at=work.now(),
        )
    )
    work.record(
        QueryAnswered(
            query_id=answer.query_id,
            node_id=node.node_id,
            digest=answer.digest,
            outcome=answer.outcome,
        )
    )
