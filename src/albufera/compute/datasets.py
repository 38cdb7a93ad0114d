"""What compute needs of the catalogue: which dataset an id means, and its view."""

from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import Connection

from albufera.kernel.policy import Thing


class Datasets(Protocol):
    """Datasets as jobs need them; the catalogue implements it."""

    def dataset_thing(self, connection: Connection, dataset_id: str) -> Thing | None:
        """Return the facts that rules look at, or None. MUST answer for any string."""
        ...

    def view(self, dataset_id: str) -> Path:
        """Return the folder of the dataset's view, building it if need be.

        It MUST hold exactly the dataset's series and the files named in the interfaces document.
        """
        ...
