"""`/datasets`: make, list, show, edit, release, publish, invalidate, verify."""

from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from albufera.catalogue.description import to_metadata
from albufera.catalogue.model import EDITABLE, Dataset, DatasetState, Properties
from albufera.catalogue.query.expression import EVERYTHING, Expression, from_json
from albufera.catalogue.query.language import parse
from albufera.catalogue.selection import StudyList, study_list
from albufera.catalogue.service import DatasetFilter, OpenedDataset
from albufera.entrypoints.api.dataset_resources import (
    DatasetResource,
    DatasetSeriesResource,
    DatasetSummary,
    InclusionProof,
    NewDataset,
    NewVersion,
    PropertyChanges,
    Reason,
    to_dataset,
    to_properties,
    to_series,
    to_summary,
    told_of,
)
from albufera.entrypoints.api.http import (
    ActorDep,
    AnyoneDep,
    NodeDep,
    PageDep,
    ResourcePage,
    check_if_match,
    etag_of,
    to_page,
)
from albufera.kernel.actor import Actor
from albufera.kernel.errors import INVALID

router = APIRouter(tags=["catalogue"])

CHUNK = 256 * 1024
DatasetId = Annotated[str, Path(max_length=100)]


@router.get("/datasets")
def list_datasets(
    node: NodeDep,
    actor: AnyoneDep,
    page: PageDep,
    request: Request,
    response: Response,
    project: Annotated[str, Query(max_length=64)] = "",
    state: DatasetState | None = None,
    q: Annotated[str, Query(max_length=200, description="Words of name or description.")] = "",
    name: Annotated[str, Query(max_length=200, description="The exact name.")] = "",
) -> ResourcePage[DatasetSummary]:
    """Return the datasets that the caller may see, newest first."""
    found = node.catalogue.list(actor, DatasetFilter(project, state, q, name), page)
    inside = node.catalogue.known_inside(actor, found.items)
    return to_page(found, lambda dataset: to_summary(dataset, inside), request, response)


@router.post("/datasets", status_code=201)
def create_dataset(
    node: NodeDep, actor: ActorDep, body: NewDataset, response: Response
) -> DatasetResource:
    """Ask for a draft dataset; it is made in the background, and `progress` says how far it is."""
    chosen = _chosen(body.where, body.studies)
    if chosen is None:
        raise INVALID("A dataset needs “where” (a filter) or “studies” (a list).", field="where")
    properties = Properties(body.name, body.description, body.purpose, body.licence, body.contact)
    made = node.drafts.create(actor, body.project, properties, chosen)
    response.headers["location"] = f"/api/v1/datasets/{made.dataset_id}"
    return _shown(node, actor, made.dataset_id, response)


@router.get("/datasets/{dataset_id}")
def show_dataset(
    node: NodeDep, actor: AnyoneDep, dataset_id: DatasetId, response: Response
) -> DatasetResource:
    """Return a dataset: properties, counts, aggregated metadata, progress, what may be done."""
    return _shown(node, actor, dataset_id, response)


@router.patch("/datasets/{dataset_id}")
def edit_dataset(
    node: NodeDep,
    actor: ActorDep,
    dataset_id: DatasetId,
    body: PropertyChanges,
    request: Request,
    response: Response,
) -> DatasetResource:
    """Change properties of a draft; with `If-Match`, only if nobody did so meanwhile."""
    present = node.catalogue.show(actor, dataset_id).dataset
    check_if_match(request, to_properties(present))
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    merged = {**to_properties(present).model_dump(include=set(EDITABLE)), **changes}
    node.drafts.edit(actor, dataset_id, Properties(**merged))
    return _shown(node, actor, dataset_id, response)


@router.post("/datasets/{dataset_id}/release")
def release_dataset(
    node: NodeDep, actor: ActorDep, dataset_id: DatasetId, response: Response
) -> DatasetResource:
    """Make a ready draft immutable."""
    node.lifecycle.release(actor, dataset_id)
    return _shown(node, actor, dataset_id, response)


@router.post("/datasets/{dataset_id}/publish")
def publish_dataset(
    node: NodeDep, actor: ActorDep, dataset_id: DatasetId, response: Response
) -> DatasetResource:
    """Show a released dataset's metadata to everybody, with a persistent identifier."""
    node.lifecycle.publish(actor, dataset_id)
    return _shown(node, actor, dataset_id, response)


@router.post("/datasets/{dataset_id}/invalidate")
def invalidate_dataset(
    node: NodeDep, actor: ActorDep, dataset_id: DatasetId, body: Reason, response: Response
) -> DatasetResource:
    """End the use of a dataset, for a reason that stays visible."""
    node.lifecycle.invalidate(actor, dataset_id, body.reason)
    return _shown(node, actor, dataset_id, response)


