"""`/federation`: this node's part in federations."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from albufera.entrypoints.api.http import ActorDep, NodeDep, Resource
from albufera.federation.expressions import check_expression, sentence
from albufera.federation.model import Told
from albufera.federation.node.model import (
    AnsweredQuestion,
    Membership,
    MembershipState,
    OfferStatus,
    Status,
)
from albufera.kernel.errors import Refusal

router = APIRouter(tags=["federation"])


class HubAddress(Resource):
    """Where a hub is."""

    url: str = Field(max_length=300, examples=["https://hub.example"])


class HubToJoin(HubAddress):
    """A hub to join, with the token and the fingerprint that its operator gave."""

    token: str = Field(max_length=200)
    fingerprint: str = Field(max_length=100)
    name: str = Field("", max_length=200)
    contact: str = Field("", max_length=300)


class CandidateResource(Resource):
    """A hub as it introduces itself. Compare the fingerprint before joining."""

    url: str
    name: str
    fingerprint: str


class MembershipResource(Resource):
    """This node's place at a hub."""

    hub_id: str
    url: str
    name: str
    known_as: str
    node_id: str
    fingerprint: str
    state: MembershipState
    joined_at: str
    last_contact_at: str | None
    problem: str


class OfferResource(Resource):
    """How far a dataset's metadata have come."""

    dataset_id: str
    title: str
    state: str
    acknowledged_at: str | None
    current: bool
    refusal: str


class CountResource(Resource):
    """A count as it was told."""

    resolution: int
    at_least: int | None
    fewer_than: int | None


class AnswerResource(Resource):
    """What a hub asked, and what it was told."""

    query_id: str
    expression: dict[str, Any]
    sentence: str
    asker: str
    outcome: str
    subjects: CountResource | None
    studies: CountResource | None
    note: str
    answered_at: str
    delivered_at: str | None


class StatusResource(Resource):
    """A membership with what went to and fro, the newest hundred of each."""

    membership: MembershipResource
    offers: list[OfferResource]
    answers: list[AnswerResource]


class ExchangedResource(Resource):
    """What an exchange moved."""

    offered: int
    refused: int
    answered: int


class Left(Resource):
    """Whether the hub knows that the node has left."""

    hub_told: bool


def _membership(membership: Membership) -> MembershipResource:
    last = membership.last_contact_at
    return MembershipResource(
        hub_id=membership.hub_id,
        url=membership.url,
        name=membership.name,
        known_as=membership.known_as,
        node_id=membership.node_id,
        fingerprint=membership.fingerprint,
        state=membership.state,
        joined_at=membership.joined_at.isoformat(),
        last_contact_at=last.isoformat() if last else None,
        problem=membership.problem,
    )


def _offer(offer: OfferStatus) -> OfferResource:
    at = offer.acknowledged_at
    return OfferResource(
        dataset_id=offer.dataset_id,
        title=offer.title,
        state=offer.state,
        acknowledged_at=at.isoformat() if at else None,
        current=offer.current,
        refusal=offer.refusal,
    )


def _told(told: Told | None) -> CountResource | None:
    return None if told is None else CountResource.model_validate(told)


def _answer(answer: AnsweredQuestion) -> AnswerResource:
    return AnswerResource(
        query_id=answer.query_id,
        expression=answer.expression,
        sentence=_words(answer),
        asker=answer.asker,
        outcome=answer.outcome,
        subjects=_told(answer.subjects),
        studies=_told(answer.studies),
        note=answer.note,
        answered_at=answer.answered_at.isoformat(),
        delivered_at=answer.delivered_at.isoformat() if answer.delivered_at else None,
    )


def _words(answer: AnsweredQuestion) -> str:
    """Write the question for people; one that is none of ours has no words."""
    try:
        return sentence(check_expression(answer.expression))
    except Refusal:
        return ""


def _status(status: Status) -> StatusResource:
    return StatusResource(
        membership=_membership(status.membership),
        offers=[_offer(offer) for offer in status.offers],
        answers=[_answer(answer) for answer in status.questions],
    )


@router.get("/federation/hubs")
def list_hubs(node: NodeDep, actor: ActorDep) -> list[MembershipResource]:
    """Return the hubs that this node has joined or left."""
    return [_membership(item) for item in node.federation.memberships.list(actor)]


@router.post("/federation/introductions")
def look(node: NodeDep, actor: ActorDep, body: HubAddress) -> CandidateResource:
    """Ask a hub who it is, without joining it."""
    return CandidateResource.model_validate(node.federation.memberships.look(actor, body.url))


@router.post("/federation/hubs", status_code=201)
def join(node: NodeDep, actor: ActorDep, body: HubToJoin) -> MembershipResource:
    """Join a hub; its key is pinned."""
    return _membership(
        node.federation.memberships.join(
            actor, body.url, body.token, body.fingerprint, name=body.name, contact=body.contact
        )
    )


@router.get("/federation/hubs/{hub_id}")
def show(node: NodeDep, actor: ActorDep, hub_id: str) -> StatusResource:
    """Return how this node stands with a hub: offers sent, questions answered."""
    return _status(node.federation.memberships.show(actor, hub_id))


@router.post("/federation/hubs/{hub_id}/sync")
def sync(node: NodeDep, actor: ActorDep, hub_id: str) -> ExchangedResource:
    """Exchange with a hub now instead of at the next poll."""
    return ExchangedResource.model_validate(node.federation.exchange.sync(actor, hub_id))


@router.post("/federation/hubs/{hub_id}/leave")
def leave(node: NodeDep, actor: ActorDep, hub_id: str) -> Left:
    """Leave a hub."""
    return Left(hub_told=node.federation.memberships.leave(actor, hub_id))
