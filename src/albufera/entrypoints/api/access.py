"""`/applications` and `/grants`: asking for access, the committee's decisions, what holds."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from albufera.entrypoints.api.http import (
    ActorDep,
    NodeDep,
    PageDep,
    Resource,
    ResourcePage,
    to_page,
)
from albufera.governance.access import Terms
from albufera.governance.model import MAX_TEXT, Application, ApplicationState, Grant
from albufera.kernel import clock

router = APIRouter(tags=["governance"])


class Scope(StrEnum):
    """Which part of a list is wanted."""

    ALL = "all"
    TO_DECIDE = "to-decide"
    OWN = "own"


class GrantScope(StrEnum):
    """Which part of the grants is wanted."""

    ALL = "all"
    OWN = "own"


class NewApplication(Resource):
    """What the dataset is wanted for."""

    purpose: str = Field(min_length=1, max_length=MAX_TEXT)


class ApplicationResource(Resource):
    """An application. `allowedActions` is given where one application is shown."""

    application_id: str
    dataset_id: str
    applicant: str
    purpose: str
    state: ApplicationState
    reason: str
    submitted_at: str
    decided_at: str | None
    allowed_actions: list[str] | None = None


class Reason(Resource):
    """Why the committee decides so."""

    reason: str = Field(max_length=MAX_TEXT)


class Approval(Resource):
    """The committee's yes: until when (a year, when left out) and under what conditions."""

    reason: str = Field("", max_length=MAX_TEXT)
    ends_at: datetime | None = None
    conditions: str = Field("", max_length=MAX_TEXT)


class NewGrant(Resource):
    """Access that the committee gives without an application."""

    dataset_id: str = Field(max_length=64)
    username: str = Field(max_length=64)
    ends_at: datetime | None = None
    conditions: str = Field("", max_length=MAX_TEXT)


class GrantState(StrEnum):
    """Whether a grant holds now."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class GrantResource(Resource):
    """The right of one person to use one dataset."""

    grant_id: str
    dataset_id: str
    username: str
    application_id: str | None
    conditions: str
    state: GrantState
    starts_at: str
    ends_at: str
    revoked_at: str | None
    allowed_actions: list[str] | None = None


def application_resource(
    found: Application, allowed: tuple[str, ...] | None = None
) -> ApplicationResource:
    """Return an application as it goes over the wire."""
    return ApplicationResource(
        application_id=found.application_id,
        dataset_id=found.dataset_id,
        applicant=found.applicant,
        purpose=found.purpose,
        state=found.state,
        reason=found.reason,
        submitted_at=found.submitted_at.isoformat(),
        decided_at=found.decided_at.isoformat() if found.decided_at else None,
        allowed_actions=None if allowed is None else list(allowed),
    )


def state_of(grant: Grant) -> GrantState:
    """Tell whether a grant holds now."""
    if grant.revoked_at is not None:
        return GrantState.REVOKED
    return GrantState.ACTIVE if grant.active(clock.now()) else GrantState.EXPIRED


def _grant(found: Grant, allowed: tuple[str, ...] | None = None) -> GrantResource:
    return GrantResource(
        grant_id=found.grant_id,
        dataset_id=found.dataset_id,
        username=found.username,
        application_id=found.application_id,
        conditions=found.conditions,
        state=state_of(found),
        starts_at=found.starts_at.isoformat(),
        ends_at=found.ends_at.isoformat(),
        revoked_at=found.revoked_at.isoformat() if found.revoked_at else None,
        allowed_actions=None if allowed is None else list(allowed),
    )


def _terms(ends_at: datetime | None, conditions: str) -> Terms:
    if ends_at is not None and ends_at.tzinfo is None:
        ends_at = ends_at.replace(tzinfo=UTC)
    return Terms(ends_at, conditions.strip())


@router.post("/datasets/{dataset_id}/applications", status_code=201)
def apply(
    node: NodeDep, actor: ActorDep, dataset_id: str, body: NewApplication
) -> ApplicationResource:
    """Ask to use a dataset for a purpose."""
    made = node.access.apply(actor, dataset_id, body.purpose)
    return application_resource(*node.access.application(actor, made.application_id))


@router.get("/applications")
def list_applications(
    node: NodeDep,
    actor: ActorDep,
    page: PageDep,
    request: Request,
    response: Response,
    scope: Annotated[
        Scope, Query(description="All, those I may decide now, or my own.")
    ] = Scope.ALL,
) -> ResourcePage[ApplicationResource]:
    """Return the applications that the caller may see, newest first."""
    listing = {
        Scope.ALL: node.access.applications,
        Scope.TO_DECIDE: node.access.to_decide,
        Scope.OWN: node.access.own_applications,
    }[scope]
    return to_page(listing(actor, page), application_resource, request, response)


@router.get("/applications/{application_id}")
def show_application(node: NodeDep, actor: ActorDep, application_id: str) -> ApplicationResource:
    """Return an application and what the caller may do to it."""
    return application_resource(*node.access.application(actor, application_id))


@router.post("/applications/{application_id}/approve")
def approve(node: NodeDep, actor: ActorDep, application_id: str, body: Approval) -> GrantResource:
    """Approve an application; the answer is the grant that holds from now on."""
    terms = _terms(body.ends_at, body.conditions)
    return _grant(node.access.approve(actor, application_id, body.reason.strip(), terms))


@router.post("/applications/{application_id}/reject")
def reject(
    node: NodeDep, actor: ActorDep, application_id: str, body: Reason
) -> ApplicationResource:
    """Reject an application, with the reason."""
    return application_resource(node.access.reject(actor, application_id, body.reason))


@router.post("/applications/{application_id}/withdraw")
def withdraw(node: NodeDep, actor: ActorDep, application_id: str) -> ApplicationResource:
    """Take one's own application back."""
    return application_resource(node.access.withdraw(actor, application_id))


@router.get("/grants")
def list_grants(
    node: NodeDep,
    actor: ActorDep,
    page: PageDep,
    request: Request,
    response: Response,
    scope: Annotated[GrantScope, Query(description="All, or my own.")] = GrantScope.ALL,
) -> ResourcePage[GrantResource]:
    """Return the grants that the caller may see, newest first."""
    own = scope is GrantScope.OWN
    listing = node.access.own_grants if own else node.access.grants
    return to_page(listing(actor, page), _grant, request, response)


@router.post("/grants", status_code=201)
def give_grant(node: NodeDep, actor: ActorDep, body: NewGrant) -> GrantResource:
    """Give a person access to a dataset without an application."""
    terms = _terms(body.ends_at, body.conditions)
    return _grant(node.access.grant(actor, body.dataset_id, body.username, terms))


@router.get("/grants/{grant_id}")
def show_grant(node: NodeDep, actor: ActorDep, grant_id: str) -> GrantResource:
    """Return a grant and what the caller may do to it."""
    return _grant(*node.access.grant_of(actor, grant_id))


@router.post("/grants/{grant_id}/revoke")
def revoke(node: NodeDep, actor: ActorDep, grant_id: str) -> GrantResource:
    """End a grant now."""
    return _grant(node.access.revoke(actor, grant_id))
