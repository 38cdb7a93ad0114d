"""`/datasets/{id}/citation` and `/identifiers`: what was published, for programs of anybody."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from albufera.entrypoints.api.http import AnyoneDep, NodeDep, Resource

router = APIRouter(tags=["publication"])


class IdentifierResource(Resource):
    """What a persistent identifier leads to. `state` is that of the dataset."""

    identifier: str
    dataset_id: str
    version: int
    state: str
    url: str
    resolver: str
    root: str
    successor: str | None


@router.get("/datasets/{dataset_id}/citation")
def cite_dataset(
    node: NodeDep, _actor: AnyoneDep, dataset_id: Annotated[str, Path(max_length=100)]
) -> dict[str, Any]:
    """Return the signed citation bundle of a published dataset (docs/citation.md)."""
    return node.publication.citation(dataset_id)


@router.get("/identifiers/{identifier:path}")
def resolve_identifier(
    node: NodeDep, _actor: AnyoneDep, identifier: Annotated[str, Path(max_length=300)]
) -> IdentifierResource:
    """Return what an identifier of this node leads to; a tombstone's is found too."""
    found = node.publication.resolve(identifier)
    return IdentifierResource(
        identifier=identifier,
        dataset_id=found.dataset_id,
        version=found.version,
        state=found.state,
        url=found.url,
        resolver=found.resolver,
        root=found.root,
        successor=found.successor.url if found.successor else None,
    )
