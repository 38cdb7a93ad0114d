"""`/queries`: questions to all nodes, and what they have answered so far."""

from typing import Any

from fastapi import APIRouter, Request, Response

from albufera.entrypoints.api.resources import PageDep, Resource, ResourcePage, to_page
from albufera.entrypoints.callers import ActorDep
from albufera.entrypoints.hub.http import HubDep
from albufera.federation.expressions import sentence
from albufera.federation.hub.model import NodeAnswer, Query, Result, Standing
from albufera.federation.model import Told

router = APIRouter(tags=["queries"])


class NewQuery(Resource):
    """A question: `{"operand", "children"}` or `{"key", "type", "value"}`."""

    expression: dict[str, Any]


class QueryResource(Resource):
    """A question."""

    query_id: str
    asked_by: str
    expression: dict[str, Any]
    sentence: str
    digest: str
    asked_at: str
    deadline: str


class ToldResource(Resource):
    """A count as a node tells it: at least so many, or fewer than its threshold."""

    resolution: int
    at_least: int | None
    fewer_than: int | None


class AnswerResource(Resource):
    """How one node stands to the question."""

    node_id: str
    node_name: str
    standing: Standing
    subjects: ToldResource | None
    studies: ToldResource | None
    answered_at: str | None
    note: str


class ResultResource(QueryResource):
    """A question with what the nodes have said so far. The sums are lower bounds."""

    open: bool
    answered: int
    subjects_at_least: int
    studies_at_least: int
    answers: list[AnswerResource]


def _query(query: Query) -> dict[str, Any]:
    return {
        "query_id": query.query_id,
        "asked_by": query.asked_by,
        "expression": query.expression,
        "sentence": sentence(query.expression),
        "digest": query.digest,
        "asked_at": query.asked_at.isoformat(),
        "deadline": query.deadline.isoformat(),
    }


def _told(told: Told | None) -> ToldResource | None:
    return None if told is None else ToldResource.model_validate(told)


def _answer(answer: NodeAnswer) -> AnswerResource:
    return AnswerResource(
        node_id=answer.node_id,
        node_name=answer.node_name,
        standing=answer.standing,
        subjects=_told(answer.subjects),
        studies=_told(answer.studies),
        answered_at=answer.answered_at.isoformat() if answer.answered_at else None,
        note=answer.note,
    )


def _result(result: Result) -> ResultResource:
    return ResultResource(
        **_query(result.query),
        open=result.is_open,
        answered=result.answered,
        subjects_at_least=result.subjects,
        studies_at_least=result.studies,
        answers=[_answer(answer) for answer in result.answers],
    )


@router.post("/queries", status_code=201)
def ask(hub: HubDep, actor: ActorDep, body: NewQuery) -> ResultResource:
    """Ask every node how many subjects match. The answers come as the nodes poll."""
    query = hub.questions.ask(actor, body.expression)
    return _result(hub.questions.result(actor, query.query_id))


@router.get("/queries")
def list_queries(
    hub: HubDep, actor: ActorDep, request: Request, response: Response, page: PageDep
) -> ResourcePage[QueryResource]:
    """Return your questions, the newest first; an operator sees everybody's."""
    found = hub.questions.list(actor, page)
    return to_page(found, lambda query: QueryResource(**_query(query)), request, response)


@router.get("/queries/{query_id}")
def show(hub: HubDep, actor: ActorDep, query_id: str) -> ResultResource:
    """Return a question and what the nodes have answered so far."""
    return _result(hub.questions.result(actor, query_id))
