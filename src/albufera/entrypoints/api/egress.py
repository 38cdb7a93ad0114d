"""`/egress-requests`: results leave only after another person's review."""

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import Field

from albufera.bootstrap.node import Node
from albufera.compute.airlock.model import (
    MAX_PATHS,
    EgressFile,
    EgressRequest,
    EgressState,
    Severity,
)
from albufera.entrypoints.api.http import (
    ActorDep,
    NodeDep,
    PageDep,
    Resource,
    ResourcePage,
    to_page,
)

router = APIRouter(tags=["airlock"])

DOWNLOAD_HEADERS = {
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
MAX_PATH = 8192
_NOT_IN_ZIP = str.maketrans(dict.fromkeys('\\:*?"<>|', "_"))


class NewEgressRequest(Resource):
    """Which outputs of a job should leave, and what for."""

    job_id: str = Field(max_length=64)
    paths: list[Annotated[str, Field(max_length=MAX_PATH)]] = Field(
        min_length=1, max_length=MAX_PATHS
    )
    purpose: str = Field("", max_length=4000)


class Decision(Resource):
    """A review's words."""

    reason: str = Field("", max_length=4000)


class FindingResource(Resource):
    """What was noticed in a file before a person looked."""

    code: str
    severity: Severity
    sentence: str


class EgressFileResource(Resource):
    """A frozen file."""

    path: str
    size: int
    sha256: str
    kind: str
    findings: list[FindingResource]


class EgressResource(Resource):
    """An egress request."""

    request_id: str
    project_id: str
    job_id: str
    owner: str
    purpose: str
    state: EgressState
    reason: str
    reviewer: str
    files: list[EgressFileResource]
    requested_at: str
    reviewed_at: str | None
    allowed_actions: list[str] = Field(default_factory=list)


def to_resource(found: EgressRequest, allowed: tuple[str, ...] = ()) -> EgressResource:
    """Return an egress request as it goes over the wire."""
    return EgressResource(
        request_id=found.request_id,
        project_id=found.project_id,
        job_id=found.job_id,
        owner=found.owner,
        purpose=found.purpose,
        state=found.state,
        reason=found.reason,
        reviewer=found.reviewer,
        files=[EgressFileResource.model_validate(file) for file in found.files],
        requested_at=found.requested_at.isoformat(),
        reviewed_at=found.reviewed_at.isoformat() if found.reviewed_at else None,
        allowed_actions=list(allowed),
    )


@router.get("/egress-requests")
def list_requests(
    node: NodeDep,
    actor: ActorDep,
    page: PageDep,
    request: Request,
    response: Response,
    state: Annotated[EgressState | None, Query()] = None,
) -> ResourcePage[EgressResource]:
    """Return the egress requests that the caller may see, newest first."""
    return to_page(node.airlock.list(actor, page, state), to_resource, request, response)


@router.post("/egress-requests", status_code=201)
def request_egress(node: NodeDep, actor: ActorDep, body: NewEgressRequest) -> EgressResource:
    """Freeze outputs of an ended job and ask that they leave."""
    made = node.airlock.request(actor, body.job_id, body.paths, body.purpose)
    return to_resource(*node.airlock.show(actor, made.request_id))


@router.get("/egress-requests/{request_id}")
def show_request(node: NodeDep, actor: ActorDep, request_id: str) -> EgressResource:
    """Return an egress request with its files and their findings."""
    return to_resource(*node.airlock.show(actor, request_id))


@router.post("/egress-requests/{request_id}/approve")
def approve(node: NodeDep, actor: ActorDep, request_id: str, body: Decision) -> EgressResource:
    """Let the frozen files leave."""
    node.airlock.approve(actor, request_id, body.reason)
    return to_resource(*node.airlock.show(actor, request_id))


@router.post("/egress-requests/{request_id}/reject")
def reject(node: NodeDep, actor: ActorDep, request_id: str, body: Decision) -> EgressResource:
    """Keep the files inside, with the reason."""
    node.airlock.reject(actor, request_id, body.reason)
    return to_resource(*node.airlock.show(actor, request_id))


@router.get("/egress-requests/{request_id}/files/{index}", response_class=FileResponse)
def inspect_file(node: NodeDep, actor: ActorDep, request_id: str, index: int) -> FileResponse:
    """Return a frozen file to a reviewer; who looked at what is recorded."""
    file, path = node.airlock.inspect(actor, request_id, [index])[0]
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=_download_name(file),
        headers=DOWNLOAD_HEADERS,
    )


@router.get("/egress-requests/{request_id}/content", response_class=StreamingResponse)
def fetch(node: NodeDep, actor: ActorDep, request_id: str) -> StreamingResponse:
    """Return the approved files as one ZIP to the person who asked."""
    return as_zip(node, node.airlock.fetch(actor, request_id))


def as_zip(node: Node, found: EgressRequest) -> StreamingResponse:
    """Return the frozen files of an approved request as a ZIP, made while it is sent."""
    disposition = f'attachment; filename="{found.request_id}.zip"'
    headers = {**DOWNLOAD_HEADERS, "content-disposition": disposition}
    files = (
        (name, node.airlock.freezer.read(found.request_id, file))
        for name, file in zip(zip_names(found.files), found.files, strict=True)
    )
    return StreamingResponse(zip_stream(files), media_type="application/zip", headers=headers)


def zip_names(files: Sequence[EgressFile]) -> list[str]:
    """Return the names inside a ZIP: relative, never climbing, the same on every system.

    A backslash or a colon is harmless in a name here and leads elsewhere on Windows.
    """
    names: list[str] = []
    for file in files:
        name = file.path.translate(_NOT_IN_ZIP)
        unique, count = name, 1
        while unique in names:
            count += 1
            unique = f"{name}.{count}"
        names.append(unique)
    return names


def zip_stream(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a ZIP of named contents, piece by piece. What the contents raise breaks it off."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as target:
                for chunk in content:
                    target.write(chunk)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """A place for a ZIP to be written to, from which the bytes are taken at once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        content, self._parts = b"".join(self._parts), []
        return content


def _download_name(file: EgressFile) -> str:
    name = file.path.rpartition("/")[2]
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:120] or "file"
