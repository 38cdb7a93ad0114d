"""From a hospital's folder to a cited dataset, by the command line alone: no server, no imports.

Every command is a process of its own on a local home, told `--json`; its standard output must be
exactly one document, and its exit status what `interfaces.md` promises: 0, 1 or 2.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from albufera.ingest.phantoms import write_clinical_csv, write_cohort
from albufera.ingest.phantoms.people import PhantomPatient
from tests.conftest import REAL_IMAGES

pytestmark = [pytest.mark.heavy, pytest.mark.sandbox]

PASSWORD = "a password of some length"
FORM = Path(__file__).parents[2] / "src/albufera/clinical/forms/lung.json"
PEOPLE = {
    "ana": "steward",
    "ben": "researcher",
    "eva": "researcher",
    "carla": "output-reviewer",
    "dimi": "committee-member",
    "olga": "auditor",
}
ANALYSE = """
import json, os, pathlib, sys
root = pathlib.Path(os.environ["ALBUFERA_DATASETS"])
(dataset,) = [path for path in root.iterdir() if path.is_dir()]
studies = json.loads((dataset / "index.json").read_text())
files = sorted(dataset.rglob("*.dcm"))
rows = ["subject,series"]
for study in studies:
    rows += [f"{study['subjectName']},{len(study['series'])}"]
