"""`/jobs`: commands run beside the data."""

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from albufera.compute.jobs import Submission
from albufera.compute.model import (
    MAX_ARGUMENTS,
    MAX_ATTACHED_BYTES,
    MAX_ATTACHED_FILES,
    MAX_ATTACHED_NAME,
    MAX_COMMAND_BYTES,
    MAX_DATASETS,
    Job,
    JobState,
)
from albufera.entrypoints.api.http import (
    ActorDep,
    NodeDep,
    PageDep,
    Resource,
    ResourcePage,
    to_page,
)
from albufera.entrypoints.plain import whole_characters
from albufera.kernel.errors import INVALID

router = APIRouter(tags=["compute"])

MAX_LOG_PART = 256 * 1024
MAX_CONTENT = 4 * (MAX_ATTACHED_BYTES // 3 + 1)
"""Characters of base64 (RFC 4648 §4) of the largest file that may go with a job."""


class AttachedFile(Resource):
    """A file placed in the job's working directory."""

    name: str = Field(min_length=1, max_length=MAX_ATTACHED_NAME, examples=["analyse.py"])
    content_base64: str = Field(max_length=MAX_CONTENT)


class NewJob(Resource):
    """A command to run on granted datasets of one project."""

    datasets: list[Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=MAX_DATASETS
    )
    command: list[Annotated[str, Field(max_length=MAX_COMMAND_BYTES)]] = Field(
        min_length=1, max_length=MAX_ARGUMENTS, examples=[["python", "analyse.py"]]
    )
    flavour: str = Field("", max_length=40)
    files: list[AttachedFile] = Field(default_factory=list, max_length=MAX_ATTACHED_FILES)


class JobResource(Resource):
    """A job."""

    job_id: str
    project_id: str
    owner: str
    datasets: list[str]
    command: list[str]
    flavour: str
    state: JobState
    reason: str
    detail: str
    exit_code: int | None
    submitted_at: str
    started_at: str | None
    ended_at: str | None
    memory_peak_bytes: int
    cpu_seconds: float
    allowed_actions: list[str] = Field(default_factory=list)


class LogPart(Resource):
    """A part of what a job printed. Ask again from `nextOffset`."""

    text: str
    next_offset: int


class OutputResource(Resource):
    """A file that a job left in `/outputs`."""

    path: str
    size: int
    readable: bool = Field(
        description="Whether the path can be asked for: it is UTF-8, of visible characters. Else "
        "it is written with escapes here."
    )


class Outputs(Resource):
    """What a job left; `more` tells that the list was cut."""

    items: list[OutputResource]
    more: bool


class FlavourResource(Resource):
    """A bundle of what a job may use."""

    name: str
    cpus: float
    memory_bytes: int
    seconds: int
    processes: int
    disk_bytes: int


def to_resource(job: Job, allowed: tuple[str, ...] = ()) -> JobResource:
    """Return a job as it goes over the wire."""
    return JobResource(
        job_id=job.job_id,
        project_id=job.project_id,
        owner=job.owner,
        datasets=list(job.dataset_ids),
        command=list(job.command),
        flavour=job.flavour,
        state=job.state,
        reason=job.reason,
        detail=job.detail,
        exit_code=job.exit_code,
        submitted_at=job.submitted_at.isoformat(),
        started_at=job.started_at.isoformat() if job.started_at else None,
        ended_at=job.ended_at.isoformat() if job.ended_at else None,
        memory_peak_bytes=job.memory_peak_bytes,
        cpu_seconds=job.cpu_seconds,
        allowed_actions=list(allowed),
    )


@router.get("/flavours")
def list_flavours(node: NodeDep, _actor: ActorDep) -> list[FlavourResource]:
    """Return the flavours; the first is used when none is named."""
    return [FlavourResource.model_validate(flavour) for flavour in node.jobs.flavours.values()]


@router.get("/jobs")
def list_jobs(
    node: NodeDep,
    actor: ActorDep,
    page: PageDep,
    request: Request,
    response: Response,
    dataset: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9-]*$")] = "",
) -> ResourcePage[JobResource]:
    """Return the jobs that the caller may see, newest first."""
    return to_page(node.jobs.list(actor, page, dataset), to_resource, request, response)


@router.post("/jobs", status_code=201)
def submit_job(node: NodeDep, actor: ActorDep, body: NewJob) -> JobResource:
    """Queue a job. It sees exactly the datasets' series, and nothing of the network."""
    submission = Submission(
        dataset_ids=body.datasets,
        command=body.command,
        flavour=body.flavour,
        files=_contents(body.files),
    )
    job = node.jobs.submit(actor, submission)
    return to_resource(*node.jobs.show(actor, job.job_id))


@router.get("/jobs/{job_id}")
def show_job(node: NodeDep, actor: ActorDep, job_id: str) -> JobResource:
    """Return a job."""
    return to_resource(*node.jobs.show(actor, job_id))


@router.post("/jobs/{job_id}/cancel")
def cancel_job(node: NodeDep, actor: ActorDep, job_id: str) -> JobResource:
    """End a job: at once if it waits, within moments if it runs."""
    node.jobs.cancel(actor, job_id)
    return to_resource(*node.jobs.show(actor, job_id))


@router.get("/jobs/{job_id}/logs")
def job_logs(
    node: NodeDep,
    actor: ActorDep,
    job_id: str,
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LOG_PART)] = MAX_LOG_PART,
) -> LogPart:
    """Return what the job printed, from a byte offset on; never half a character.

    The text is as the job printed it: whoever shows it takes care of control characters.
    """
    content = whole_characters(node.jobs.logs(actor, job_id, offset, limit))
    return LogPart(text=content.decode("utf-8", "replace"), next_offset=offset + len(content))


@router.get("/jobs/{job_id}/outputs")
def job_outputs(node: NodeDep, actor: ActorDep, job_id: str) -> Outputs:
    """Return the names and sizes of what the job left. Contents leave by the airlock alone."""
    found, more = node.jobs.outputs(actor, job_id)
    return Outputs(items=[OutputResource.model_validate(item) for item in found], more=more)


def _contents(items: list[AttachedFile]) -> dict[str, bytes]:
    if len({item.name for item in items}) != len(items):
        raise INVALID("Two of the files have the same name.", field="files")
    return {item.name: _content(item) for item in items}


def _content(item: AttachedFile) -> bytes:
    try:
        return base64.b64decode(item.content_base64, validate=True)
    except (binascii.Error, ValueError) as failure:
        raise INVALID(
            f"The content of {item.name[:80]!r} is not base64.", field="files"
        ) from failure
