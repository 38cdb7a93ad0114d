"""Pages of jobs: list, new, one job with its live log, cancel."""

import shlex
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from markupsafe import Markup
from starlette.datastructures import FormData, UploadFile

from albufera.compute.jobs import Submission
from albufera.compute.model import MAX_ATTACHED_BYTES, Flavour, Job, JobState
from albufera.entrypoints.plain import plain, plain_bytes
from albufera.entrypoints.web.rendering import (
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    human_bytes,
    redirect,
    render,
)
from albufera.kernel.actor import Actor
from albufera.kernel.errors import Refusal
from albufera.kernel.pages import PageRequest

router = APIRouter()

SHOWN_LOG = 64 * 1024
MAX_LOG = 32 * 1024 * 1024
LIVE = frozenset({JobState.QUEUED, JobState.RUNNING})


@router.get("/jobs")
def list_jobs(
    request: Request, node: NodeDep, actor: ActorDep, after: str = "", dataset: str = ""
) -> Response:
    """List the jobs that the viewer may see."""
    page = node.jobs.list(actor, PageRequest(after or None), dataset)
    live = any(job.state in LIVE for job in page.items)
    return render(request, "jobs/list.html", page=page, live=live, dataset=dataset, words=words)


@router.get("/jobs/new")
def new_job(request: Request, node: NodeDep, actor: ActorDep, dataset: str = "") -> Response:
    """Show the form for a new job."""
    return _form(request, node, actor, {"dataset": dataset, "command": "", "flavour": ""}, {})


@router.post("/jobs")
async def submit_job(request: Request, node: NodeDep, actor: ActorDep, form: FormDep) -> Response:
    """Queue a job from the form; files are read here, the rest is done in a thread."""
    files = await _uploads(form)
    return await run_in_threadpool(_submit, request, node, actor, form, files)


@router.get("/jobs/{job_id}")
def show_job(request: Request, node: NodeDep, actor: ActorDep, job_id: str) -> Response:
    """Show a job: its state, log, outputs and what may be done."""
    job, allowed = node.jobs.show(actor, job_id)
    log, begins = b"", 0
    if "logs" in allowed:
        log, begins = node.jobs.log_tail(actor, job_id, SHOWN_LOG)
    outputs, more = node.jobs.outputs(actor, job_id) if "egress" in allowed else ((), False)
    return render(
        request,
        "jobs/job.html",
        job=job,
        allowed=allowed,
        live=job.state in LIVE,
        log=plain_bytes(log),
        log_cut=begins > 0,
        outputs=outputs,
        more_outputs=more,
        words=words,
        ended=_ENDS.get(job.reason, ""),
        facts=_facts(job, node.catalogue.titles(actor, job.dataset_ids)),
    )


@router.get("/jobs/{job_id}/log")
def whole_log(node: NodeDep, actor: ActorDep, job_id: str) -> Response:
    """Return the whole log as plain text."""
    content = node.jobs.logs(actor, job_id, 0, MAX_LOG)
    headers = {"cache-control": "no-store"}
    return Response(plain_bytes(content), 200, headers, "text/plain; charset=utf-8")


@router.post("/jobs/{job_id}/cancel")
def cancel_job(node: NodeDep, actor: ActorDep, job_id: str, _form: FormDep) -> Response:
    """End a job."""
    node.jobs.cancel(actor, job_id)
    return redirect(f"/jobs/{job_id}", Flash("info", "The job is being ended."))


_ENDS = {
    "failed": "The command did not succeed",
    "timeout": "It took longer than its flavour allows",
    "out-of-memory": "It ran out of memory",
    "disk-full": "It wrote more than its flavour allows",
    "lost": "The run broke off",
    "access-ended": "The right to use its dataset ended",
    "sandbox-unavailable": "No sandbox could be had",
}
"""What the reasons of failed jobs mean."""

_FIELDS = {"datasets": "dataset"}
"""The fields of the form that have another name in the API."""


def words(command: tuple[str, ...]) -> str:
    """Write a command as one would type it."""
    return plain(shlex.join(command))


def _submit(
    request: Request, node: NodeDep, actor: ActorDep, form: FormData, files: dict[str, bytes]
) -> Response:
    values = {name: field(form, name) for name in ("dataset", "command", "flavour")}
    try:
        command = shlex.split(values["command"])
    except ValueError:
        errors = {"command": "A quotation mark is not closed."}
        return _form(request, node, actor, values, errors, 422)
    submission = Submission([values["dataset"]], command, values["flavour"], files)
    try:
        job = node.jobs.submit(actor, submission)
    except Refusal as refusal:
        where = str(refusal.facts.get("field", "command"))
        text = f"{refusal.detail} {refusal.error.remedy}"
        shown = {_FIELDS.get(where, where): text}
        return _form(request, node, actor, values, shown, refusal.error.status)
    return redirect(f"/jobs/{job.job_id}", Flash("success", "The job is queued."))


def _form(
    request: Request,
    node: NodeDep,
    actor: Actor,
    values: dict[str, str],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    usable = node.catalogue.usable(actor)
    return render(
        request,
        "jobs/new.html",
        status,
        values=values,
        errors=errors,
        datasets=[(item.dataset_id, f"{item.name} · version {item.version}") for item in usable],
        flavours=[(item.name, _flavour_label(item)) for item in node.jobs.flavours.values()],
        availability=node.jobs.runner.available(),
    )


async def _uploads(form: FormData) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = MAX_ATTACHED_BYTES + 1
    for item in form.getlist("files"):
        if isinstance(item, UploadFile) and item.filename:
            files[item.filename] = await item.read(left)
            left = max(1, left - len(files[item.filename]))
    return files


def _flavour_label(flavour: Flavour) -> str:
    memory, minutes = human_bytes(flavour.memory_bytes), max(1, flavour.seconds // 60)
    return f"{flavour.name}: {flavour.cpus:g} CPUs, {memory}, {minutes} min"


def _link(href: str, label: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(href, label)


def _facts(job: Job, titles: Mapping[str, str]) -> list[tuple[str, Any]]:
    seconds = None
    if job.started_at is not None and job.ended_at is not None:
        seconds = (job.ended_at - job.started_at).total_seconds()
    facts = [
        ("Datasets", [_link(f"/datasets/{d}", titles.get(d, d)) for d in job.dataset_ids]),
        ("Flavour", job.flavour),
        ("Asked by", job.owner),
        ("Exit code", job.exit_code),
        ("Ran for", f"{seconds:.1f} s" if seconds is not None else None),
        ("Processor time", f"{job.cpu_seconds:.1f} s" if job.ended_at else None),
        ("Most memory", human_bytes(job.memory_peak_bytes) if job.memory_peak_bytes else None),
    ]
    return [(term, value) for term, value in facts if value is not None]
