"""What datasets look like on the wire."""

from collections.abc import Container
from typing import Annotated, Any

from pydantic import Field

from albufera.catalogue.model import (
    MAX_NAME,
    MAX_SHORT,
    MAX_STUDIES,
    MAX_TEXT,
    Counts,
    Dataset,
    DatasetSeries,
    DatasetState,
    ManifestDigest,
    Verification,
)
from albufera.catalogue.query.expression import MAX_TEXT as MAX_FILTER
from albufera.catalogue.service import OpenedDataset
from albufera.entrypoints.api.http import Resource
from albufera.kernel.clock import isoformat
from albufera.kernel.outbox import TaskProgress, TaskState
from albufera.publication.disclosure import public_aggregate, public_total

StudyName = Annotated[str, Field(min_length=1, max_length=200)]
Where = Annotated[str, Field(max_length=MAX_FILTER)] | dict[str, Any]
_FILTER = (
    "A filter as text (docs/filters.md), or as JSON: {operand, children} / {key, type, value}."
)


class NewDataset(Resource):
    """A dataset to make: of what a filter selects, or of listed studies."""

    project: str = Field(max_length=64, examples=["LUNG"])
    name: str = Field(max_length=MAX_NAME)
    description: str = Field("", max_length=MAX_TEXT)
    purpose: str = Field("", max_length=MAX_TEXT)
    licence: str = Field("", max_length=MAX_SHORT, examples=["CC-BY-4.0"])
    contact: str = Field("", max_length=MAX_SHORT)
    where: Where | None = Field(None, description=_FILTER, examples=["modality = CT and age >= 50"])
    studies: list[StudyName] | None = Field(
        None, max_length=MAX_STUDIES, description="Studies by id or (de-identified) UID."
    )


class NewVersion(Resource):
    """What is different in a new version; what is left out stays as it was."""

    name: str | None = Field(None, max_length=MAX_NAME)
    description: str | None = Field(None, max_length=MAX_TEXT)
    purpose: str | None = Field(None, max_length=MAX_TEXT)
    licence: str | None = Field(None, max_length=MAX_SHORT)
    contact: str | None = Field(None, max_length=MAX_SHORT)
    where: Where | None = Field(None, description=_FILTER)
    studies: list[StudyName] | None = Field(None, max_length=MAX_STUDIES)


class PropertyChanges(Resource):
    """Properties of a draft to change."""

    name: str | None = Field(None, max_length=MAX_NAME)
    description: str | None = Field(None, max_length=MAX_TEXT)
    purpose: str | None = Field(None, max_length=MAX_TEXT)
    licence: str | None = Field(None, max_length=MAX_SHORT)
    contact: str | None = Field(None, max_length=MAX_SHORT)


class Reason(Resource):
    """Why something is done."""

    reason: str = Field(max_length=MAX_TEXT)


class DatasetProperties(Resource):
    """What may change of a dataset; its entity tag is made of this."""

    dataset_id: str
    state: DatasetState
    name: str
    description: str
    purpose: str
    licence: str
    contact: str


class CountsResource(Resource):
    """How much there is. `subjects` is null where so few may not be told; `bytes` is in bytes."""

    subjects: int | None
    studies: int
    series: int
    images: int
    bytes: int


class ManifestResource(Resource):
    """What identifies the manifest: Merkle root and SHA-256 in hexadecimal, size in bytes."""

    root: str
    sha256: str
    size: int


class ProgressResource(Resource):
    """How far a task is."""

    state: TaskState
    done: int
    total: int
    note: str


class VerificationResource(Resource):
    """How the last verification went. `problems` names up to a hundred, to those who may verify."""

    state: str
    progress: ProgressResource | None = None
    at: str | None = None
    requested_by: str | None = None
    passed: bool | None = None
    root: str | None = None
    files: int | None = None
    bytes: int | None = None
    corrupt: int | None = None
    missing: int | None = None
    extra: int | None = None
    problems: list[dict[str, Any]] | None = None


class VersionResource(Resource):
    """One version of a dataset."""

    id: str
    version: int
    state: DatasetState
    created_at: str


class SelectionResource(Resource):
    """Of what a dataset was made: a filter, or a number of listed studies."""

    where: str | None
    listed_studies: int


class DatasetSummary(DatasetProperties):
    """A dataset as lists show it."""

    id: str
    project: str
    version: int
    previous_id: str | None
    next_id: str | None
    pid: str | None
    counts: CountsResource
    manifest: ManifestResource | None
    note: str
    reason: str
    created_at: str
    ready_at: str | None
    released_at: str | None
    published_at: str | None
    invalidated_at: str | None


class DatasetResource(DatasetSummary):
    """A dataset."""

    created_by: str | None
    selection: SelectionResource | None
    aggregate: dict[str, Any]
    versions: list[VersionResource]
    progress: ProgressResource | None
    verification: VerificationResource | None
    allowed_actions: list[str]
    editable: list[str]


class DatasetSeriesResource(Resource):
    """A series of a dataset, with its counts as frozen."""

    series_id: str
    series_uid: str
    study_id: str
    study_uid: str
    subject: str
    path: str
    modality: str
    body_part: str
    description: str
    images: int
    bytes: int


