"""QIDO-RS: searching for studies, series and instances (PS3.18 §10.6)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from albufera.bootstrap.node import Node
from albufera.entrypoints.api.http import ActorDep, NodeDep
from albufera.entrypoints.dicom.attributes import (
    Attributes,
    instance_attributes,
    series_attributes,
    study_attributes,
)
from albufera.entrypoints.dicom.media import DICOM_JSON, require_json
from albufera.kernel.actor import Actor
from albufera.kernel.errors import INVALID
from albufera.lake.model import Instance, Series, SeriesQuery, Study

router = APIRouter()

DEFAULT_LIMIT = 200
MAX_LIMIT = 5000
_SERIES_AT_ONCE = 50
_MAX_UIDS = 200
_TAGS = {
    "0020000D": "StudyInstanceUID",
    "0020000E": "SeriesInstanceUID",
    "00080018": "SOPInstanceUID",
    "00100020": "PatientID",
    "00100010": "PatientName",
    "00080060": "Modality",
    "00080061": "ModalitiesInStudy",
    "00080020": "StudyDate",
}
_UID = re.compile(r"^[0-9.]{1,64}$")
_DATE = re.compile(r"^(\d{4})(\d{2})(\d{2})$")


@dataclass(frozen=True)
class Search:
    """A search as asked for: its conditions and which part of the answer is wanted."""

    query: SeriesQuery
    instance_uids: tuple[str, ...]
    limit: int
    offset: int


def read_search(
    request: Request,
    limit: Annotated[int, Query(ge=0, le=1_000_000)] = DEFAULT_LIMIT,
    offset: Annotated[int, Query(ge=0, le=100_000_000)] = 0,
) -> Search:
    """Read the conditions: keywords or tags; unknown ones are ignored (PS3.18 §8.3.4).

    Raises `not-acceptable`, `invalid-input`.
    """
    require_json(request.headers.get("accept", ""))
    values: dict[str, str] = {}
    for key, value in request.query_params.multi_items():
        values[_TAGS.get(key.upper(), key)] = value.replace("\0", "").strip()[:4000]
    start, end = _dates(values.get("StudyDate", ""))
    query = SeriesQuery(
        study_uids=_uids(values.get("StudyInstanceUID", "")),
        series_uids=_uids(values.get("SeriesInstanceUID", "")),
        subject=values.get("PatientID", "") or values.get("PatientName", ""),
        modality=values.get("Modality", "") or values.get("ModalitiesInStudy", ""),
        date_from=start,
        date_to=end,
    )
    uids = _uids(values.get("SOPInstanceUID", ""))
    return Search(query, uids, min(limit, MAX_LIMIT), offset)


SearchDep = Annotated[Search, Depends(read_search)]


@router.get("/studies")
def search_studies(
    request: Request, node: NodeDep, actor: ActorDep, search: SearchDep
) -> JSONResponse:
    """Search for studies of which the caller may see a series."""
    base = base_of(request)
    found = node.lake.search_studies(actor, search.query, search.limit, search.offset)
    return _answer([study_attributes(summary, base) for summary in found])


@router.get("/series")
def search_series(
    request: Request, node: NodeDep, actor: ActorDep, search: SearchDep
) -> JSONResponse:
    """Search for series."""
    return _series(request, node, actor, search)


@router.get("/studies/{study_uid}/series")
def search_series_of_study(
    request: Request, node: NodeDep, actor: ActorDep, search: SearchDep, study_uid: str
) -> JSONResponse:
    """Search for series of a study."""
    return _series(request, node, actor, _within(search, study_uid))


@router.get("/instances")
def search_instances(
    request: Request, node: NodeDep, actor: ActorDep, search: SearchDep
) -> JSONResponse:
    """Search for instances. One of a given SOP Instance UID is searched for in a study."""
    narrowed = search.query.study_uids or search.query.series_uids
    if search.instance_uids and not narrowed:
        raise INVALID("Name the StudyInstanceUID or SeriesInstanceUID beside the SOPInstanceUID.")
    return _instances(request, node, actor, search)


@router.get("/studies/{study_uid}/instances")
def search_instances_of_study(
    request: Request, node: NodeDep, actor: ActorDep, search: SearchDep, study_uid: str
) -> JSONResponse:
    """Search for instances of a study."""
    return _instances(request, node, actor, _within(search, study_uid))


@router.get("/studies/{study_uid}/series/{series_uid}/instances")
def search_instances_of_series(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    search: SearchDep,
    study_uid: str,
    series_uid: str,
) -> JSONResponse:
    """Search for instances of a series."""
    return _instances(request, node, actor, _within(search, study_uid, series_uid))


def base_of(request: Request) -> str:
    """The address of DICOMweb here, for retrieve URLs."""
    return f"{request.base_url}dicomweb"


def _series(request: Request, node: Node, actor: Actor, search: Search) -> JSONResponse:
    base = base_of(request)
    found = node.lake.search_series(actor, search.query, search.limit, search.offset)
    return _answer([series_attributes(series, study, base) for series, study in found])


def _instances(request: Request, node: Node, actor: Actor, search: Search) -> JSONResponse:
    base = base_of(request)
    found = _each_instance(node, actor, search)
    chosen = islice(found, search.offset, search.offset + search.limit)
    return _answer(
        [instance_attributes(instance, series, study, base) for series, study, instance in chosen]
    )


def _each_instance(
    node: Node, actor: Actor, search: Search
) -> Iterator[tuple[Series, Study, Instance]]:
    """The matching instances; series are read a few at a time, as they are needed."""
    at = 0
    while found := node.lake.search_series(actor, search.query, _SERIES_AT_ONCE, at):
        at += len(found)
        for series, study in found:
            for instance in node.lake.read_instances(series.series_id):
                if not search.instance_uids or instance.instance_uid in search.instance_uids:
                    yield series, study, instance


def _within(search: Search, study_uid: str, series_uid: str | None = None) -> Search:
    query = search.query
    series_uids = (series_uid,) if series_uid is not None else query.series_uids
    narrowed = SeriesQuery(
        study_uids=tuple(uid.replace("\0", "") for uid in (study_uid,)),
        series_uids=tuple(uid.replace("\0", "") for uid in series_uids),
        subject=query.subject,
        modality=query.modality,
        date_from=query.date_from,
        date_to=query.date_to,
    )
    return Search(narrowed, search.instance_uids, search.limit, search.offset)


def _uids(text: str) -> tuple[str, ...]:
    """A UID or a list of them, separated by commas or backslashes (PS3.4 §C.2.2.2.2)."""
    uids = tuple(part.strip() for part in re.split(r"[,\\]", text) if part.strip())
    if len(uids) > _MAX_UIDS or not all(_UID.match(uid) for uid in uids):
        raise INVALID(f"A UID has digits and dots; a list has at most {_MAX_UIDS} of them.")
    return uids


def _dates(text: str) -> tuple[str, str]:
    """A date or a range A-B, A-, -B (PS3.4 §C.2.2.2.5), as ISO dates."""
    if not text:
        return "", ""
    start, dash, end = text.partition("-")
    if not dash:
        end = start
    return _iso(start), _iso(end)


def _iso(text: str) -> str:
    if not text:
        return ""
    match = _DATE.match(text)
    if match is None:
        raise INVALID("A StudyDate is written YYYYMMDD, a range YYYYMMDD-YYYYMMDD.")
    return "-".join(match.groups())


def _answer(found: list[Attributes]) -> JSONResponse:
    content: Any = found
    return JSONResponse(content, media_type=DICOM_JSON)
