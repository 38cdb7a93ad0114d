"""What governance needs to know of things that live on higher floors."""

from typing import Protocol

from sqlalchemy.engine import Connection

from albufera.kernel.policy import Thing


class DatasetDirectory(Protocol):
    """Says which dataset an id means; the catalogue implements it."""

    def dataset_thing(self, connection: Connection, dataset_id: str) -> Thing | None:
        """Return the facts that rules look at, or None. MUST answer for any string."""
        ...
