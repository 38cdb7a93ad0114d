"""Verbs of publication: show to anybody, resolve an identifier, cite, list what is public."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from albufera.catalogue.model import DATASET_NOT_FOUND
from albufera.kernel import clock
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.policy import Policy
from albufera.kernel.signing import SigningKey, VerifyKey
from albufera.publication import records
from albufera.publication.citation import REGISTERED, RELEASED, sign_bundle
from albufera.publication.describing import describe
from albufera.publication.formats.citing import to_text
from albufera.publication.formats.plain import to_json
from albufera.publication.model import (
    CITATION_NOT_READY,
    IDENTIFIER_NOT_FOUND,
    PublicDataset,
    Publisher,
    is_identifier,
)
from albufera.publication.ports import LogProofs

MAX_PAGES = 50_000
"""Most addresses of one sitemap (https://www.sitemaps.org/protocol.html)."""


@dataclass(frozen=True)
class PublicPage:
    """A landing page for the sitemap."""

    url: str
    changed_at: datetime


class PublicationService:
    """What anybody may have of published datasets: nobody needs to be signed in."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        publisher: Publisher,
        proofs: LogProofs,
        key: SigningKey,
    ) -> None:
        self.database = database
        self.policy = policy
        self.publisher = publisher
        self._proofs = proofs
        self._key = key

    @property
    def key(self) -> VerifyKey:
        """The public key that checks this node's citation bundles."""
        return self._key.verify_key

    def show(self, dataset_id: str) -> PublicDataset:
        """Return a published dataset, or a tombstone. Raises `dataset-not-found`."""
        with self.database.read() as connection:
            return describe(connection, self.policy, self.publisher, dataset_id)

    def find(self, dataset_id: str) -> PublicDataset | None:
        """Return what the public may see of a dataset, or None."""
        try:
            return self.show(dataset_id)
        except Refusal as refusal:
            if refusal.code == DATASET_NOT_FOUND.code:
                return None
            raise

    def resolve(self, identifier: str) -> PublicDataset:
        """Return the dataset of an identifier. Raises `identifier-not-found`."""
        if not is_identifier(identifier):
            raise IDENTIFIER_NOT_FOUND()
        with self.database.read() as connection:
            dataset_id = records.dataset_of(connection, identifier)
            if dataset_id is None:
                raise IDENTIFIER_NOT_FOUND()
            return describe(connection, self.policy, self.publisher, dataset_id)

    def citation(self, dataset_id: str) -> dict[str, Any]:
        """Return the signed citation bundle. Raises `dataset-not-found`, `citation-not-ready`."""
        dataset = self.show(dataset_id)
        proofs = {
            "released": self._proofs.first(RELEASED, dataset_id),
            "registered": self._proofs.first(REGISTERED, dataset_id),
        }
        found = {name: proof for name, proof in proofs.items() if proof is not None}
        if dataset.identifier is None or len(found) < len(proofs):
            raise CITATION_NOT_READY(f"{dataset.name} (version {dataset.version}) is on its way.")
        issued = clock.isoformat(clock.now())
        return sign_bundle(to_text(dataset), to_json(dataset), found, issued, self._key)

    def pages(self) -> Sequence[PublicPage]:
        """Return the landing pages of published datasets, at most `MAX_PAGES`, newest first."""
        with self.database.read() as connection:
            rows = records.published(connection, self.policy, MAX_PAGES)
        return [PublicPage(self.publisher.page(dataset_id), at) for dataset_id, at in rows]
