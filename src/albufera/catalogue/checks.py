"""Verifying a dataset: every byte is read again, and the Merkle root proved."""

from collections.abc import Mapping
from dataclasses import dataclass

from albufera.catalogue.builder import Beat
from albufera.catalogue.contents import DatasetContents, key_of
from albufera.catalogue.events import DatasetVerified
from albufera.catalogue.finding import find_known, resolve
from albufera.catalogue.folder_check import Findings, compare, hash_stream, names_differ
from albufera.catalogue.manifest import Entry, ManifestError, ManifestReader
from albufera.catalogue.model import DATASET_LIFE, Dataset, DatasetSeries
from albufera.catalogue.records import dataset_verifications
from albufera.catalogue.views import DatasetViews
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.ids import new_id
from albufera.kernel.merkle import Frontier
from albufera.kernel.policy import Policy
from albufera.kernel.unit_of_work import unit_of_work
from albufera.kernel.worker import Handler, TaskContext
from albufera.lake.ports import NoSuchInstance, Store, StoreError

VERIFY = "dataset.verify"
"""Kind of the task; its key is the dataset's id."""


@dataclass
class Reading:
    """What was read so far."""

    findings: Findings
    frontier: Frontier
    files: int = 0
    byte_count: int = 0


class DatasetChecks:
    """Verifications of datasets, asked for by people and done in the background."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        contents: DatasetContents,
        store: Store,
        views: DatasetViews,
    ) -> None:
        self.database = database
        self.policy = policy
        self.contents = contents
        self.store = store
        self.views = views

    def request(self, actor: Actor, dataset_id: str) -> None:
        """Ask for a verification; while one is under way, that one counts."""
        with unit_of_work(self.database, actor) as work:
            dataset = resolve(work.connection, self.policy, actor, dataset_id, "dataset.verify")
            DATASET_LIFE.after(dataset.state, "verify")
            payload = {
                "dataset_id": dataset_id,
                "verification_id": new_id("dv"),
                "requested_by": actor.username,
                "user_id": actor.user_id,
            }
            work.enqueue(VERIFY, dataset_id, payload)

    def handler(self) -> Handler:
        """Return what the worker calls."""
        return Handler(self.run)

    def run(self, context: TaskContext) -> None:
        """Verify the dataset that the task names and record the outcome."""
        payload = context.task.payload
        with self.database.read() as connection:
            dataset = find_known(connection, payload["dataset_id"])
        reading = Reading(Findings(), Frontier())
        try:
            self._read(dataset, reading, Beat(context))
            self._check_view(dataset, reading.findings)
        except (ManifestError, FileNotFoundError) as failure:
            reading.findings.add("corrupt", "manifest.json", str(failure)[:500])
        self._record(dataset, reading, payload)

    def _read(self, dataset: Dataset, reading: Reading, beat: Beat) -> None:
        with self.contents.open_manifest(dataset) as stream:
            reader = ManifestReader(stream)
            for entry, series in self.contents.files(dataset, reader):
                self._read_one(dataset, entry, series, reading)
                beat(reading.files, dataset.counts.images, "reading files")
        expected = dataset.manifest
        if expected is None or reader.summary.sha256 != expected.sha256:
            raise ManifestError("The manifest is not the one that the dataset was made with.")

    def _read_one(
        self,
        dataset: Dataset,
        entry: Entry | None,
        series: DatasetSeries | None,
        reading: Reading,
    ) -> None:
        findings = reading.findings
        if entry is None:
            folder = series.folder if series else ""
            findings.add("extra", folder, "The dataset lists a series that the manifest has not.")
            return
        reading.files += 1
        if series is None:
            findings.add("missing", entry.path, "The dataset does not list its series.")
            return
        try:
            with self.store.open(key_of(dataset, entry, series)) as stream:
                size, sha256 = hash_stream(stream)
        except NoSuchInstance:
            findings.add("missing", entry.path, "The lake does not have it.")
            return
        except (StoreError, OSError) as failure:
            findings.add("corrupt", entry.path, f"It cannot be read: {str(failure)[:300]}")
            return
        reading.byte_count += size
        reading.frontier.append(compare(entry, size, sha256, findings).leaf())

    def _check_view(self, dataset: Dataset, findings: Findings) -> None:
        folder = self.views.folder_of(dataset.dataset_id)
        if folder.is_dir():
            with self.contents.open_manifest(dataset) as stream:
                names_differ(stream, folder, findings)

    def _record(self, dataset: Dataset, reading: Reading, payload: Mapping[str, str]) -> None:
        verification_id = payload["verification_id"]
        root = reading.frontier.root().hex()
        findings = reading.findings
        proven = dataset.manifest is not None and root == dataset.manifest.root
        passed = findings.clean and proven
        counts = {"corrupt": findings.corrupt, "missing": findings.missing, "extra": findings.extra}
        table = dataset_verifications
        with unit_of_work(self.database, SYSTEM) as work:
            known = table.select().where(table.c.verification_id == verification_id)
            if work.connection.execute(known).first() is not None:
                return
            work.connection.execute(
                table.insert().values(
                    verification_id=verification_id,
                    dataset_id=dataset.dataset_id,
                    requested_by=payload["requested_by"],
                    at=work.now(),
                    passed=passed,
                    root=root,
                    files=reading.files,
                    byte_count=reading.byte_count,
                    problems=findings.problems,
                    **counts,
                )
            )
            work.record(
                DatasetVerified(
                    project_id=dataset.project_id,
                    dataset_id=dataset.dataset_id,
                    outcome="passed" if passed else "failed",
                    root=root,
                    files=reading.files,
                    requested_by=payload["user_id"],
                    **counts,
                )
            )
