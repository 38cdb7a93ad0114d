"""The folder that jobs see: exactly the dataset's files, and documents that describe them.

A view is built once per dataset version and never changed: it appears complete or not at all, and
is read-only. What it holds is described in the interfaces document; `index.json` and `eforms.json`
keep the shape that researchers' scripts for CHAIMELEON already read.
"""

import csv
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from albufera.catalogue.contents import DatasetContents, key_of
from albufera.catalogue.description import subject_names
from albufera.catalogue.manifest import ManifestError, ManifestReader
from albufera.catalogue.model import Dataset, DatasetSeries
from albufera.catalogue.ports import ClinicalFacts, Variable
from albufera.kernel.database import Database
from albufera.lake.ports import InstanceKey, Store

SUBJECT_COLUMN = "subjectName"
_TEMPORARY = ".documents-"
_ABANDONED_SECONDS = 24 * 3600
_SUBJECT = Variable(SUBJECT_COLUMN, "text", "Pseudonym of the subject")
_SQL_TYPES = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE"}


class DatasetViews:
    """Builds the views of datasets in one folder, on the file system of the lake."""

    def __init__(
        self,
        database: Database,
        contents: DatasetContents,
        clinical: ClinicalFacts,
        store: Store,
        folder: Path,
        node_url: str,
    ) -> None:
        self.database = database
        self.contents = contents
        self.clinical = clinical
        self.store = store
        self.folder = folder
        self.node_url = node_url.rstrip("/")

    def folder_of(self, dataset_id: str) -> Path:
        """Return where the view is, or would be."""
        return self.folder / dataset_id

    def build(self, dataset: Dataset) -> Path:
        """Return the view of a dataset, built at its first use.

        Raises `ManifestError` when the dataset's manifest and rows contradict each other, and
        `lake.ports.StoreError` when the lake lacks a file.
        """
        target = self.folder_of(dataset.dataset_id)
        if target.is_dir():
            return target
        self._sweep()
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=_TEMPORARY) as name:
            documents = self._write_documents(dataset, Path(name))
            with self.contents.open_manifest(dataset) as stream:
                return self.store.link_view(target, self._links(dataset, stream), documents)

    def _links(self, dataset: Dataset, stream: Any) -> Iterator[tuple[InstanceKey, str]]:
        for entry, series in self.contents.files(dataset, ManifestReader(stream)):
            if entry is None or series is None:
                raise ManifestError(
                    "The manifest and the list of series differ: verify the dataset."
                )
            yield key_of(dataset, entry, series), entry.path

    def _write_documents(self, dataset: Dataset, folder: Path) -> Mapping[str, Path]:
        with (
            self.contents.open_manifest(dataset) as stream,
            (folder / "manifest.json").open("wb") as out,
        ):
            shutil.copyfileobj(stream, out)
        with _writing(folder / "index.json") as out:
            _write_array(out, self._studies(dataset))
        self._write_clinical(dataset, folder)
        return {path.name: path for path in folder.iterdir()}

    def _studies(self, dataset: Dataset) -> Iterator[dict[str, Any]]:
        for path, group in groupby(self.contents.series(dataset), key=_study_path):
            members = list(group)
            first = members[0]
            yield {
                "studyId": first.study_id,
                "studyName": path.rpartition("/")[2],
                "subjectName": first.subject,
                "path": path,
                "series": [
                    {"folderName": item.folder.split("/")[2], "tags": _tags(item)}
                    for item in members
                ],
                "url": f"{self.node_url}/studies/{first.study_id}",
            }

    def _write_clinical(self, dataset: Dataset, folder: Path) -> None:
        names = subject_names(dataset.dataset_id)
        with self.database.read() as connection:
            variables = self.clinical.data_dictionary(connection, dataset.project_id)
            with _writing(folder / "eforms.json") as out:
                forms = self.clinical.eforms(connection, dataset.project_id, names)
                _write_array(out, ({"subjectName": s, "eForm": dict(f)} for s, f in forms))
            rows = self.clinical.flattened(connection, dataset.project_id, names)
            columns = [variable.name for variable in variables]
            _write_csv(folder / "clinical.csv", columns, rows)
        described = [_SUBJECT, *variables]
        dictionary = {
            "format": "albufera-data-dictionary/1",
            "columns": [column.to_json() for column in described],
        }
        with _writing(folder / "clinical.dictionary.json") as out:
            json.dump(dictionary, out, ensure_ascii=False, indent=1)
        types = {column.name: _SQL_TYPES.get(column.type, "VARCHAR") for column in described}
        _write_parquet(folder / "clinical.csv", types)

    def _sweep(self) -> None:
        """Remove documents that a builder left when it died, a day ago or earlier."""
        horizon = time.time() - _ABANDONED_SECONDS
        for path in self.folder.glob(f"{_TEMPORARY}*"):
            if path.stat().st_mtime < horizon:
                shutil.rmtree(path, ignore_errors=True)


def _study_path(series: DatasetSeries) -> str:
    return series.folder.rsplit("/", 2)[0]


def _tags(series: DatasetSeries) -> list[str]:
    return [text for text in (series.modality, series.body_part, series.description) if text]


def _writing(path: Path) -> TextIO:
    return path.open("x", encoding="utf-8", newline="")


def _write_array(out: TextIO, items: Iterable[Mapping[str, Any]]) -> None:
    separator = "[\n"
    for item in items:
        out.write(separator + json.dumps(item, ensure_ascii=False))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_csv(
    path: Path, columns: list[str], rows: Iterable[tuple[str, Mapping[str, Any]]]
) -> None:
    with _writing(path) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([SUBJECT_COLUMN, *columns])
        for subject, values in rows:
            writer.writerow([subject, *(_cell(values.get(column)) for column in columns)])


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _write_parquet(source: Path, types: Mapping[str, str]) -> None:
    """Write the CSV once more as Parquet beside it, with the types of the data dictionary."""
    import duckdb  # tens of megabytes that an idle node does without

    columns = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in types.items())
    target = source.with_suffix(".parquet")
    reading = (
        f"read_csv({_quoted(str(source))}, header = true, auto_detect = false, delim = ',', "
        f"quote = '\"', escape = '\"', nullstr = '', columns = {{{columns}}})"
    )
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1, "memory_limit": "256MB", "autoinstall_known_extensions": False
    }  # fmt: skip
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute(
            f"COPY (SELECT * FROM {reading}) TO {_quoted(str(target))} (FORMAT parquet)"  # noqa: S608
        )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