pathlib.Path(os.environ["ALBUFERA_OUTPUTS"], "table.csv").write_text("\\n".join(rows) + "\\n")
print(f"{len(studies)} studies, {len(files)} files")
"""


@dataclass
class Shell:
    """The command line over one home."""

    home: Path
    folder: Path

    def run(self, *words: str, as_user: str = "", as_json: bool = True) -> Any:
        """Run a command that must succeed; return its document."""
        done = self._run(words, as_user, as_json=as_json)
        assert done.returncode == 0, f"albufera {words}: {done.stdout}\n{done.stderr}"
        if not as_json:
            return done.stdout
        return self._document(done)

    def refused(self, *words: str, as_user: str = "") -> dict[str, Any]:
        """Run a command that must be refused with 1; return the error with code and remedy."""
        done = self._run(words, as_user, as_json=True)
        assert done.returncode == 1, f"albufera {words}: {done.returncode} {done.stdout}"
        error: dict[str, Any] = json.loads(done.stderr)["error"]
        assert error["code"]
        assert error["remedy"]
        if done.stdout:
            self._document(done)
        return error

    def misused(self, *words: str) -> None:
        """Run a command that is not understood: 2, and nothing on standard output."""
        done = self._run(words, "", as_json=True)
        assert done.returncode == 2, f"albufera {words}: {done.returncode} {done.stderr}"
        assert not done.stdout

    @staticmethod
    def _document(done: subprocess.CompletedProcess[str]) -> Any:
        found, end = json.JSONDecoder().raw_decode(done.stdout)
        assert not done.stdout[end:].strip(), f"more than one document: {done.stdout[end:]!r}"
        return found

    def _run(
        self, words: tuple[str, ...], as_user: str, *, as_json: bool
    ) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "albufera.entrypoints.cli.main", "--home", str(self.home)]
        program += ["--as", as_user] if as_user else []
        program += ["--json"] if as_json else []
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ALBUFERA")}
        return subprocess.run(
            [*program, *words],
            capture_output=True, text=True, timeout=300, cwd=self.folder, env=clean,
        )  # fmt: skip


def test_from_a_hospital_to_a_citation(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home", tmp_path)
    patients = _hospital(tmp_path)
    _found(shell)
    _take_in(shell, patients)
    _clinical(shell, tmp_path, patients)
    dataset_id = _dataset(shell)
    job_id = _job(shell, dataset_id)
    _airlock(shell, job_id)
    _trace(shell, dataset_id)
    _cite(shell, dataset_id)
    _afterwards(shell, dataset_id)


def _hospital(folder: Path) -> list[PhantomPatient]:
    """What lies in the hospital: CT of three patients, a letter, and a table with mistakes."""
    patients = write_cohort(folder / "pacs", patients=3, slices=4, size=64, seed=11)
    (folder / "pacs" / "letter.txt").write_text("Dear colleague")
    write_clinical_csv(folder / "patients.csv", patients)
    with (folder / "patients.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    rows[1][rows[0].index("age_at_diagnosis")] = "very old"
    rows.append(["nobody-known", *rows[2][1:]])
    with (folder / "patients.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return patients


def _found(shell: Shell) -> None:
    """A node home, a project, and people."""
    assert shell.refused("project", "list")["code"] == "no-home"
    made = shell.run("init", "--name", "La Fe", "--url", "https://node.example")
    assert made["password"]
    assert shell.refused("init")["code"] == "home-exists"
    shell.run("project", "create", "LUNG", "--name", "Lung cancer")
    shell.refused("project", "create", "LUNG")
    for username, role in PEOPLE.items():
        shell.run("user", "create", username, "--password", PASSWORD)
        shell.run("project", "give-role", "LUNG", username, role)
    members = shell.run("project", "members", "LUNG")
    assert {item["username"]: item["role"] for item in members} == PEOPLE
    shell.misused("project", "give-role", "LUNG", "ana", "emperor")
    shell.misused("no-such-command")
    assert shell.run("project", "list", as_user="ana")[0]["code"] == "LUNG"
    assert "LUNG" in shell.run("project", "list", as_json=False)


def _take_in(shell: Shell, patients: list[PhantomPatient]) -> None:
    """Everything ends in a stated state; the second time changes nothing."""
    files = sum(len(files) for _, _, files in os.walk(shell.folder / "pacs"))
    shell.misused("ingest", "pacs")
    assert shell.refused("ingest", "pacs", "--project", "NONE")["code"]
    assert shell.refused("ingest", "pacs", "--project", "LUNG", as_user="ben")["code"]
    first = shell.run("ingest", "pacs", "--project", "LUNG", as_user="ana")
    assert first["state"] == "finished"
    assert first["counts"]["refused"] == 1
    assert first["counts"]["admitted"] == files - 1
    before = _lake(shell)
    again = shell.run("ingest", "pacs", "--project", "LUNG", as_user="ana")
    assert again["counts"]["admitted"] == 0
    assert again["counts"]["duplicate"] == files - 1
    assert _lake(shell) == before
    report = shell.run("ingest", "report", "--project", "LUNG", as_user="ana")
    assert [run["ingestId"] for run in report["ingests"]] == [again["ingestId"], first["ingestId"]]
    if REAL_IMAGES.is_dir():
        shell.run("project", "add-collection", "LUNG", "real")
        real = ("ingest", str(REAL_IMAGES), "--project", "LUNG", "--collection", "real")
        assert sum(shell.run(*real, as_user="ana")["counts"].values()) > 0
    studies = shell.run("study", "list", "--project", "LUNG", "--collection", "main", as_user="ana")
    assert len(studies) == sum(len(patient.studies) for patient in patients)
    content = b"".join(path.read_bytes() for path in (shell.home / "lake").rglob("*.dcm"))
    for patient in patients:
        for identifier in patient.identifiers:
            assert identifier.encode() not in content


def _lake(shell: Shell) -> dict[str, int]:
    root = shell.home / "lake"
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*.dcm")}


def _clinical(shell: Shell, folder: Path, patients: list[PhantomPatient]) -> None:
    """Good rows are kept, bad ones are told by row and column."""
    (folder / "broken.json").write_text('{"type": "object"')
    assert shell.refused("clinical", "form", "broken.json", "--project", "LUNG", as_user="ana")
    shell.run("clinical", "form", str(FORM), "--project", "LUNG", as_user="ana")
    load = ("clinical", "load", "patients.csv", "--project", "LUNG")
    report = shell.run(*load, as_user="ana")
    assert report["new"] == len(patients)  # one of them has no images yet, which is only a warning
    assert (2, "age_at_diagnosis") in {(item["row"], item["column"]) for item in report["errors"]}
    assert report["unknownSubjects"] == 1
    strict = shell._run((*load, "--strict"), "ana", as_json=True)
    assert strict.returncode == 1
    assert json.loads(strict.stdout)["unchanged"] == len(patients)
    shown = shell.run("clinical", "show", "--project", "LUNG", "--records", as_user="ana")
    assert len(shown) == len(patients)


def _dataset(shell: Shell) -> str:
    """A draft of a filter, released, published, verified; granted by the committee."""
    shell.misused("dataset", "create", "Nothing", "--project", "LUNG")
    create = ("dataset", "create", "Chest CT", "--project", "LUNG", "--where")
    assert shell.refused(*create, "modality ~ (", as_user="ana")["code"]
    made = shell.run(*create, "collection = main and modality = CT", "--licence", "CC-BY-4.0",
                     "--description", "Phantoms.", as_user="ana")  # fmt: skip
    dataset_id = str(made["id"])
    assert made["state"] == "ready"
    assert made["counts"]["subjects"] == 3
    assert shell.refused("dataset", "publish", dataset_id, as_user="ana")["code"]
    assert shell.run("dataset", "release", dataset_id, as_user="ana")["state"] == "released"
    published = shell.run("dataset", "publish", dataset_id, as_user="ana")
    assert published["state"] == "published"
    assert published["pid"]
    verified = shell.run("dataset", "verify", dataset_id, as_user="ana")
    assert verified["passed"] is True
    assert shell.run("dataset", "list", as_user="ana")[0]["id"] == dataset_id
    metadata = shell.run("dataset", "export-metadata", dataset_id, as_user="ana")
    assert metadata
    asked = shell.run("application", "submit", dataset_id, "--purpose", "A count.", as_user="ben")
    decide = ("application", "approve", asked["applicationId"], "--reason", "Fine.")
    assert shell.refused(*decide, as_user="ben")["code"]
    given = shell.run(*decide, as_user="dimi")
    assert given["state"] == "active"
    assert [item["grantId"] for item in shell.run("grant", "list", "--mine", as_user="ben")] == [
        given["grantId"]
    ]
    shown = shell.run("application", "show", asked["applicationId"], as_user="ben")
    assert shown["state"] == "approved"
    return dataset_id


def _job(shell: Shell, dataset_id: str) -> str:
    """A script beside the data, in the sandbox; who holds no grant runs nothing."""
    (shell.folder / "analyse.py").write_text(ANALYSE)
    submit = ("job", "submit", "--dataset", dataset_id, "--wait", "--", "python")
    assert shell.refused(*submit, "analyse.py", as_user="eva")["code"]
    job = shell.run(*submit, "analyse.py", as_user="ben")
    assert job["state"] == "finished"
    printed = shell.run("job", "logs", job["jobId"], as_user="ben")["text"]
    assert re.fullmatch(r"\d+ studies, \d+ files\n", printed), printed
    failed = shell._run((*submit, "-c", "raise SystemExit(3)"), "ben", as_json=True)
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["state"] == "failed"
    assert {item["state"] for item in shell.run("job", "list", as_user="ben")} == {
        "finished",
        "failed",
    }
    return str(job["jobId"])


def _airlock(shell: Shell, job_id: str) -> None:
    """What leaves is what another person approved."""
    ask = ("egress", "request", job_id)
    assert shell.refused(*ask, "../../etc/passwd", as_user="ben")["code"]
    request = shell.run(*ask, "table.csv", "--purpose", "Counts.", as_user="ben")
    request_id = request["requestId"]
    fetch = ("egress", "fetch", request_id, "--out", "results.zip")
    assert shell.refused(*fetch, as_user="ben")["code"]
    assert shell.refused("egress", "approve", request_id, as_user="ben")["code"]
    assert shell.refused("egress", "approve", request_id, as_user="eva")["code"]
    assert shell.run("egress", "approve", request_id, as_user="carla")["state"] == "approved"
    shell.run(*fetch, as_user="ben")
    with zipfile.ZipFile(shell.folder / "results.zip") as archive:
        (name,) = [item for item in archive.namelist() if item.endswith("table.csv")]
        assert archive.read(name).startswith(b"subject,series\n")


def _trace(shell: Shell, dataset_id: str) -> None:
    """The log holds all of it; a proof is checked where there is no node."""
    assert shell.run("trace", "verify", as_user="olga")["report"]["totalFindings"] == 0
    entries = shell.run("trace", "log", "--dataset", dataset_id, as_user="olga")
    assert {"dataset.released", "dataset.published"} <= {entry["verb"] for entry in entries}
    index = str(entries[-1]["index"])
    shell.run("trace", "proof", "--entry", index, "--out", "proof.json", as_user="olga")
    head = shell.run("trace", "checkpoint")
    assert head["note"]
    elsewhere = _elsewhere(shell, "proof.json")
    assert elsewhere.run("trace", "verify", "--proof", "proof.json")["valid"] is True
    proof = (elsewhere.folder / "proof.json").read_text()
    (elsewhere.folder / "forged.json").write_text(proof.replace("dataset.", "dataser.", 1))
    assert elsewhere.refused("trace", "verify", "--proof", "forged.json")["code"]
    elsewhere.misused("trace", "verify", "--proof", "absent.json")


def _elsewhere(shell: Shell, *names: str) -> Shell:
    """Another machine: another directory, with copies of some files and an empty home."""
    folder = shell.folder / "elsewhere"
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(shell.folder / name, folder)
    return Shell(folder / "empty-home", folder)


def _cite(shell: Shell, dataset_id: str) -> None:
    """A citation bundle is checked where there is no node."""
    shell.run("dataset", "cite", dataset_id, "--output", "bundle.json", as_user="ben")
    assert "Chest CT" in shell.run("dataset", "cite", dataset_id, as_json=False, as_user="ben")
    elsewhere = _elsewhere(shell, "bundle.json")
    verdict = elsewhere.run("verify", "bundle.json")
    assert verdict["valid"] is True
    assert verdict["datasetId"] == dataset_id
    bundle = (elsewhere.folder / "bundle.json").read_text()
    (elsewhere.folder / "forged.json").write_text(bundle.replace("Chest CT", "Chest MR", 1))
    assert elsewhere.refused("verify", "forged.json")["code"]
    elsewhere.misused("verify", "absent.json")
    assert not elsewhere.home.exists()


def _afterwards(shell: Shell, dataset_id: str) -> None:
    """A new version; the old one is invalidated, and its tombstone still speaks."""
    newer = shell.run("dataset", "new-version", dataset_id, as_user="ana")
    assert newer["version"] == 2
    assert newer["state"] == "ready"
    shell.run("dataset", "release", newer["id"], as_user="ana")
    shell.misused("dataset", "invalidate", dataset_id)
    reason = ("--reason", "A patient withdrew.")
    gone = shell.run("dataset", "invalidate", dataset_id, *reason, as_user="ana")
    assert gone["state"] == "invalidated"
    again = shell.refused("dataset", "invalidate", dataset_id, *reason, as_user="ana")
    assert again["code"]
    submit = ("job", "submit", "--dataset", dataset_id, "--", "true")
    assert shell.refused(*submit, as_user="ben")["code"]
    bundle = shell.run("dataset", "cite", dataset_id, as_user="ben")
    assert bundle["dataset"]["state"] == "invalidated"
    assert shell.run("trace", "verify", as_user="olga")["report"]["totalFindings"] == 0
