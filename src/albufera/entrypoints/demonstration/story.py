"""Walks the whole way once: from a hospital's folder to a result waiting at the airlock.

Every step is a call that a person could make; each is made as the person whose work it is.
"""

import base64
import importlib.resources
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from albufera.bootstrap.node import FIRST_ADMINISTRATOR, Node
from albufera.entrypoints.cli.client import Client
from albufera.entrypoints.demonstration.people import (
    PEOPLE,
    PROJECT,
    Account,
    new_password,
    save_accounts,
)
from albufera.entrypoints.node_app import create_node_app
from albufera.ingest.phantoms import write_clinical_csv, write_cohort
from albufera.ingest.phantoms.bundled import bundled_images
from albufera.kernel.errors import Refusal

PATIENTS, SLICES, SEED = 9, 20, 7
PATIENCE = 120.0
ENDED = {"finished", "failed", "cancelled"}


class Story:
    """Populates a new node."""

    def __init__(self, node: Node, tell: Callable[[str], None]) -> None:
        self.node = node
        self.tell = tell
        self._app = create_node_app(node)
        self._worker = node.worker()

    def play(self, administrator_password: str) -> list[Account]:
        """Do everything; return the accounts."""
        accounts = [Account(FIRST_ADMINISTRATOR, "operator", administrator_password)]
        accounts += self._people()
        self._take_in()
        published, released = self._datasets()
        self._access(published, released)
        self._job(published)
        self._worker.drain()
        save_accounts(self.node.home, accounts)
        return accounts

    def _as(self, username: str) -> Client:
        return Client.of_app(self._app, self.node.identity.user_named(username).actor())

    def _people(self) -> list[Account]:
        self.tell("People of every role, in the project LUNG")
        admin = self._as(FIRST_ADMINISTRATOR)
        body = {
            "code": PROJECT,
            "name": "Lung cancer",
            "description": "Chest CT of the demonstration, generated, and images of pydicom's.",
        }
        admin.post("projects", body)
        admin.post(f"projects/{PROJECT}/collections", {"code": "pydicom", "name": "pydicom's own"})
        made = []
        for username, name, role in PEOPLE:
            account = Account(username, role.value, new_password())
            user = {"username": username, "password": account.password, "name": name}
            admin.post("users", {**user, "organisation": "Demonstration hospital"})
            member = {"username": username, "role": role.value}
            admin.post(f"projects/{PROJECT}/members", member)
            made.append(account)
        return made

    def _take_in(self) -> None:
        steward = self.node.identity.user_named("steward").actor()
        with tempfile.TemporaryDirectory(prefix="albufera-demo-") as folder:
            self.tell("Generated chest CT of nine patients, de-identified on the way in")
            patients = write_cohort(
                Path(folder) / "ct", patients=PATIENTS, slices=SLICES, seed=SEED
            )
            table = Path(folder) / "patients.csv"
            write_clinical_csv(table, patients)
            paths = [Path(folder) / "ct"]
            self.node.ingests.ingest_paths(steward, PROJECT, "main", paths, _silent)
            self.tell("Real images of several patients, from pydicom's wheel")
            bundled = bundled_images()
            self.node.ingests.ingest_paths(steward, PROJECT, "pydicom", bundled, _silent)
            self.tell("The e-form and the clinical table")
            form = importlib.resources.files("albufera.clinical").joinpath("forms", "lung.json")
            self.node.clinical.define_form(steward, PROJECT, form.read_bytes())
            with table.open("rb") as stream:
                report = self.node.clinical.load(steward, PROJECT, stream)
            if report.rejected:
                self.tell(f"  {report.rejected} rows were rejected: {report.errors[:3]}")

    def _datasets(self) -> tuple[str, str]:
        self.tell("A published dataset and a released one")
        steward = self._as("steward")
        published = self._dataset(
            steward,
            "Chest CT with lung lesions",
            "collection = main and modality = CT",
            "Generated chest CT of nine patients at baseline and follow-up, with the clinical "
            "table of the lung e-form.",
        )
        steward.post(f"datasets/{published}/publish")
        released = self._dataset(
            steward,
            "Images of pydicom's wheel",
            "collection = pydicom",
            "CT, MR and CR of several patients: real images that ship with pydicom.",
        )
        return published, released

    def _dataset(self, steward: Client, name: str, where: str, description: str) -> str:
        body = {
            "name": name,
            "project": PROJECT,
            "where": where,
            "description": description,
            "purpose": "To try Albufera.",
            "licence": "CC-BY-4.0",
        }
        dataset_id = str(steward.post("datasets", body)["id"])
        address = f"datasets/{dataset_id}"
        self._until(lambda: steward.get(address), lambda found: found["state"] == "ready")
        steward.post(f"{address}/release")
        return dataset_id

    def _access(self, published: str, released: str) -> None:
        self.tell("An application that the committee approved, and one that waits for it")
        researcher, committee = self._as("researcher"), self._as("committee")
        purpose = {"purpose": "Measure the lungs of each series, to try the job sandbox."}
        application = researcher.post(f"datasets/{published}/applications", purpose)
        approval = {"reason": "In the scope of the project."}
        committee.post(f"applications/{application['applicationId']}/approve", approval)
        waiting = {"purpose": "Compare image quality between scanners."}
        researcher.post(f"datasets/{released}/applications", waiting)

    def _job(self, dataset_id: str) -> None:
        self.tell("A job beside the data, and its result at the airlock")
        researcher = self._as("researcher")
        script = importlib.resources.files(__package__).joinpath("analyse.py").read_bytes()
        attached = {"name": "analyse.py", "contentBase64": base64.b64encode(script).decode()}
        body = {"datasets": [dataset_id], "command": ["python", "analyse.py"], "files": [attached]}
        try:
            job = researcher.post("jobs", body)
        except Refusal as refusal:
            self.tell(f"  No job was run: {refusal.detail}")
            return
        address = f"jobs/{job['jobId']}"
        ended = self._until(lambda: researcher.get(address), lambda found: found["state"] in ENDED)
        if ended["state"] != "finished":
            log = researcher.get(f"{address}/logs")["text"]
            self.tell(f"  The job {ended['state']}: {ended['reason']} {ended['detail']}\n{log}")
            return
        request = {
            "jobId": job["jobId"],
            "paths": ["results.csv", "histogram.png"],
            "purpose": "One row of measurements per series, and one histogram of all.",
        }
        researcher.post("egress-requests", request)

    def _until(self, look: Callable[[], Any], over: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not over(seen := look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the demonstration did not get on: {seen}")
            if not self._worker.run_once():
                time.sleep(0.1)
        return seen


def _silent(*_progress: object) -> None:
    """Progress that nobody looks at."""
