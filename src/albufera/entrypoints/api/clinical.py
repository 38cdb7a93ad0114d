"""`/projects/{code}/clinical`: the e-form, clinical records, loading a table."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from pydantic import Field

from albufera.clinical.facts import data_dictionary
from albufera.clinical.model import MAX_FORM_BYTES, Completeness, LoadReport, Problem, Record
from albufera.clinical.model import Form as EForm
from albufera.clinical.records import MAX_VERSION
from albufera.entrypoints.api.http import (
    ActorDep,
    NodeDep,
    PageDep,
    Resource,
    ResourcePage,
    to_page,
)
from albufera.kernel.errors import CHANGED_MEANWHILE, FORBIDDEN, Refusal

router = APIRouter(prefix="/projects/{code}/clinical", tags=["clinical"])

JSON_BODY = {
    "requestBody": {
        "required": True,
        "description": "The e-form: a JSON Schema (2020-12) of one flat object.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


class FormResource(Resource):
    """A version of a project's e-form; `variables` is its data dictionary."""

    version: int
    title: str
    description: str
    digest: str
    created_at: str
    json_schema: dict[str, Any] = Field(serialization_alias="schema")
    variables: list[dict[str, Any]]
    allowed_actions: list[str]


class RecordResource(Resource):
    """The clinical record of a subject, by its pseudonym."""

    subject_name: str
    form_version: int
    values: dict[str, str | bool | int | float]
    digest: str
    updated_at: str


class ProblemResource(Resource):
    """What is wrong at a row (the line of the file, the header being 1) and column."""

    row: int | None
    column: str
    message: str


class LoadReportResource(Resource):
    """What became of a table; `rows` = new + updated + unchanged + rejected.

    The lists hold the first 1,000 problems each. `complete` is false when reading stopped early.
    """

    form_version: int
    file_digest: str
    rows: int
    new: int
    updated: int
    unchanged: int
    rejected: int
    unknown_subjects: int
    errors: list[ProblemResource]
    error_count: int
    warnings: list[ProblemResource]
    warning_count: int
    complete: bool


class CompletenessResource(Resource):
    """For how many records a variable has a value."""

    variable: str
    title: str
    filled: int
    records: int


async def small_body(request: Request) -> bytes:
    """Return the request's body, or its first part when it is larger than any e-form."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_FORM_BYTES:
            break
    return content


def _etag(form: EForm) -> str:
    return f'"{form.version}-{form.digest[:24]}"'


def _form(form: EForm, allowed: list[str]) -> FormResource:
    return FormResource(
        version=form.version,
        title=form.title,
        description=form.description,
        digest=form.digest,
        created_at=form.created_at.isoformat() if form.created_at else "",
        json_schema=dict(form.schema),
        variables=data_dictionary(form),
        allowed_actions=allowed,
    )


def _record(record: Record) -> RecordResource:
    return RecordResource(
        subject_name=record.subject,
        form_version=record.form_version,
        values=dict(record.values),
        digest=record.digest,
        updated_at=record.updated_at.isoformat(),
    )


def _problem(problem: Problem) -> ProblemResource:
    return ProblemResource(row=problem.row, column=problem.column, message=problem.message)


def _report(report: LoadReport) -> LoadReportResource:
    shown = {name: getattr(report, name) for name in LoadReportResource.model_fields}
    shown["errors"] = [_problem(item) for item in report.errors]
    shown["warnings"] = [_problem(item) for item in report.warnings]
    return LoadReportResource(**shown)


def _completeness(item: Completeness) -> CompletenessResource:
    return CompletenessResource(
        variable=item.variable, title=item.title, filled=item.filled, records=item.records
    )


@router.get("/form")
def show_form(
    node: NodeDep,
    actor: ActorDep,
    code: str,
    response: Response,
    version: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
) -> FormResource:
    """Return the project's e-form: the present version, or the one that is named."""
    form = node.clinical.form(actor, code, version)
    response.headers["etag"] = _etag(form)
    return _form(form, list(node.clinical.allowed(actor, code)))


@router.put("/form", openapi_extra=JSON_BODY)
def define_form(
    node: NodeDep,
    actor: ActorDep,
    code: str,
    request: Request,
    response: Response,
    content: Annotated[bytes, Depends(small_body)],
) -> FormResource:
    """Make a JSON Schema the project's e-form; the same one again makes no new version."""
    wanted = request.headers.get("if-match", "*")
    if wanted != "*" and _present_etag(node, actor, code) not in wanted:
        raise CHANGED_MEANWHILE()
    form = node.clinical.define_form(actor, code, content)
    response.headers["etag"] = _etag(form)
    return _form(form, list(node.clinical.allowed(actor, code)))


def _present_etag(node: NodeDep, actor: ActorDep, code: str) -> str:
    if "define-form" not in node.clinical.allowed(actor, code):
        raise FORBIDDEN()
    try:
        return _etag(node.clinical.form(actor, code))
    except Refusal:
        return "there is no form"


@router.get("/records")
def list_records(
    node: NodeDep,
    actor: ActorDep,
    code: str,
    page: PageDep,
    request: Request,
    response: Response,
) -> ResourcePage[RecordResource]:
    """Return the clinical records, by subject (pseudonyms)."""
    return to_page(node.clinical.records(actor, code, page), _record, request, response)


@router.post("/records")
def load_table(
    node: NodeDep,
    actor: ActorDep,
    code: str,
    table: Annotated[UploadFile, File(description="CSV in UTF-8 with a header line.")],
    key: Annotated[
        str, Form(max_length=64, description="The column of the subject; empty: by its name.")
    ] = "",
) -> LoadReportResource:
    """Load a table; rows in order are stored, the others are reported by row and column."""
    return _report(node.clinical.load(actor, code, table.file, key))


@router.get("/completeness")
def show_completeness(node: NodeDep, actor: ActorDep, code: str) -> list[CompletenessResource]:
    """Return for each variable how many records have a value."""
    return [_completeness(item) for item in node.clinical.completeness(actor, code)]
