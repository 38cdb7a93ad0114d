"""Pages of the federation's catalogue. Anybody may look."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from albufera.entrypoints.hub.http import HubDep
from albufera.entrypoints.hub.rendering import render
from albufera.entrypoints.web.charts import Chart, bar_chart
from albufera.federation.hub.catalogue import SEARCH_FACETS
from albufera.federation.hub.model import FacetValue, Search
from albufera.federation.messages import FACETS, DatasetOffer
from albufera.kernel.pages import PageRequest

router = APIRouter()

PAGE = 20
LABELS = {
    "node": "Node",
    "state": "State",
    "modality": "Modality",
    "bodyPart": "Body part",
    "sex": "Sex",
    "age": "Age",
    "diagnosis": "Diagnosis",
    "manufacturer": "Manufacturer",
    "year": "Year",
}
_CLOSED = frozenset({"age", "manufacturer", "year", "state"})
"""Facets that begin folded."""
_MAX_VALUES = 50


@router.get("/")
def catalogue(request: Request, hub: HubDep) -> Response:
    """Show the datasets of all nodes, narrowed by words and facets."""
    search, after = _search(request), request.query_params.get("after", "")[:100] or None
    page = hub.catalogue.search(search, PageRequest(after, PAGE))
    found = hub.catalogue.facets(search)
    return render(
        request,
        "hub/catalogue.html",
        words=search.words,
        entries=page.items,
        total=hub.catalogue.count(search),
        nodes=hub.catalogue.node_count(),
        groups=_groups(search, found),
        chips=_chips(search, found),
        kept=[(name, value) for name, values in search.facets.items() for value in values],
        next_href=_href(search, page.next_after) if page.next_after else None,
        first_href=_href(search) if after else None,
        few=_few_words,
    )


@router.get("/datasets/{entry_id}")
def dataset(request: Request, hub: HubDep, entry_id: str) -> Response:
    """Show what a node publishes about a dataset, with the way to its landing page."""
    entry = hub.catalogue.show(entry_id)
    charts, few = _charts(entry.offer)
    return render(
        request, "hub/dataset.html", entry=entry, offer=entry.offer, charts=charts, few=few
    )


def _search(request: Request) -> Search:
    query = request.query_params
    facets = {
        name: tuple(value[:200] for value in query.getlist(name)[:_MAX_VALUES])
        for name in SEARCH_FACETS
    }
    wanted = {name: values for name, values in facets.items() if values}
    return Search(query.get("q", "")[:200].strip(), wanted)


def _href(search: Search, after: str | None = None) -> str:
    pairs = [("q", search.words)] if search.words else []
    pairs += [(name, value) for name, values in search.facets.items() for value in values]
    pairs += [("after", after)] if after else []
    return "/?" + urlencode(pairs) if pairs else "/"


def _groups(search: Search, found: Mapping[str, Sequence[FacetValue]]) -> list[dict[str, Any]]:
    groups = []
    for name in SEARCH_FACETS:
        chosen = search.facets.get(name, ())
        options = [
            {
                "value": item.value,
                "label": item.label,
                "count": item.datasets,
                "checked": item.value in chosen,
            }
            for item in found[name]
        ]
        if options:
            opened = bool(chosen) or name not in _CLOSED
            groups.append({"name": name, "label": LABELS[name], "options": options, "open": opened})
    return groups


def _chips(search: Search, found: Mapping[str, Sequence[FacetValue]]) -> list[dict[str, str]]:
    chips = []
    for name, values in search.facets.items():
        labels = {item.value: item.label for item in found[name]}
        for value in values:
            rest = {**search.facets, name: tuple(v for v in values if v != value)}
            chips.append(
                {
                    "label": LABELS[name],
                    "value": labels.get(value, value),
                    "remove_href": _href(Search(search.words, rest)),
                }
            )
    return chips


def _charts(offer: DatasetOffer) -> tuple[list[Chart], list[tuple[str, str]]]:
    """Return a chart for each distribution, and the values of which too few have to be drawn."""
    charts, few = [], []
    for name in FACETS:
        shares = offer.distributions.get(name, [])
        told = [(share.value, share.at_least) for share in shares if share.at_least is not None]
        if told:
            label, whole = LABELS[name], offer.subjects.told().sure
            charts.append(
                bar_chart(
                    label, told, prefix=name, limit=20, unit="subjects", label=label, whole=whole
                )
            )
        untold = [share.value for share in shares if share.at_least is None]
        if untold:
            few.append((LABELS[name], ", ".join(untold)))
    return charts, few


def _few_words(offer: DatasetOffer) -> str:
    return offer.subjects.told().words
