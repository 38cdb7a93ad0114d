"""`/trace`: the log of everything that was done, its proofs and its verification."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from albufera.entrypoints.api.http import (
    ActorDep,
    AnyoneDep,
    NodeDep,
    PageDep,
    Resource,
    ResourcePage,
    to_page,
)
from albufera.entrypoints.stories import Story, asked, stories, tell
from albufera.kernel.canonical import MAX_INTEGER, to_base64
from albufera.trace.findings import Verification
from albufera.trace.records import Order

router = APIRouter(tags=["trace"])

IndexPath = Annotated[int, Path(ge=0, le=MAX_INTEGER)]
SizeQuery = Annotated[int, Query(ge=0, le=MAX_INTEGER)]
Text = Annotated[str | None, Query(max_length=256)]


class EntryResource(Resource):
    """An entry of the log. `sentence` says for people what `verb` means."""

    index: int
    event_id: str
    verb: str
    at: str
    actor_id: str
    actor: str
    project_id: str | None
    project: str | None
    subjects: dict[str, str | int]
    sentence: str


class CheckpointResource(Resource):
    """The signed head of the log. `note` is the signed text, `vkey` the key that checks it."""

    origin: str
    size: int
    root: str
    signed_at: str
    note: str
    vkey: str


class ConsistencyResource(Resource):
    """The hashes (base64) that prove that the log of `second` entries extends that of `first`."""

    first: int
    second: int
    path: list[str]


class FindingResource(Resource):
    """Something wrong with the log; `index` is the entry that it is about."""

    index: int | None
    sentence: str


class ReportResource(Resource):
    """What reading the whole log has shown."""

    entries: int
    checkpoints: int
    root: str
    findings: list[FindingResource]
    total_findings: int


class VerificationResource(Resource):
    """A verification of the whole log."""

    verification_id: str
    state: str
    requested_by: str
    requested_at: str
    finished_at: str | None
    note: str
    done: int
    total: int
    report: ReportResource | None


class NewVerification(Resource):
    """What to compare the log with, besides itself: a checkpoint kept from earlier, if any."""

    checkpoint: str = Field("", max_length=100_000, description="A signed note of this log.")


def _entry(story: Story) -> EntryResource:
    entry = story.entry
    return EntryResource(
        index=entry.index,
        event_id=entry.event_id,
        verb=entry.verb,
        at=entry.at,
        actor_id=entry.actor_id,
        actor=story.actor,
        project_id=entry.project_id,
        project=story.project,
        subjects=dict(entry.subjects),
        sentence=story.sentence,
    )


def _verification(made: Verification) -> VerificationResource:
    report = None
    if made.report is not None:
        report = ReportResource(
            entries=made.report.entries,
            checkpoints=made.report.checkpoints,
            root=made.report.root,
            findings=[
                FindingResource(index=finding.index, sentence=finding.sentence)
                for finding in made.report.findings
            ],
            total_findings=made.report.total_findings,
        )
    return VerificationResource(
        verification_id=made.verification_id,
        state=made.state.value,
        requested_by=made.requested_by,
        requested_at=made.requested_at.isoformat(),
        finished_at=made.finished_at.isoformat() if made.finished_at else None,
        note=made.note,
        done=made.done,
        total=made.total,
        report=report,
    )


@router.get("/trace/entries")
def list_entries(
    node: NodeDep,
    actor: ActorDep,
    request: Request,
    response: Response,
    page: PageDep,
    dataset: Text = None,
    about: Text = None,
    project: Text = None,
    user: Text = None,
    verb: Text = None,
    since: datetime | None = None,
    until: datetime | None = None,
    order: Order = Order.NEWEST_FIRST,
) -> ResourcePage[EntryResource]:
    """Return the entries that the caller may see, by default the newest first.

    `dataset` and `about` ask for an identifier among the subjects, `user` for the name or the
    identifier of who acted, `project` for a code.
    """
    query = asked(
        node, actor, about=dataset or about, project=project, user=user, verb=verb,
        since=since, until=until, order=order,
    )  # fmt: skip
    told = stories(node, actor, node.trace.entries(actor, query, page))
    return to_page(told, _entry, request, response)


@router.get("/trace/entries/{index}")
def show_entry(node: NodeDep, actor: ActorDep, index: IndexPath) -> EntryResource:
    """Return the entry at a place of the log."""
    return _entry(tell(node, actor, node.trace.entry(actor, index)))


@router.get("/trace/events/{event_id}")
def show_entry_of_event(
    node: NodeDep, actor: ActorDep, event_id: Annotated[str, Path(max_length=256)]
) -> EntryResource:
    """Return the entry of an event."""
    return _entry(tell(node, actor, node.trace.entry_of_event(actor, event_id)))


@router.get("/trace/entries/{index}/proof")
def prove_entry(node: NodeDep, actor: ActorDep, index: IndexPath) -> dict[str, Any]:
    """Return the proof that an entry is in the log, to be checked offline (RFC 6962 §2.1.1)."""
    return node.trace.proof(actor, index).document()


@router.get("/trace/checkpoint")
def show_checkpoint(node: NodeDep, _actor: AnyoneDep) -> CheckpointResource:
    """Return the newest signed head of the log; anybody may have it, and keep it."""
    head = node.trace.checkpoint()
    return CheckpointResource(
        origin=head.checkpoint.origin,
        size=head.checkpoint.size,
        root=head.checkpoint.root.hex(),
        signed_at=head.signed_at.isoformat(),
        note=head.note,
        vkey=head.vkey,
    )


@router.get("/trace/consistency")
def prove_consistency(
    node: NodeDep, _actor: AnyoneDep, first: SizeQuery, second: SizeQuery
) -> ConsistencyResource:
    """Return the proof that one checkpoint's log extends another's (RFC 6962 §2.1.2)."""
    path = node.trace.consistency(first, second)
    return ConsistencyResource(
        first=first, second=second, path=[to_base64(digest) for digest in path]
    )


@router.post("/trace/verification", status_code=202)
def start_verification(
    node: NodeDep, actor: ActorDep, body: NewVerification
) -> VerificationResource:
    """Ask for a verification of the whole log, or join the one that runs."""
    return _verification(node.verifications.request(actor, body.checkpoint))


@router.get("/trace/verification")
def show_latest_verification(node: NodeDep, actor: ActorDep) -> VerificationResource:
    """Return the newest verification."""
    return _verification(node.verifications.show(actor))


@router.get("/trace/verification/{verification_id}")
def show_verification(
    node: NodeDep, actor: ActorDep, verification_id: Annotated[str, Path(max_length=64)]
) -> VerificationResource:
    """Return a verification."""
    return _verification(node.verifications.show(actor, verification_id))


@router.post("/trace/verification/{verification_id}/cancel")
def cancel_verification(
    node: NodeDep, actor: ActorDep, verification_id: Annotated[str, Path(max_length=64)]
) -> VerificationResource:
    """Stop a verification."""
    return _verification(node.verifications.cancel(actor, verification_id))
