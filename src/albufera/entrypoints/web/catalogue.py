"""The catalogue: what there is in one's projects, by facets and by a filter, before anything is
asked for."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.catalogue.cohorts import FACETS, Cohort, combined
from albufera.catalogue.query.concepts import CONCEPTS
from albufera.catalogue.query.expression import EVERYTHING
from albufera.catalogue.query.language import parse
from albufera.catalogue.query.language import render as to_text
from albufera.entrypoints.web.rendering import ActorDep, NodeDep, render
from albufera.kernel.errors import Refusal

router = APIRouter()
Chosen = Mapping[str, Sequence[str]]
_MAX_CHOICES = 50


@router.get("/catalogue")
def catalogue_page(request: Request, node: NodeDep, actor: ActorDep, where: str = "") -> Response:
    """Show how many subjects, studies and series a filter finds, divided by every facet."""
    chosen = _chosen(request)
    error, cohort, text = "", None, ""
    try:
        expression = parse(where) if where.strip() else EVERYTHING
        cohort = node.cohorts.explore(actor, expression, chosen)
        text = to_text(combined(expression, chosen))
    except Refusal as refusal:
        error = refusal.detail
    return render(
        request,
        "datasets/catalogue.html",
        422 if error else 200,
        where=where[:20_000],
        error=error,
        cohort=cohort,
        whole_filter=text,
        groups=_groups(cohort, chosen) if cohort else [],
        chips=_chips(where, chosen),
        kept=[(key, value) for key, values in chosen.items() for value in values],
        concepts=CONCEPTS.values(),
        projects=node.drafts.projects_for(actor),
        new_query=urlencode({"where": text, "project": _only_project(chosen)}),
    )


def _chosen(request: Request) -> dict[str, list[str]]:
    query = request.query_params
    found = {facet.key: query.getlist(facet.key)[:_MAX_CHOICES] for facet in FACETS}
    return {key: values for key, values in found.items() if values}


def _only_project(chosen: Chosen) -> str:
    wanted = chosen.get("project", ())
    return wanted[0] if len(wanted) == 1 else ""


def _groups(cohort: Cohort, chosen: Chosen) -> list[dict[str, Any]]:
    return [
        {
            "name": facet.key,
            "label": facet.label,
            "open": facet.key not in {"project", "collection"} or facet.key in chosen,
            "options": [
                {
                    "value": item.value,
                    "label": item.label,
                    "count": item.subjects,
                    "checked": item.value in chosen.get(facet.key, ()),
                }
                for item in cohort.facets[facet.key]
            ],
        }
        for facet in FACETS
    ]


def _chips(where: str, chosen: Chosen) -> list[dict[str, str]]:
    labels = {facet.key: facet.label for facet in FACETS}
    pairs = [(key, value) for key, values in chosen.items() for value in values]
    base = [("where", where)] if where else []
    return [
        {
            "label": labels[key],
            "value": value or "not stated",
            "remove_href": "/catalogue?" + urlencode([*base, *(p for p in pairs if p != pair)]),
        }
        for pair in pairs
        for key, value in (pair,)
    ]
