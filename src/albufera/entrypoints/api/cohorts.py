"""`/cohorts`: how many subjects, studies and series a filter finds, and how they divide."""

from fastapi import APIRouter
from pydantic import Field

from albufera.catalogue.cohorts import FACETS
from albufera.catalogue.query.concepts import CONCEPTS
from albufera.catalogue.query.language import render
from albufera.entrypoints.api.dataset_resources import CountsResource, Where, to_counts
from albufera.entrypoints.api.datasets import read_filter
from albufera.entrypoints.api.http import ActorDep, NodeDep, Resource

router = APIRouter(tags=["catalogue"])


class CohortQuestion(Resource):
    """A filter, as text or as JSON; empty finds everything."""

    where: Where = Field("", examples=["modality = CT and age >= 50"])


class CohortCount(Resource):
    """What a filter finds, and the filter as it was understood."""

    where: str
    counts: CountsResource


class FacetValueResource(Resource):
    """One value of a facet."""

    value: str
    label: str
    subjects: int
    series: int


class FacetResource(Resource):
    """A way to divide what was found."""

    key: str
    label: str
    values: list[FacetValueResource]


class CohortResource(CohortCount):
    """What a filter finds, divided by every facet."""

    facets: list[FacetResource]


class ConceptResource(Resource):
    """Something to filter by."""

    key: str
    type: str
    description: str
    example: str


@router.get("/cohorts/concepts")
def list_concepts() -> list[ConceptResource]:
    """Return what a filter may speak of."""
    return [
        ConceptResource(key=c.key, type=c.type, description=c.sentence, example=c.example)
        for c in CONCEPTS.values()
    ]


@router.post("/cohorts/count")
def count_cohort(node: NodeDep, actor: ActorDep, body: CohortQuestion) -> CohortCount:
    """Count what a filter finds in the caller's projects."""
    expression = read_filter(body.where)
    counts = node.cohorts.count(actor, expression)
    return CohortCount(where=render(expression), counts=to_counts(counts))


@router.post("/cohorts/explore")
def explore_cohort(node: NodeDep, actor: ActorDep, body: CohortQuestion) -> CohortResource:
    """Count what a filter finds, and divide it by every facet."""
    expression = read_filter(body.where)
    found = node.cohorts.explore(actor, expression, {})
    facets = [
        FacetResource(
            key=facet.key,
            label=facet.label,
            values=[
                FacetValueResource(
                    value=v.value, label=v.label, subjects=v.subjects, series=v.series
                )
                for v in found.facets[facet.key]
            ],
        )
        for facet in FACETS
    ]
    return CohortResource(where=render(expression), counts=to_counts(found.counts), facets=facets)
