"""Pages of datasets: the list, a dataset, its series, making and editing one, and its verbs."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from albufera.bootstrap.node import Node
from albufera.catalogue.model import EDITABLE, DatasetState, Properties
from albufera.catalogue.query.concepts import CONCEPTS
from albufera.catalogue.query.language import parse
from albufera.catalogue.selection import read_study_list
from albufera.catalogue.service import DatasetFilter, OpenedDataset
from albufera.entrypoints.api.datasets import manifest_response
from albufera.entrypoints.web.dataset_charts import charts_of
from albufera.entrypoints.web.rendering import (
    ActorDep,
    CallerDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    redirect,
    render,
)
from albufera.entrypoints.web.small_counts import subjects_told
from albufera.kernel.actor import Actor
from albufera.kernel.errors import INVALID, WRONG_STATE, Refusal
from albufera.kernel.outbox import TaskState
from albufera.kernel.pages import PageRequest
from albufera.kernel.policy import Thing

router = APIRouter()

_TABS = ("creating", "ready", "released", "published", "invalidated")
_AT_WORK = {TaskState.QUEUED, TaskState.RUNNING}
_DONE = {
    "release": "The dataset is released: it does not change any more.",
    "publish": "The dataset is published: everybody can see its metadata.",
    "invalidate": "The dataset is invalidated.",
    "cancel": "The draft is cancelled; it can be retried.",
    "retry": "The draft is made again.",
    "verify": "Every file is read again; the outcome will stand here.",
    "new-version": "A draft of the next version is being made.",
}


@router.get("/datasets")
def list_page(
    request: Request,
    node: NodeDep,
    caller: CallerDep,
    q: str = "",
    project: str = "",
    state: str = "",
    after: str | None = None,
) -> Response:
    """Show the datasets that one may see; to everybody, those that are published."""
    wanted_state = DatasetState(state) if state in set(DatasetState) else None
    wanted = DatasetFilter(project, wanted_state, q)
    page = node.catalogue.list(caller.actor, wanted, PageRequest(after or None, 25))
    asked = {"q": q, "project": project, "state": wanted_state.value if wanted_state else ""}
    kept = {key: value for key, value in asked.items() if value}
    return render(
        request,
        "datasets/list.html",
        found={"items": page.items},
        subjects_told=subjects_told(node, caller.actor, page.items),
        q=q,
        project=project,
        state=state,
        tabs=_tabs(kept),
        may_create=bool(node.drafts.projects_for(caller.actor)),
        next_href=_address("/datasets", kept, after=page.next_after) if page.next_after else None,
        first_href=_address("/datasets", kept) if after else None,
    )


@router.get("/datasets/new")
def new_page(
    request: Request, node: NodeDep, actor: ActorDep, where: str = "", project: str = ""
) -> Response:
    """Show the form that makes a dataset."""
    values = {"where": where[:20_000], "project": project}
    return _new_form(request, node, actor, values, {})


@router.post("/datasets")
def create(request: Request, node: NodeDep, actor: ActorDep, form: FormDep) -> Response:
    """Make a draft of what the form selects."""
    values = {key: field(form, key) for key in (*EDITABLE, "project", "where", "studies")}
    try:
        if bool(values["where"]) == bool(values["studies"]):
            raise INVALID("Give either a filter or a list of studies.", field="where")
        if values["studies"]:
            chosen: Any = read_study_list(values["studies"])
        else:
            chosen = parse(values["where"])
        made = node.drafts.create(actor, values["project"], _properties(form), chosen)
    except Refusal as refusal:
        if refusal.error.status in {401, 403, 404} and values["project"]:
            raise
        place = str(refusal.facts.get("field") or _place(values))
        return _new_form(request, node, actor, values, {place: refusal.detail})
    return redirect(f"/datasets/{made.dataset_id}")


@router.get("/datasets/{dataset_id}")
def dataset_page(request: Request, node: NodeDep, caller: CallerDep, dataset_id: str) -> Response:
    """Show a dataset: to everybody when it is published, as metadata alone."""
    opened = node.catalogue.show(caller.actor, dataset_id)
    return render(request, "datasets/show.html", **_told(opened))


@router.get("/datasets/{dataset_id}/series")
def series_page(
    request: Request, node: NodeDep, actor: ActorDep, dataset_id: str, after: str | None = None
) -> Response:
    """Show the series of a dataset as frozen."""
    opened = node.catalogue.show(actor, dataset_id)
    page = node.catalogue.series(actor, dataset_id, PageRequest(after or None, 100))
    base = f"/datasets/{dataset_id}/series"
    studies = Thing("study", project_id=opened.dataset.project_id)
    with node.database.read() as connection:
        opens_studies = node.policy.may(connection, actor, "study.view", studies)
    return render(
        request,
        "datasets/series.html",
        dataset=opened.dataset,
        opens_studies=opens_studies,
        found={"items": page.items},
        next_href=_address(base, {}, after=page.next_after) if page.next_after else None,
        first_href=base if after else None,
    )


@router.get("/datasets/{dataset_id}/manifest")
def manifest(node: NodeDep, caller: CallerDep, dataset_id: str) -> Response:
    """Send the canonical manifest."""
    dataset, stream = node.catalogue.manifest(caller.actor, dataset_id)
    return manifest_response(dataset, stream)


@router.get("/datasets/{dataset_id}/edit")
def edit_page(request: Request, node: NodeDep, actor: ActorDep, dataset_id: str) -> Response:
    """Show the form that edits a draft."""
    opened = node.catalogue.show(actor, dataset_id)
    told = opened.dataset.properties
    values = {key: getattr(told, key) for key in EDITABLE}
    return _edit_form(request, opened, values, {})


@router.post("/datasets/{dataset_id}/edit")
def edit(
    request: Request, node: NodeDep, actor: ActorDep, form: FormDep, dataset_id: str
) -> Response:
    """Change the properties of a draft."""
    try:
        node.drafts.edit(actor, dataset_id, _properties(form))
    except Refusal as refusal:
        if refusal.code != INVALID.code:
            raise
        opened = node.catalogue.show(actor, dataset_id)
        values = {key: field(form, key) for key in EDITABLE}
        errors = {str(refusal.facts.get("field", "name")): refusal.detail}
        return _edit_form(request, opened, values, errors)
    return redirect(f"/datasets/{dataset_id}", Flash("success", "The draft is changed."))


@router.get("/datasets/{dataset_id}/confirm")
def confirm_page(
    request: Request, node: NodeDep, actor: ActorDep, dataset_id: str, verb: str = ""
) -> Response:
    """Ask before what cannot be undone."""
    opened = node.catalogue.show(actor, dataset_id)
    return _confirm(request, opened, verb, "")


@router.post("/datasets/{dataset_id}/actions")
def act(
    request: Request, node: NodeDep, actor: ActorDep, form: FormDep, dataset_id: str
) -> Response:
    """Do what a button or a confirmation asks for."""
    verb, target = field(form, "verb"), dataset_id
    match verb:
        case "release":
            node.lifecycle.release(actor, dataset_id)
        case "publish":
            node.lifecycle.publish(actor, dataset_id)
        case "invalidate":
            reason = field(form, "reason")
            if not reason:
                opened = node.catalogue.show(actor, dataset_id)
                return _confirm(request, opened, verb, "Say why: the reason stays visible.")
            node.lifecycle.invalidate(actor, dataset_id, reason)
        case "cancel":
            node.drafts.cancel(actor, dataset_id)
        case "retry":
            node.drafts.retry(actor, dataset_id)
        case "verify":
            node.dataset_checks.request(actor, dataset_id)
        case "new-version":
            target = node.drafts.new_version(actor, dataset_id).dataset_id
        case _:
            raise INVALID("A dataset knows no such verb.", field="verb")
    return redirect(f"/datasets/{target}", Flash("success", _DONE[verb]))


def _tabs(kept: dict[str, str]) -> list[dict[str, Any]]:
    others = {key: value for key, value in kept.items() if key != "state"}
    present = kept.get("state", "")
    return [
        {
            "label": label,
            "href": _address("/datasets", others, state=state),
            "current": state == present,
        }
        for label, state in (("All", ""), *((s.capitalize(), s) for s in _TABS))
    ]


def _told(opened: OpenedDataset) -> dict[str, Any]:
    dataset, progress, verifying = opened.dataset, opened.progress, opened.verifying
    making = dataset.state is DatasetState.CREATING
    checking = verifying is not None and verifying.state in _AT_WORK
    newest = opened.versions[-1] if opened.versions else dataset
    return {
        "dataset": dataset,
        "opened": opened,
        "may": set(opened.allowed),
        "age": opened.aggregate.get("age") or {},
        "charts": charts_of(opened.aggregate),
        "making": making,
        "progress": progress if making else None,
        "checking": checking,
        "verifying": verifying if checking else None,
        "newest": newest,
        "inside": bool({"list-series", "edit", "verify"} & set(opened.allowed)),
    }


def _confirm(request: Request, opened: OpenedDataset, verb: str, error: str) -> Response:
    if verb not in {"release", "publish", "invalidate", "cancel"} or verb not in opened.allowed:
        raise WRONG_STATE(f"This dataset is {opened.dataset.state}: that cannot be done to it now.")
    return render(
        request,
        "datasets/confirm.html",
        422 if error else 200,
        dataset=opened.dataset,
        verb=verb,
        error=error,
    )


def _properties(form: FormData) -> Properties:
    return Properties(**{key: field(form, key) for key in EDITABLE})


def _place(values: dict[str, str]) -> str:
    return "studies" if values["studies"] and not values["where"] else "where"


def _new_form(
    request: Request, node: Node, actor: Actor, values: dict[str, str], errors: dict[str, str]
) -> Response:
    return render(
        request,
        "datasets/new.html",
        422 if errors else 200,
        values={key: values.get(key, "") for key in (*EDITABLE, "project", "where", "studies")},
        errors=errors,
        projects=[(p.code, f"{p.code} – {p.name}") for p in node.drafts.projects_for(actor)],
        concepts=CONCEPTS.values(),
    )


def _edit_form(
    request: Request, opened: OpenedDataset, values: dict[str, str], errors: dict[str, str]
) -> Response:
    if not opened.editable:
        raise WRONG_STATE(f"This dataset is {opened.dataset.state}: it is not edited any more.")
    return render(
        request,
        "datasets/edit.html",
        422 if errors else 200,
        dataset=opened.dataset,
        values=values,
        errors=errors,
    )


def _address(path: str, kept: dict[str, str], **more: str | None) -> str:
    query = urlencode({**kept, **{key: value for key, value in more.items() if value}})
    return f"{path}?{query}" if query else path
