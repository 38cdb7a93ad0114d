"""What the public may see of a dataset, drawn from the catalogue."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from albufera.catalogue import records as catalogue
from albufera.catalogue.finding import find_known
from albufera.catalogue.model import DATASET_NOT_FOUND, Dataset, DatasetState
from albufera.kernel.policy import Policy
from albufera.publication import records
from albufera.publication.disclosure import public_aggregate
from albufera.publication.model import PublicDataset, PublicVersion, Publisher


def describe(
    connection: Connection, policy: Policy, publisher: Publisher, dataset_id: str
) -> PublicDataset:
    """Return a published dataset, or the tombstone of one. Raises `dataset-not-found`.

    A dataset that was never published is not found, whoever asks: this is the public's sight of it.
    """
    dataset = find_known(connection, dataset_id)
    versions = catalogue.chain(connection, dataset, records.public_condition(policy))
    if dataset_id not in {version.dataset_id for version in versions}:
        raise DATASET_NOT_FOUND()
    return _describe(connection, publisher, dataset, versions)


def _describe(
    connection: Connection, publisher: Publisher, dataset: Dataset, versions: Sequence[Dataset]
) -> PublicDataset:
    manifest, released, published = dataset.manifest, dataset.released_at, dataset.published_at
    if manifest is None or released is None or published is None:
        raise DATASET_NOT_FOUND()
    withdrawn = dataset.state is DatasetState.INVALIDATED
    aggregate = {} if withdrawn else catalogue.aggregate_of(connection, dataset.dataset_id)
    told = dataset.properties
    return PublicDataset(
        dataset_id=dataset.dataset_id,
        project_id=dataset.project_id,
        project=dataset.project,
        project_name=records.project_name(connection, dataset.project_id),
        publisher=publisher,
        version=dataset.version,
        state=dataset.state.value,
        name=told.name,
        description=told.description,
        purpose=told.purpose,
        licence=told.licence,
        contact=told.contact,
        aggregate={} if withdrawn else public_aggregate(aggregate),
        root=manifest.root,
        manifest_sha256=manifest.sha256,
        manifest_size=manifest.size,
        identifier=dataset.pid,
        released_at=released,
        published_at=published,
        invalidated_at=dataset.invalidated_at,
        reason=dataset.reason,
        versions=tuple(_version(publisher, version) for version in versions),
    )


def _version(publisher: Publisher, dataset: Dataset) -> PublicVersion:
    if dataset.published_at is None:
        raise DATASET_NOT_FOUND()
    return PublicVersion(
        dataset_id=dataset.dataset_id,
        version=dataset.version,
        state=dataset.state.value,
        identifier=dataset.pid,
        url=publisher.page(dataset.dataset_id),
        published_at=dataset.published_at,
    )
