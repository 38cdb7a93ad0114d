"""Pages of access: asking for a dataset, my access, the committee's inbox, grants."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.bootstrap.node import Node
from albufera.entrypoints.web.rendering import (
    NAVIGATION,
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    redirect,
    render,
)
from albufera.governance.access import DEFAULT_PERIOD, Terms
from albufera.governance.model import MAX_TEXT, Application, Grant, Role
from albufera.kernel import clock
from albufera.kernel.actor import Actor, ActorKind
from albufera.kernel.errors import CONFLICT, INVALID, Refusal
from albufera.kernel.pages import PageRequest

router = APIRouter()

SHOWN = 50
COMMITTEE = frozenset(
    {Role.COMMITTEE_MEMBER.value, Role.PROJECT_ADMINISTRATOR.value, Role.AUDITOR.value}
)

NAVIGATION.append(("My access", "/access", lambda actor, roles: actor.kind is ActorKind.PERSON))
NAVIGATION.append(
    (
        "Committee",
        "/applications",
        lambda actor, roles: actor.is_operator or bool(roles & COMMITTEE),
    )
)


@router.get("/access")
def my_access(request: Request, node: NodeDep, actor: ActorDep) -> Response:
    """Show one's own grants and applications."""
    grants = node.access.own_grants(actor, PageRequest(limit=SHOWN)).items
    applications = node.access.own_applications(actor, PageRequest(limit=SHOWN)).items
    titles = _titles(node, actor, [*grants, *applications])
    return render(
        request,
        "access/mine.html",
        grants=[shown_grant(grant, titles) for grant in grants],
        applications=[shown_application(item, titles) for item in applications],
    )


@router.get("/datasets/{dataset_id}/apply")
def apply_page(request: Request, node: NodeDep, actor: ActorDep, dataset_id: str) -> Response:
    """Show the form that asks for a dataset."""
    return _apply_page(request, node, actor, dataset_id, "", None)


@router.post("/datasets/{dataset_id}/apply")
def apply(
    request: Request, node: NodeDep, actor: ActorDep, dataset_id: str, form: FormDep
) -> Response:
    """Ask for a dataset."""
    purpose = field(form, "purpose")
    try:
        made = node.access.apply(actor, dataset_id, purpose)
    except Refusal as refusal:
        if refusal.error not in (INVALID, CONFLICT):
            raise
        return _apply_page(request, node, actor, dataset_id, purpose, refusal)
    text = "Your application is with the data access committee."
    return redirect(f"/applications/{made.application_id}", Flash("success", text))


@router.get("/applications")
def inbox(request: Request, node: NodeDep, actor: ActorDep, after: str = "") -> Response:
    """Show what waits for the caller's decision, and every application the caller may see."""
    waiting = node.access.to_decide(actor, PageRequest(limit=SHOWN)).items
    everything = node.access.applications(actor, PageRequest(after[:64] or None, SHOWN))
    titles = _titles(node, actor, [*waiting, *everything.items])
    return render(
        request,
        "access/inbox.html",
        waiting=[shown_application(item, titles) for item in waiting],
        applications=[shown_application(item, titles) for item in everything.items],
        next_after=everything.next_after,
        after=after,
    )


@router.get("/applications/{application_id}")
def application_page(
    request: Request, node: NodeDep, actor: ActorDep, application_id: str
) -> Response:
    """Show an application, and the decision to make for whoever may."""
    return _application_page(request, node, actor, application_id, {}, None)


@router.post("/applications/{application_id}/decide")
def decide(
    request: Request, node: NodeDep, actor: ActorDep, application_id: str, form: FormDep
) -> Response:
    """Approve or reject an application."""
    said = {name: field(form, name) for name in ("decision", "reason", "conditions", "until")}
    try:
        _decide(node, actor, application_id, said)
    except Refusal as refusal:
        if refusal.error is not INVALID:
            raise
        return _application_page(request, node, actor, application_id, said, refusal)
    word = "approved: the applicant holds a grant" if said["decision"] == "approve" else "rejected"
    return redirect(f"/applications/{application_id}", Flash("success", f"Application {word}."))


@router.post("/applications/{application_id}/withdraw")
def withdraw(node: NodeDep, actor: ActorDep, application_id: str, _form: FormDep) -> Response:
    """Take one's own application back."""
    node.access.withdraw(actor, application_id)
    return redirect("/access", Flash("success", "Your application is withdrawn."))