@router.post("/datasets/{dataset_id}/new-version", status_code=201)
def new_version(
    node: NodeDep, actor: ActorDep, dataset_id: DatasetId, body: NewVersion, response: Response
) -> DatasetResource:
    """Ask for a draft that succeeds this dataset, by the same selection unless one is given."""
    present = node.catalogue.show(actor, dataset_id).dataset
    changes = body.model_dump(exclude_unset=True, exclude_none=True, include=set(EDITABLE))
    merged = {**to_properties(present).model_dump(include=set(EDITABLE)), **changes}
    chosen = _chosen(body.where, body.studies)
    made = node.drafts.new_version(actor, dataset_id, Properties(**merged), chosen)
    response.headers["location"] = f"/api/v1/datasets/{made.dataset_id}"
    return _shown(node, actor, made.dataset_id, response)


@router.post("/datasets/{dataset_id}/verify", status_code=202)
def verify_dataset(
    node: NodeDep, actor: ActorDep, dataset_id: DatasetId, response: Response
) -> DatasetResource:
    """Ask for every byte to be read again; `verification` says how it went."""
    node.dataset_checks.request(actor, dataset_id)
    return _shown(node, actor, dataset_id, response)


@router.post("/datasets/{dataset_id}/cancel")
def cancel_dataset(
    node: NodeDep, actor: ActorDep, dataset_id: DatasetId, response: Response
) -> DatasetResource:
    """Give a draft up."""
    node.drafts.cancel(actor, dataset_id)
    return _shown(node, actor, dataset_id, response)


@router.post("/datasets/{dataset_id}/retry")
def retry_dataset(
    node: NodeDep, actor: ActorDep, dataset_id: DatasetId, response: Response
) -> DatasetResource:
    """Make a failed or cancelled draft again."""
    node.drafts.retry(actor, dataset_id)
    return _shown(node, actor, dataset_id, response)


@router.get("/datasets/{dataset_id}/metadata")
def export_metadata(node: NodeDep, actor: AnyoneDep, dataset_id: DatasetId) -> dict[str, Any]:
    """Return the metadata as one document: counts, never persons."""
    opened = node.catalogue.show(actor, dataset_id)
    return to_metadata(opened.dataset, told_of(opened))


@router.get("/datasets/{dataset_id}/series")
def list_series(
    node: NodeDep,
    actor: ActorDep,
    dataset_id: DatasetId,
    page: PageDep,
    request: Request,
    response: Response,
) -> ResourcePage[DatasetSeriesResource]:
    """Return the series of the dataset as frozen, by path."""
    found = node.catalogue.series(actor, dataset_id, page)
    return to_page(found, to_series, request, response)


@router.get(
    "/datasets/{dataset_id}/manifest",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
def read_manifest(node: NodeDep, actor: AnyoneDep, dataset_id: DatasetId) -> Response:
    """Return the canonical manifest, byte for byte (docs/manifest.md)."""
    dataset, stream = node.catalogue.manifest(actor, dataset_id)
    return manifest_response(dataset, stream)


@router.get("/datasets/{dataset_id}/manifest/proof")
def prove_file(
    node: NodeDep,
    actor: AnyoneDep,
    dataset_id: DatasetId,
    path: Annotated[str, Query(max_length=4000, description="The file's path in the manifest.")],
) -> InclusionProof:
    """Return the proof that one file is in the dataset (RFC 6962 §2.1.1)."""
    return InclusionProof.model_validate(node.catalogue.proof(actor, dataset_id, path).to_json())


def manifest_response(dataset: Dataset, stream: BinaryIO) -> StreamingResponse:
    """Return a manifest as a stream that closes its file."""
    headers = {"content-disposition": f'attachment; filename="{dataset.dataset_id}.manifest.json"'}
    if dataset.manifest is not None:
        headers["content-length"] = str(dataset.manifest.size)
        headers["etag"] = f'"{dataset.manifest.sha256}"'
    chunks = iter(lambda: stream.read(CHUNK), b"")
    closing = BackgroundTask(stream.close)
    return StreamingResponse(
        chunks, headers=headers, media_type="application/json", background=closing
    )


def _shown(node: NodeDep, actor: Actor, dataset_id: str, response: Response) -> DatasetResource:
    opened: OpenedDataset = node.catalogue.show(actor, dataset_id)
    response.headers["etag"] = etag_of(to_properties(opened.dataset))
    return to_dataset(opened)


def _chosen(
    where: str | dict[str, Any] | None, studies: list[str] | None
) -> Expression | StudyList | None:
    if where is not None and studies is not None:
        raise INVALID("Give “where” or “studies”, not both.", field="where")
    if studies is not None:
        return study_list(studies)
    return None if where is None else read_filter(where)


def read_filter(where: str | dict[str, Any]) -> Expression:
    """Read a filter as text or as JSON; empty selects everything. Raises `bad-filter`."""
    if isinstance(where, str):
        return parse(where) if where.strip() else EVERYTHING
    return from_json(where)
