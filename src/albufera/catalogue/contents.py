"""What a built dataset consists of: its frozen series and files, as streams."""

from collections.abc import Iterator
from typing import BinaryIO

from albufera.catalogue import records
from albufera.catalogue.manifest import Entry, ManifestReader
from albufera.catalogue.model import NO_MANIFEST, Dataset, DatasetSeries
from albufera.catalogue.ports import ManifestShelf
from albufera.kernel.database import Database
from albufera.lake.layout import InstanceKey

_BATCH = 500
SUFFIX = ".dcm"


class DatasetContents:
    """Reads manifests and series of datasets, in the order of the manifest."""

    def __init__(self, database: Database, shelf: ManifestShelf) -> None:
        self.database = database
        self.shelf = shelf

    def open_manifest(self, dataset: Dataset) -> BinaryIO:
        """Open the manifest. Raises `no-manifest`."""
        if dataset.manifest is None:
            raise NO_MANIFEST(f"{dataset.name} is {dataset.state.value} and has no manifest.")
        return self.shelf.open(dataset.dataset_id, dataset.manifest.sha256)

    def series(self, dataset: Dataset) -> Iterator[DatasetSeries]:
        """Give the dataset's series by folder, in batches of one query each."""
        after = ""
        while True:
            with self.database.read() as connection:
                batch = records.series_after(connection, dataset.dataset_id, after, _BATCH)
            yield from batch
            if len(batch) < _BATCH:
                return
            after = batch[-1].folder

    def files(
        self, dataset: Dataset, reader: ManifestReader
    ) -> Iterator[tuple[Entry | None, DatasetSeries | None]]:
        """Join the manifest's entries with the dataset's series, both in order.

        (entry, None) is a file whose series the dataset does not have, (None, series) a series of
        which the manifest has no file: neither occurs in a sound dataset.
        """
        rows = self.series(dataset)
        row, used = next(rows, None), False
        for entry in reader:
            folder = entry.path.rpartition("/")[0] + "/"
            while row is not None and row.folder.encode() < folder.encode():
                if not used:
                    yield None, row
                row, used = next(rows, None), False
            if row is not None and row.folder == folder:
                used = True
                yield entry, row
            else:
                yield entry, None
        while row is not None:
            if not used:
                yield None, row
            row, used = next(rows, None), False


def key_of(dataset: Dataset, entry: Entry, series: DatasetSeries) -> InstanceKey:
    """Return where the lake has a file of a dataset."""
    name = entry.path.rpartition("/")[2].removesuffix(SUFFIX)
    return InstanceKey(dataset.project_id, series.series_uid, name)
