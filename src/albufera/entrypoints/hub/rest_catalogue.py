"""`/catalogue`: the datasets of all nodes, for anybody."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from albufera.entrypoints.api.resources import PageDep, Resource, ResourcePage, to_page
from albufera.entrypoints.hub.http import HubDep
from albufera.federation.hub.model import Entry, Search
from albufera.federation.messages import DatasetOffer

router = APIRouter(tags=["catalogue"])

Values = Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=50)]


class EntryResource(Resource):
    """A dataset as its node last described it. Counts are rounded by the node."""

    entry_id: str
    node_id: str
    node_name: str
    received_at: str
    dataset: DatasetOffer


class FacetResource(Resource):
    """A value of a facet, and how many datasets have it."""

    value: str
    label: str
    datasets: int


def _entry(entry: Entry) -> EntryResource:
    return EntryResource(
        entry_id=entry.entry_id,
        node_id=entry.node_id,
        node_name=entry.node_name,
        received_at=entry.received_at.isoformat(),
        dataset=entry.offer,
    )


def get_search(
    q: Annotated[str, Query(max_length=200, description="Words to look for.")] = "",
    node: Values = [],  # noqa: B006 - FastAPI copies it
    state: Values = [],  # noqa: B006
    modality: Values = [],  # noqa: B006
    body_part: Annotated[Values, Query(alias="bodyPart")] = [],  # noqa: B006
    sex: Values = [],  # noqa: B006
    diagnosis: Values = [],  # noqa: B006
) -> Search:
    """Return what is looked for."""
    facets = {
        "node": node,
        "state": state,
        "modality": modality,
        "bodyPart": body_part,
        "sex": sex,
        "diagnosis": diagnosis,
    }
    return Search(q, {name: tuple(values) for name, values in facets.items() if values})


SearchDep = Annotated[Search, Depends(get_search)]


@router.get("/catalogue")
def search(
    hub: HubDep, request: Request, response: Response, wanted: SearchDep, page: PageDep
) -> ResourcePage[EntryResource]:
    """Return the datasets that match, tombstones included, the ones listed last first."""
    return to_page(hub.catalogue.search(wanted, page), _entry, request, response)


@router.get("/catalogue/facets")
def facets(hub: HubDep, wanted: SearchDep) -> dict[str, list[FacetResource]]:
    """Count the matching datasets by the values of each facet."""
    return {
        name: [FacetResource.model_validate(value) for value in values]
        for name, values in hub.catalogue.facets(wanted).items()
    }


@router.get("/catalogue/{entry_id}")
def show(hub: HubDep, entry_id: str) -> EntryResource:
    """Return a dataset of the catalogue."""
    return _entry(hub.catalogue.show(entry_id))
