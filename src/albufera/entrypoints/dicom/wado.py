"""WADO-RS: retrieving objects, metadata and pictures (PS3.18 §10.4).

Objects are sent as stored, file by file; who holds a grant sees pictures and metadata, while
retrieving objects is the stewards' alone: the policy says so.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, BinaryIO

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from albufera.bootstrap.node import Node
from albufera.entrypoints.api.http import ActorDep, NodeDep
from albufera.entrypoints.dicom.media import (
    DICOM,
    DICOM_JSON,
    NOT_ACCEPTABLE,
    chunks,
    multipart,
    new_boundary,
    require_json,
    require_png,
    transfer_syntaxes,
    wants_single,
)
from albufera.kernel.actor import Actor
from albufera.kernel.errors import INVALID
from albufera.lake.model import INSTANCE_NOT_FOUND, SERIES_NOT_FOUND, Instance, Series
from albufera.lake.pictures import Window
from albufera.lake.records import series as series_table
from albufera.lake.records import studies
from albufera.lake.slices import frame_count, in_order

router = APIRouter()

MAX_SIDE = 2048
DEFAULT_SIDE = 512
Conditions = list[sa.ColumnElement[bool]]
WindowQuery = Annotated[str, Query(max_length=80)]
ViewportQuery = Annotated[str, Query(max_length=40)]


@router.get("/studies/{study_uid}")
def retrieve_study(request: Request, node: NodeDep, actor: ActorDep, study_uid: str) -> Response:
    """Send all objects of a study that the caller may retrieve."""
    return _objects(request, node, actor, _where(study_uid), None)


@router.get("/studies/{study_uid}/series/{series_uid}")
def retrieve_series(
    request: Request, node: NodeDep, actor: ActorDep, study_uid: str, series_uid: str
) -> Response:
    """Send all objects of a series."""
    return _objects(request, node, actor, _where(study_uid, series_uid), None)


@router.get("/studies/{study_uid}/series/{series_uid}/instances/{instance_uid}")
def retrieve_instance(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
) -> Response:
    """Send one object."""
    where = _where(study_uid, series_uid)
    return _objects(request, node, actor, where, instance_uid.replace("\0", ""))


@router.get("/studies/{study_uid}/metadata")
def study_metadata(request: Request, node: NodeDep, actor: ActorDep, study_uid: str) -> Response:
    """Send the headers of a study's objects."""
    return _metadata(request, node, actor, _where(study_uid), None)


@router.get("/studies/{study_uid}/series/{series_uid}/metadata")
def series_metadata(
    request: Request, node: NodeDep, actor: ActorDep, study_uid: str, series_uid: str
) -> Response:
    """Send the headers of a series' objects."""
    return _metadata(request, node, actor, _where(study_uid, series_uid), None)


@router.get("/studies/{study_uid}/series/{series_uid}/instances/{instance_uid}/metadata")
def instance_metadata(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
) -> Response:
    """Send the header of an object."""
    return _metadata(request, node, actor, _where(study_uid, series_uid), instance_uid)