@router.get("/grants")
def grants_page(request: Request, node: NodeDep, actor: ActorDep, after: str = "") -> Response:
    """Show the grants that the caller may see."""
    page = node.access.grants(actor, PageRequest(after[:64] or None, SHOWN))
    titles = _titles(node, actor, page.items)
    shown = [shown_grant(grant, titles) for grant in page.items]
    return render(
        request, "access/grants.html", grants=shown, next_after=page.next_after, after=after
    )


@router.get("/grants/{grant_id}/revoke")
def revoke_page(request: Request, node: NodeDep, actor: ActorDep, grant_id: str) -> Response:
    """Ask once more before a grant is revoked."""
    grant, allowed = node.access.grant_of(actor, grant_id)
    titles = _titles(node, actor, [grant])
    return render(
        request, "access/revoke.html", grant=shown_grant(grant, titles), may="revoke" in allowed
    )


@router.post("/grants/{grant_id}/revoke")
def revoke(node: NodeDep, actor: ActorDep, grant_id: str, _form: FormDep) -> Response:
    """End a grant now."""
    grant = node.access.revoke(actor, grant_id)
    return redirect("/grants", Flash("success", f"The grant of {grant.username} is revoked."))


def _decide(node: Node, actor: Actor, application_id: str, said: Mapping[str, str]) -> None:
    match said["decision"]:
        case "approve":
            terms = Terms(_end_of(said["until"]), said["conditions"][:MAX_TEXT])
            node.access.approve(actor, application_id, said["reason"][:MAX_TEXT], terms)
        case "reject":
            node.access.reject(actor, application_id, said["reason"])
        case _:
            raise INVALID("Choose whether to approve or to reject.", field="decision")


def _end_of(day: str) -> datetime | None:
    """Return the end of a day (the grant holds that day), or None when no day is named."""
    if not day:
        return None
    try:
        return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), UTC)
    except (ValueError, OverflowError):
        raise INVALID("Write the day as YYYY-MM-DD.", field="until") from None


def _apply_page(
    request: Request,
    node: Node,
    actor: Actor,
    dataset_id: str,
    purpose: str,
    refusal: Refusal | None,
) -> Response:
    opened = node.catalogue.show(actor, dataset_id)
    return render(
        request,
        "access/apply.html",
        200 if refusal is None else refusal.error.status,
        dataset=opened.dataset,
        may="apply" in opened.allowed,
        purpose=purpose,
        error=refusal.detail if refusal else "",
    )


def _application_page(
    request: Request,
    node: Node,
    actor: Actor,
    application_id: str,
    said: Mapping[str, str],
    refusal: Refusal | None,
) -> Response:
    found, allowed = node.access.application(actor, application_id)
    wrong = str(refusal.facts.get("field", "reason")) if refusal else ""
    errors = {{"endsAt": "until"}.get(wrong, wrong): refusal.detail} if refusal else {}
    day = (clock.now() + DEFAULT_PERIOD).date().isoformat()
    return render(
        request,
        "access/application.html",
        200 if refusal is None else refusal.error.status,
        application=shown_application(found, _titles(node, actor, [found])),
        allowed=allowed,
        own=found.applicant_id == actor.user_id,
        said={"decision": "", "reason": "", "conditions": "", "until": day, **said},
        errors=errors,
    )


def _titles(node: Node, actor: Actor, items: Iterable[Application | Grant]) -> Mapping[str, str]:
    return node.catalogue.titles(actor, {item.dataset_id for item in items})


def shown_application(item: Application, titles: Mapping[str, str]) -> dict[str, Any]:
    """Return an application as the pages show it."""
    return {
        "id": item.application_id,
        "dataset": titles.get(item.dataset_id, item.dataset_id),
        "dataset_href": f"/datasets/{item.dataset_id}" if item.dataset_id in titles else "",
        "applicant": item.applicant,
        "purpose": item.purpose,
        "state": item.state.value,
        "reason": item.reason,
        "submitted_at": item.submitted_at,
        "decided_at": item.decided_at,
    }


def shown_grant(grant: Grant, titles: Mapping[str, str]) -> dict[str, Any]:
    """Return a grant as the pages show it."""
    active = grant.active(clock.now())
    return {
        "id": grant.grant_id,
        "dataset": titles.get(grant.dataset_id, grant.dataset_id),
        "dataset_href": f"/datasets/{grant.dataset_id}" if grant.dataset_id in titles else "",
        "username": grant.username,
        "conditions": grant.conditions,
        "state": "revoked" if grant.revoked_at else "active" if active else "expired",
        "active": active,
        "starts_at": grant.starts_at,
        "ends_at": grant.ends_at,
    }
