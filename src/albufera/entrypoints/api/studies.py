"""`/studies` and `/series`: what is in the lake, and its pictures."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from albufera.bootstrap.node import Node
from albufera.entrypoints.api.http import (
    ActorDep,
    NodeDep,
    PageDep,
    Resource,
    ResourcePage,
    to_page,
)
from albufera.kernel.actor import Actor
from albufera.kernel.errors import INVALID
from albufera.lake.model import Instance, Series, Study, StudyFilter, StudySummary
from albufera.lake.pictures import Window

router = APIRouter(tags=["lake"])

CodeQuery = Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]
TextQuery = Annotated[str | None, Query(max_length=200)]


class SeriesResource(Resource):
    """A series."""

    series_id: str
    series_uid: str
    study_id: str
    collection_id: str
    subject: str
    modality: str
    body_part: str
    description: str
    manufacturer: str
    model: str
    number: int | None
    rows: int | None
    columns: int | None
    slice_thickness: float | None
    instance_count: int
    byte_count: int
    created_at: str


class StudyResource(Resource):
    """A study. `age` is in years at the time of the study, at most 90."""

    study_id: str
    project_id: str
    study_uid: str
    subject: str
    date: str
    description: str
    age: int | None
    sex: str
    created_at: str


class StudySummaryResource(StudyResource):
    """A study with what it holds."""

    modalities: list[str]
    series_count: int
    instance_count: int
    byte_count: int


class OpenStudyResource(StudyResource):
    """A study with its series."""

    series: list[SeriesResource]
    allowed_actions: list[str] = Field(default_factory=list)


class InstanceResource(Resource):
    """An instance of a series."""

    instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    size: int
    number: int | None


class OpenSeriesResource(SeriesResource):
    """A series with its instances in scrolling order."""

    instances: list[InstanceResource]


def _study_facts(study: Study) -> dict[str, object]:
    return {
        "study_id": study.study_id,
        "project_id": study.project_id,
        "study_uid": study.study_uid,
        "subject": study.subject,
        "date": study.date,
        "description": study.description,
        "age": study.age,
        "sex": study.sex,
        "created_at": study.created_at.isoformat(),
    }


def _summary(summary: StudySummary) -> StudySummaryResource:
    return StudySummaryResource.model_validate(
        {
            **_study_facts(summary.study),
            "modalities": list(summary.modalities),
            "series_count": summary.series_count,
            "instance_count": summary.instance_count,
            "byte_count": summary.byte_count,
        }
    )


def _series_facts(series: Series) -> dict[str, object]:
    kept = {name: getattr(series, name) for name in SeriesResource.model_fields}
    return {**kept, "created_at": series.created_at.isoformat()}


def _instance(instance: Instance) -> InstanceResource:
    kept = {name: getattr(instance, name) for name in InstanceResource.model_fields}
    return InstanceResource.model_validate(kept)


def study_filter(
    node: Node,
    actor: Actor,
    project: str | None,
    collection: str | None,
    subject: str | None,
    modality: str | None,
    text: str | None,
) -> StudyFilter:
    """Make a filter of what a caller typed; empty values do not narrow.

    Raises `project-not-found`, `collection-not-found`, `invalid-input`.
    """
    texts = [value.replace("\0", "").strip() if value else None for value in (subject, text)]
    if collection and not project:
        raise INVALID("A collection is one of a project: name the project too.")
    project_id = collection_id = None
    if project:
        found = node.projects.show(actor, project)
        project_id = found.project_id
        if collection:
            with node.database.read() as connection:
                within = node.projects.resolve_collection(connection, found, collection)
            collection_id = within.collection_id
    return StudyFilter(
        project_id, collection_id, texts[0] or None, modality or None, texts[1] or None
    )


def parse_window(text: str) -> Window | None:
    """Read a window written `centre,width`; `auto` or nothing is None. Raises `invalid-input`."""
    if text in ("", "auto"):
        return None
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError as failure:
        raise INVALID("A window is written centre,width (for example -600,1500), or auto.") from (
            failure
        )
    if not (abs(centre) < 1e7 and 0 < width < 1e7):  # noqa: PLR2004 - false for NaN too
        raise INVALID("The window's width must be above 0, and both numbers below ten million.")
    return centre, width


@router.get("/studies")
def list_studies(
    request: Request,
    response: Response,
    node: NodeDep,
    actor: ActorDep,
    page: PageDep,
    project: CodeQuery = None,
    collection: CodeQuery = None,
    subject: Annotated[str | None, Query(max_length=64)] = None,
    modality: CodeQuery = None,
    q: TextQuery = None,
) -> ResourcePage[StudySummaryResource]:
    """Return the studies that the caller may see, newest first. `q` is looked for in texts."""
    wanted = study_filter(node, actor, project, collection, subject, modality, q)
    return to_page(node.lake.list_studies(actor, wanted, page), _summary, request, response)


@router.get("/studies/{study_id}")
def show_study(node: NodeDep, actor: ActorDep, study_id: str) -> OpenStudyResource:
    """Return a study with its series."""
    opened = node.lake.open_study(actor, study_id.replace("\0", ""))
    return OpenStudyResource.model_validate(
        {
            **_study_facts(opened.study),
            "series": [_series_facts(series) for series in opened.series],
            "allowed_actions": list(opened.allowed),
        }
    )


@router.get("/series/{series_id}")
def show_series(node: NodeDep, actor: ActorDep, series_id: str) -> OpenSeriesResource:
    """Return a series with its instances in scrolling order."""
    found, instances = node.lake.show_series(actor, series_id.replace("\0", ""))
    return OpenSeriesResource.model_validate(
        {**_series_facts(found), "instances": [_instance(item) for item in instances]}
    )


@router.get(
    "/series/{series_id}/picture",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
def show_picture(
    node: NodeDep,
    actor: ActorDep,
    series_id: str,
    slice: Annotated[int, Query(ge=1, le=1_000_000, alias="slice")] = 1,
    window: Annotated[str, Query(max_length=50)] = "auto",
    size: Annotated[int, Query(ge=16, le=2048)] = 512,
) -> Response:
    """Return one slice of a series as PNG; `window` is `centre,width` or `auto`."""
    key = series_id.replace("\0", "")
    png = node.lake.picture(actor, key, slice, parse_window(window), size)
    headers = {"cache-control": "private, max-age=3600"}
    return Response(png, media_type="image/png", headers=headers)