@router.get("/studies/{study_uid}/series/{series_uid}/rendered")
def rendered_series(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    study_uid: str,
    series_uid: str,
    window: WindowQuery = "",
    viewport: ViewportQuery = "",
) -> Response:
    """Draw the middle slice of a series."""
    of, instances = _to_draw(request, node, actor, study_uid, series_uid)
    middle = in_order(instances)[len(instances) // 2]
    frame = frame_count(middle) // 2
    return _png(node, actor, of, middle, frame, window, viewport)


@router.get("/studies/{study_uid}/series/{series_uid}/instances/{instance_uid}/rendered")
def rendered_instance(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
    window: WindowQuery = "",
    viewport: ViewportQuery = "",
) -> Response:
    """Draw the first frame of an object."""
    of, instances = _to_draw(request, node, actor, study_uid, series_uid)
    return _png(node, actor, of, _one(instances, instance_uid), 0, window, viewport)


@router.get(
    "/studies/{study_uid}/series/{series_uid}/instances/{instance_uid}/frames/{frame}/rendered"
)
def rendered_frame(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
    frame: int,
    window: WindowQuery = "",
    viewport: ViewportQuery = "",
) -> Response:
    """Draw one frame of an object, counted from 1."""
    of, instances = _to_draw(request, node, actor, study_uid, series_uid)
    instance = _one(instances, instance_uid)
    if not 1 <= frame <= frame_count(instance):
        raise INSTANCE_NOT_FOUND(f"This object has frames 1 to {frame_count(instance)}.")
    return _png(node, actor, of, instance, frame - 1, window, viewport)


def _objects(
    request: Request, node: Node, actor: Actor, where: Conditions, instance_uid: str | None
) -> Response:
    accept = request.headers.get("accept", "")
    single = wants_single(accept)
    wanted = transfer_syntaxes(accept)
    if wanted:
        _check_stored_as(node, actor, where, instance_uid, wanted)
    found = node.lake.retrieve(actor, where, instance_uid)
    if single and instance_uid is not None:
        of, instance = next(found)
        length = {"content-length": str(instance.size)}
        file = node.lake.store.open(of.key(instance.instance_uid))
        return StreamingResponse(_closing(file), media_type=DICOM, headers=length)
    boundary = new_boundary()
    parts = (
        (
            f"{DICOM}; transfer-syntax={instance.transfer_syntax_uid}",
            instance.size,
            node.lake.store.open(of.key(instance.instance_uid)),
        )
        for of, instance in found
    )
    media = f'multipart/related; type="{DICOM}"; boundary={boundary}'
    return StreamingResponse(multipart(parts, boundary), headers={"content-type": media})


def _check_stored_as(
    node: Node,
    actor: Actor,
    where: Conditions,
    instance_uid: str | None,
    wanted: frozenset[str],
) -> None:
    """Raise `not-acceptable` unless every object is stored in a transfer syntax that is wanted."""
    for of in node.lake.permitted_series(actor, "series.retrieve", *where):
        for instance in node.lake.read_instances(of.series_id):
            mine = instance_uid in (None, instance.instance_uid)
            if mine and instance.transfer_syntax_uid not in wanted:
                raise NOT_ACCEPTABLE(
                    "Objects are sent as stored, here in transfer syntax "
                    f"{instance.transfer_syntax_uid}; ask for it, or for transfer-syntax=*."
                )


def _metadata(
    request: Request, node: Node, actor: Actor, where: Conditions, instance_uid: str | None
) -> Response:
    require_json(request.headers.get("accept", ""))
    found = node.lake.permitted_series(actor, "series.view", *where)
    if not found:
        raise SERIES_NOT_FOUND()
    if instance_uid is not None:
        _one(node.lake.read_instances(found[0].series_id), instance_uid)

    def headers() -> Iterator[Instance]:
        for of in found:
            for instance in node.lake.read_instances(of.series_id):
                if instance_uid in (None, instance.instance_uid):
                    yield instance

    return StreamingResponse(_json_array(headers()), media_type=DICOM_JSON)


def _json_array(instances: Iterator[Instance]) -> Iterator[bytes]:
    before = b"["
    for instance in instances:
        yield before + json.dumps(instance.header, separators=(",", ":")).encode()
        before = b","
    yield b"]" if before == b"," else b"[]"


def _to_draw(
    request: Request, node: Node, actor: Actor, study_uid: str, series_uid: str
) -> tuple[Series, list[Instance]]:
    require_png(request.headers.get("accept", ""))
    found = node.lake.permitted_series(actor, "series.render", *_where(study_uid, series_uid))
    if not found:
        raise SERIES_NOT_FOUND()
    return found[0], list(node.lake.read_instances(found[0].series_id))


def _one(instances: Sequence[Instance], instance_uid: str) -> Instance:
    for instance in instances:
        if instance.instance_uid == instance_uid:
            return instance
    raise INSTANCE_NOT_FOUND()


def _png(
    node: Node,
    actor: Actor,
    of: Series,
    instance: Instance,
    frame: int,
    window: str,
    viewport: str,
) -> Response:
    png = node.lake.draw(actor, of, instance.instance_uid, frame, _window(window), _side(viewport))
    return Response(png, media_type="image/png")


def _window(text: str) -> Window | None:
    """Read `centre,width,function` (PS3.18 §8.3.5.1.4); only the linear function is known."""
    if not text:
        return None
    parts = text.split(",")
    try:
        centre, width = float(parts[0]), float(parts[1])
    except (ValueError, IndexError) as failure:
        raise INVALID("A window is written centre,width,linear.") from failure
    if len(parts) > 3 or not (abs(centre) < 1e7 and 0 < width < 1e7):  # noqa: PLR2004
        raise INVALID("A window is written centre,width,linear, with a width above 0.")
    return centre, width


def _side(text: str) -> int:
    """Read `width,height` (PS3.18 §8.3.5.1.3): the picture is fitted into the larger side."""
    if not text:
        return DEFAULT_SIDE
    try:
        sides = [int(part) for part in text.split(",")[:2]]
    except ValueError as failure:
        raise INVALID("A viewport is written width,height in pixels.") from failure
    return max(16, min(MAX_SIDE, *sides)) if min(sides) > 0 else DEFAULT_SIDE


def _where(study_uid: str, series_uid: str | None = None) -> Conditions:
    where: Conditions = [studies.c.study_uid == study_uid.replace("\0", "")]
    if series_uid is not None:
        where.append(series_table.c.series_uid == series_uid.replace("\0", ""))
    return where


def _closing(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from chunks(file)
