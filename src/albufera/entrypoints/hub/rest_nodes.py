"""`/nodes` and `/enrolments`: the hub's operator enrols and watches nodes."""

from fastapi import APIRouter
from pydantic import Field

from albufera.entrypoints.api.resources import Resource
from albufera.entrypoints.callers import ActorDep
from albufera.entrypoints.hub.http import HubDep
from albufera.federation.hub.model import EnrolledNode, NodeState
from albufera.kernel import clock

router = APIRouter(tags=["nodes"])


class NewEnrolment(Resource):
    """A node to invite, under the name by which the catalogue will list it."""

    name: str = Field(max_length=200, examples=["Hospital La Fe"])


class EnrolmentResource(Resource):
    """A one-time token. It is not shown again."""

    token: str
    name: str
    expires_at: str
    url: str
    fingerprint: str


class NodeResource(Resource):
    """A node of the federation."""

    node_id: str
    name: str
    own_name: str
    url: str
    contact: str
    fingerprint: str
    threshold: int
    state: NodeState
    enrolled_at: str
    seen_at: str
    silent: bool
    datasets: int


def _node(node: EnrolledNode) -> NodeResource:
    return NodeResource(
        node_id=node.node_id,
        name=node.name,
        own_name=node.own_name,
        url=node.url,
        contact=node.contact,
        fingerprint=node.fingerprint,
        threshold=node.threshold,
        state=node.state,
        enrolled_at=node.enrolled_at.isoformat(),
        seen_at=node.seen_at.isoformat(),
        silent=node.is_silent(clock.now()),
        datasets=node.datasets,
    )


@router.post("/enrolments", status_code=201)
def invite(hub: HubDep, actor: ActorDep, body: NewEnrolment) -> EnrolmentResource:
    """Make a one-time token, good for seven days."""
    invitation = hub.enrolment.invite(actor, body.name)
    introduction = hub.desk.introduction()
    return EnrolmentResource(
        token=invitation.token,
        name=invitation.name,
        expires_at=invitation.expires_at,
        url=introduction.url,
        fingerprint=introduction.fingerprint,
    )


@router.get("/nodes")
def list_nodes(hub: HubDep, actor: ActorDep) -> list[NodeResource]:
    """Return all nodes by name."""
    return [_node(node) for node in hub.enrolment.nodes(actor)]


@router.post("/nodes/{node_id}/suspend")
def suspend(hub: HubDep, actor: ActorDep, node_id: str) -> NodeResource:
    """Refuse a node's messages and hide what it lists."""
    return _node(hub.enrolment.suspend(actor, node_id))


@router.post("/nodes/{node_id}/resume")
def resume(hub: HubDep, actor: ActorDep, node_id: str) -> NodeResource:
    """Hear a suspended node again."""
    return _node(hub.enrolment.resume(actor, node_id))