class ProvenFile(Resource):
    """The file that a proof is about."""

    path: str
    size: int
    sha256: str


class InclusionProof(Resource):
    """That one file is in a manifest: the audit path from its leaf to the root."""

    format: str
    file: ProvenFile
    index: int
    files: int
    root: str
    audit_path: list[str]


def to_properties(dataset: Dataset) -> DatasetProperties:
    """Return what the entity tag is made of."""
    told = dataset.properties
    return DatasetProperties(
        dataset_id=dataset.dataset_id,
        state=dataset.state,
        name=told.name,
        description=told.description,
        purpose=told.purpose,
        licence=told.licence,
        contact=told.contact,
    )


def to_counts(counts: Counts) -> CountsResource:
    """Make a wire form of counts."""
    return CountsResource(
        subjects=counts.subjects,
        studies=counts.studies,
        series=counts.series,
        images=counts.images,
        bytes=counts.byte_count,
    )


def to_summary(dataset: Dataset, known_inside: Container[str]) -> DatasetSummary:
    """Make a wire form of a dataset for lists; `known_inside` are those shown with all counts."""
    summary = DatasetSummary(**_common(dataset))
    if dataset.dataset_id not in known_inside:
        summary.counts.subjects = public_total(dataset.counts.subjects)
    return summary


def told_of(opened: OpenedDataset) -> dict[str, Any]:
    """Return the aggregated metadata; who may not read the manifest sees no small count."""
    inside = "manifest" in opened.allowed
    return dict(opened.aggregate) if inside else public_aggregate(opened.aggregate)


def to_dataset(opened: OpenedDataset) -> DatasetResource:
    """Make a wire form of a dataset; who may only see its metadata learns nothing of its making."""
    dataset, inside = opened.dataset, "list-series" in opened.allowed or "edit" in opened.allowed
    selection = SelectionResource(
        where=dataset.selection.where or None, listed_studies=dataset.selection.study_count
    )
    resource = DatasetResource(
        **_common(dataset),
        created_by=dataset.creator if inside else None,
        selection=selection if inside else None,
        aggregate=told_of(opened),
        versions=[
            VersionResource(
                id=item.dataset_id,
                version=item.version,
                state=item.state,
                created_at=isoformat(item.created_at),
            )
            for item in opened.versions
        ],
        progress=_progress(opened.progress) if dataset.state is DatasetState.CREATING else None,
        verification=_verification(opened),
        allowed_actions=list(opened.allowed),
        editable=list(opened.editable),
    )
    if "manifest" not in opened.allowed:
        resource.counts.subjects = public_total(dataset.counts.subjects)
    return resource


def to_series(item: DatasetSeries) -> DatasetSeriesResource:
    """Make a wire form of a dataset's series."""
    return DatasetSeriesResource(
        series_id=item.series_id,
        series_uid=item.series_uid,
        study_id=item.study_id,
        study_uid=item.study_uid,
        subject=item.subject,
        path=item.folder,
        modality=item.modality,
        body_part=item.body_part,
        description=item.description,
        images=item.instance_count,
        bytes=item.byte_count,
    )


def _common(dataset: Dataset) -> dict[str, Any]:
    return {
        **to_properties(dataset).model_dump(),
        "id": dataset.dataset_id,
        "project": dataset.project,
        "version": dataset.version,
        "previous_id": dataset.previous_id,
        "next_id": dataset.next_id,
        "pid": dataset.pid,
        "counts": to_counts(dataset.counts),
        "manifest": _manifest(dataset.manifest),
        "note": dataset.note,
        "reason": dataset.reason,
        **{
            name: isoformat(at) if at is not None else None
            for name in ("created_at", "ready_at", "released_at", "published_at", "invalidated_at")
            for at in (getattr(dataset, name),)
        },
    }


def _manifest(digest: ManifestDigest | None) -> ManifestResource | None:
    if digest is None:
        return None
    return ManifestResource(root=digest.root, sha256=digest.sha256, size=digest.size)


def _progress(progress: TaskProgress | None) -> ProgressResource | None:
    if progress is None:
        return None
    return ProgressResource(
        state=progress.state, done=progress.done, total=progress.total, note=progress.note
    )


def _verification(opened: OpenedDataset) -> VerificationResource | None:
    task, last = opened.verifying, opened.verification
    active = task is not None and task.state in {TaskState.QUEUED, TaskState.RUNNING}
    if last is None:
        failed = task is not None and task.state is TaskState.FAILED
        if not active and not failed:
            return None
        state = task.state.value if task is not None else ""
        return VerificationResource(state=state, progress=_progress(task))
    state = task.state.value if active and task is not None else "done"
    return _outcome(last, state, _progress(task) if active else None, "verify" in opened.allowed)


def _outcome(
    last: Verification, state: str, progress: ProgressResource | None, inside: bool
) -> VerificationResource:
    return VerificationResource(
        state=state,
        progress=progress,
        at=isoformat(last.at),
        requested_by=last.requested_by if inside else None,
        passed=last.passed,
        root=last.root,
        files=last.files,
        bytes=last.byte_count,
        corrupt=last.corrupt,
        missing=last.missing,
        extra=last.extra,
        problems=[dict(item) for item in last.problems] if inside else None,
    )
