"""The clinical page of a project: its e-form as a dictionary, tables, completeness, records."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile

from albufera.clinical.model import (
    FORM_NOT_FOUND,
    FORM_REFUSED,
    MAX_FORM_BYTES,
    TABLE_REFUSED,
    Completeness,
    Form,
    LoadReport,
    Variable,
    VariableType,
)
from albufera.entrypoints.web.charts import Chart, heat_row
from albufera.entrypoints.web.rendering import (
    ActorDep,
    Flash,
    FormDep,
    NodeDep,
    field,
    redirect,
    render,
)
from albufera.kernel.errors import INVALID, Refusal
from albufera.kernel.pages import PageRequest

router = APIRouter(prefix="/projects/{code}/clinical")

RECORDS_SHOWN = 25
SHOWN_VALUES = 12


@router.get("")
def clinical_page(
    request: Request, node: NodeDep, actor: ActorDep, code: str, after: str = ""
) -> Response:
    """Show the form, the completeness of its variables, and the records."""
    return _page(request, node, actor, code, after=after[:64])


@router.post("/form")
def define_form(
    request: Request, node: NodeDep, actor: ActorDep, code: str, form: FormDep
) -> Response:
    """Take a JSON Schema as the project's e-form."""
    try:
        content = _file(form, "schema").file.read(MAX_FORM_BYTES + 1)
        made = node.clinical.define_form(actor, code, content)
    except Refusal as refusal:
        return _page(request, node, actor, code, form_refusal=refusal)
    text = f"“{made.title}” is the e-form of {code}, version {made.version}."
    return redirect(f"/projects/{code}/clinical", Flash("success", text))


@router.post("/table")
def load_table(
    request: Request, node: NodeDep, actor: ActorDep, code: str, form: FormDep
) -> Response:
    """Load a table and show what became of it."""
    try:
        report = node.clinical.load(actor, code, _file(form, "table").file, field(form, "key"))
    except Refusal as refusal:
        return _page(request, node, actor, code, table_refusal=refusal)
    return _page(request, node, actor, code, report=report)


def _page(
    request: Request,
    node: NodeDep,
    actor: ActorDep,
    code: str,
    *,
    after: str = "",
    report: LoadReport | None = None,
    form_refusal: Refusal | None = None,
    table_refusal: Refusal | None = None,
) -> Response:
    allowed = node.clinical.allowed(actor, code)
    refusal = form_refusal or table_refusal
    if refusal is not None and refusal.error not in (INVALID, FORM_REFUSED, TABLE_REFUSED):
        raise refusal
    context: dict[str, Any] = {"records": None, "chart": None, "record_count": 0}
    if "view" in allowed:
        complete = node.clinical.completeness(actor, code)
        context["chart"] = _chart(complete)
        context["record_count"] = complete[0].records if complete else 0
        context["records"] = node.clinical.records(
            actor, code, PageRequest(after or None, RECORDS_SHOWN)
        )
    form = _present_form(node, actor, code)
    return render(
        request,
        "clinical.html",
        200 if refusal is None else refusal.error.status,
        project=node.projects.show(actor, code),
        allowed=allowed,
        form=form,
        variables=[_shown(variable) for variable in form.variables] if form else [],
        report=report,
        form_refusal=form_refusal,
        table_refusal=table_refusal,
        after=after,
        **context,
    )


def _present_form(node: NodeDep, actor: ActorDep, code: str) -> Form | None:
    try:
        return node.clinical.form(actor, code)
    except Refusal as refusal:
        if refusal.error is FORM_NOT_FOUND:
            return None
        raise


def _file(form: FormData, name: str) -> UploadFile:
    sent = form.get(name)
    if not isinstance(sent, UploadFile) or not sent.filename:
        raise INVALID("Choose a file first.", field=name)
    return sent


def _chart(complete: Sequence[Completeness]) -> Chart | None:
    items = [(item.title, item.filled, item.records) for item in complete]
    return heat_row("Completeness of the variables", items, unit="records") if items else None


def _shown(variable: Variable) -> dict[str, Any]:
    titles = [choice.title for choice in variable.choices]
    more = len(titles) - SHOWN_VALUES
    shown = ", ".join(titles[:SHOWN_VALUES]) + (f" and {more} more" if more > 0 else "")
    return {
        "name": variable.name,
        "column": {"label": variable.title, "kind": _kind(variable)},
        "title": variable.title,
        "description": variable.description,
        "type": variable.type.value,
        "unit": variable.unit_words or None,
        "values": shown or _bounds(variable.schema) or None,
        "required": variable.required,
    }


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
    }
    return ", ".join(f"{said} {schema[key]}" for key, said in words.items() if key in schema)


def _kind(variable: Variable) -> str:
    numeric = variable.type in (VariableType.INTEGER, VariableType.NUMBER)
    return "number" if numeric else "text"
