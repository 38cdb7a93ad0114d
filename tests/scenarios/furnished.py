"""A town with something of everything in it, so that a fuzzer's requests find things to harm."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from albufera.entrypoints.cli.client import Client
from albufera.entrypoints.node_app import create_node_app
from albufera.governance.model import Role
from albufera.ingest.phantoms import write_clinical_csv, write_cohort
from albufera.kernel.actor import Actor
from albufera.kernel.errors import Refusal
from albufera.lake.records import series as series_table
from albufera.lake.records import studies as studies_table
from tests.nodes import Town, town, town_elsewhere

PATIENCE = 60.0
ENDED = {"finished", "failed", "cancelled"}
FORM = Path("src/albufera/clinical/forms/lung.json")


@dataclass
class Furnished:
    """A town, and identifiers that exist in it by the name of the path parameter they fit."""

    town: Town
    ids: dict[str, list[str]]
    folder: Path

    def actor(self, role: str) -> Actor | None:
        """Return who plays a part: `operator`, a role in LUNG, or `anonymous` (None)."""
        if role == "anonymous":
            return None
        return self.town.operator if role == "operator" else self.town.people["LUNG", Role(role)]

    @property
    def every_id(self) -> list[str]:
        """All identifiers, whatever they name."""
        return sorted({value for values in self.ids.values() for value in values})

    def instance_uids(self) -> list[str]:
        """Identifiers of some stored objects."""
        lake = self.town.node.lake
        found = lake.read_instances(self.ids["series_id"][0])
        return [instance.instance_uid for instance in found]

    def files(self) -> list[bytes]:
        """Some files that somebody might send: an object, half an object, a table, a form."""
        found = (path for path in (self.folder / "ct").rglob("*") if path.is_file())
        whole = min(found, key=lambda path: path.stat().st_size)
        table = (self.folder / "patients.csv").read_bytes()
        content = whole.read_bytes()
        return [content, content[: len(content) // 2], table, table.replace(b"\n", b"\0\n")]


class _Furnisher:
    def __init__(self, built: Town, folder: Path) -> None:
        self.town = built
        self.folder = folder
        app = create_node_app(built.node)
        self._clients = {
            role: Client.of_app(app, built.people["LUNG", role])
            for role in (Role.STEWARD, Role.RESEARCHER, Role.COMMITTEE_MEMBER)
        }
        self.ids: dict[str, list[str]] = {}

    def furnish(self) -> None:
        self._take_in()
        published = self._dataset("Chest CT", "publish")
        released = self._dataset("Chest CT again")
        self._dataset("Of one modality", act="")
        self._access(published, released)
        self._job(published)
        self._log()
        self.town.drain()

    def _take_in(self) -> None:
        steward, node = self.town.people["LUNG", Role.STEWARD], self.town.node
        patients = write_cohort(self.folder / "ct", patients=2, slices=2, size=32, seed=7)
        (self.folder / "letter.txt").write_text("Not DICOM.")
        paths = [self.folder / "ct", self.folder / "letter.txt"]
        node.ingests.ingest_paths(steward, "LUNG", "main", paths, lambda *_: None)
        form = Path(__file__).parents[2] / FORM
        node.clinical.define_form(steward, "LUNG", form.read_bytes())
        write_clinical_csv(self.folder / "patients.csv", patients)
        with (self.folder / "patients.csv").open("rb") as stream:
            node.clinical.load(steward, "LUNG", stream)
        self.ids["ingest_id"] = [
            item["ingestId"] for item in self._clients[Role.STEWARD].items("ingests")
        ]
        self.ids |= {"code": ["LUNG", "BREAST"], "username": ["admin", "lung.researcher"]}
        self.ids["role"] = [role.value for role in Role]
        with node.database.read() as connection:
            for table in (studies_table, series_table):
                for row in connection.execute(select(table)).mappings():
                    for name in ("study_id", "series_id", "study_uid", "series_uid"):
                        if name in row:
                            self.ids.setdefault(name, []).append(row[name])

    def _dataset(self, name: str, act: str = "release") -> str:
        steward = self._clients[Role.STEWARD]
        made = steward.post("datasets", {"name": name, "project": "LUNG", "where": "modality = CT"})
        dataset_id = str(made["id"])
        self.town.drain()
        for verb in {"": (), "release": ("release",), "publish": ("release", "publish")}[act]:
            steward.post(f"datasets/{dataset_id}/{verb}")
            self.town.drain()
        self.ids.setdefault("dataset_id", []).append(dataset_id)
        pid = steward.get(f"datasets/{dataset_id}")["pid"]
        if pid:
            self.ids.setdefault("identifier", []).append(str(pid))
        return dataset_id

    def _access(self, published: str, released: str) -> None:
        researcher, committee = self._clients[Role.RESEARCHER], self._clients[Role.COMMITTEE_MEMBER]
        for dataset_id in (published, released):
            found = researcher.post(f"datasets/{dataset_id}/applications", {"purpose": "Research."})
            self.ids.setdefault("application_id", []).append(found["applicationId"])
        first = self.ids["application_id"][0]
        committee.post(f"applications/{first}/approve", {"reason": "In scope."})
        self.ids["grant_id"] = [item["grantId"] for item in researcher.items("grants")]

    def _job(self, dataset_id: str) -> None:
        """A finished job and its egress request, where the sandbox can be had."""
        researcher = self._clients[Role.RESEARCHER]
        command = ["sh", "-c", "echo a,b > $ALBUFERA_OUTPUTS/results.csv; echo done"]
        try:
            job = researcher.post("jobs", {"datasets": [dataset_id], "command": command})
        except Refusal as refusal:
            if refusal.code != "sandbox-unavailable":
                raise
            self.ids |= {"job_id": ["job-none"], "request_id": ["egr-none"]}
            return
        self.ids["job_id"] = [job["jobId"]]
        deadline = time.monotonic() + PATIENCE
        while researcher.get(f"jobs/{job['jobId']}")["state"] not in ENDED:
            assert time.monotonic() < deadline, "the job does not come to an end"
            self.town.drain()
            time.sleep(0.05)
        request = {"jobId": job["jobId"], "paths": ["results.csv"], "purpose": "Counts."}
        found = researcher.post("egress-requests", request)
        self.ids["request_id"] = [found["requestId"]]

    def _log(self) -> None:
        operator = Client.of_app(create_node_app(self.town.node), self.town.operator)
        asked = operator.post("trace/verification", {"checkpoint": ""})
        self.ids["verification_id"] = [asked["verificationId"]]
        self.ids["index"] = ["0", "1", "5"]
        entries: list[dict[str, Any]] = operator.get("trace/entries", limit=20)["items"]
        self.ids["event_id"] = [str(entry["eventId"]) for entry in entries if "eventId" in entry]


@contextmanager
def furnished_town(folder: Path) -> Iterator[Furnished]:
    """Open a town in `folder` with studies, datasets, grants, a job and what else there is.

    The database is the one that `ALBUFERA_DATABASE__URL` names, else an embedded one.
    """
    (folder / "incoming").mkdir(parents=True)
    here = town_elsewhere if "ALBUFERA_DATABASE__URL" in os.environ else town
    with here(folder / "home") as built:
        furnisher = _Furnisher(built, folder / "incoming")
        furnisher.furnish()
        yield Furnished(built, furnisher.ids, folder / "incoming")
