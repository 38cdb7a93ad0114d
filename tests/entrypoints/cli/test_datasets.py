"""`albufera dataset …` on a local home, without a server."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from albufera.catalogue.manifest import verify_manifest
from albufera.entrypoints.cli.main import main
from tests.catalogue.lakes import cohort, fill
from tests.nodes import Town, town


@pytest.fixture
def place(tmp_path: Path, clean_environment: object) -> Iterator[Town]:
    with town(tmp_path / "home") as place:
        fill(place.node, "LUNG", cohort())
        yield place


def run(place: Town, *arguments: str, exit_code: int = 0) -> Result:
    home = ["--home", str(place.node.home.root)]
    result = CliRunner().invoke(main, [*home, *arguments])
    assert result.exit_code == exit_code, (result.output, result.stderr, result.exception)
    return result


def told(place: Town, *arguments: str, exit_code: int = 0) -> Any:
    return json.loads(run(place, "--json", "dataset", *arguments, exit_code=exit_code).stdout)


def create(place: Town, *more: str) -> Any:
    chosen = more or ("--where", "modality = CT and age >= 50")
    return told(place, "create", "Lung CT", "--project", "LUNG", *chosen)


def test_create_waits_until_the_draft_is_ready(place: Town) -> None:
    made = create(place)
    assert made["state"] == "ready"
    assert made["counts"]["series"] == 5
    assert told(place, "list")[0]["id"] == made["id"]
    assert told(place, "show", "Lung CT")["id"] == made["id"]
    shown = run(place, "dataset", "show", made["id"]).stdout
    assert made["manifest"]["root"] in shown
    assert "Lung CT" in run(place, "dataset", "list").stdout


def test_the_whole_life(place: Town) -> None:
    made = create(place)
    assert told(place, "release", made["id"])["state"] == "released"
    assert told(place, "publish", made["id"])["state"] == "published"
    newer = told(place, "new-version", made["id"], "--where", "modality = CT")
    assert (newer["version"], newer["counts"]["series"]) == (2, 8)
    assert told(place, "cancel", newer["id"])["state"] == "cancelled"
    assert told(place, "retry", newer["id"])["state"] == "ready"
    gone = told(place, "invalidate", made["id"], "--reason", "A mistake.")
    assert (gone["state"], gone["reason"]) == ("invalidated", "A mistake.")
    refused = run(place, "dataset", "release", made["id"], exit_code=1)
    assert "wrong-state" in refused.stderr
    assert "remedy:" in refused.stderr


def test_a_file_of_studies(place: Town, tmp_path: Path) -> None:
    studies = tmp_path / "studies.csv"
    studies.write_text("study_uid,why\n2.25.1000,a\n2.25.1001,b\n")
    assert create(place, "--studies", str(studies))["counts"]["studies"] == 2
    studies.write_text("2.25.1000\n2.25.404\n")
    arguments = ("dataset", "create", "No", "--project", "LUNG", "--studies", str(studies))
    refused = run(place, *arguments, exit_code=1)
    assert "unknown-studies" in refused.stderr
    assert "2.25.404" in refused.stderr
    assert len(told(place, "list")) == 1


def test_mistakes_of_usage_and_of_filters(place: Town) -> None:
    run(place, "dataset", "create", "No", "--project", "LUNG", exit_code=2)
    arguments = ("dataset", "create", "No", "--project", "LUNG", "--where", "modality =")
    assert "At position 11" in run(place, *arguments, exit_code=1).stderr
    assert "dataset-not-found" in run(place, "dataset", "show", "Nobody's", exit_code=1).stderr


def test_verify_proves_or_fails(place: Town) -> None:
    made = create(place)
    fine = told(place, "verify", made["id"])
    assert (fine["passed"], fine["root"]) == (True, made["manifest"]["root"])
    assert made["manifest"]["root"] in run(place, "dataset", "verify", made["id"]).stdout
    victim = next(place.node.home.lake.rglob("2.25.1003.1.1.dcm"))
    victim.chmod(0o600)
    victim.write_bytes(b"x")
    failed = run(place, "dataset", "verify", made["id"], exit_code=1)
    assert "2.25.1003.1.1.dcm" in failed.stdout
    assert "dataset-verification-failed" in failed.stderr
    assert told(place, "verify", made["id"], exit_code=1)["corrupt"] == 1


def test_manifest_and_metadata_are_written_out(place: Town, tmp_path: Path) -> None:
    made = create(place)
    path = tmp_path / "manifest.json"
    run(place, "dataset", "manifest", made["id"], "--output", str(path))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == made["manifest"]["sha256"]
    with path.open("rb") as stream:
        assert verify_manifest(stream).root == made["manifest"]["root"]
    printed = run(place, "dataset", "manifest", made["id"]).stdout_bytes
    assert printed == path.read_bytes()
    metadata = json.loads(run(place, "dataset", "export-metadata", made["id"]).stdout)
    assert metadata["collection"]["size"] == made["counts"]["subjects"]
    assert metadata["collection"]["imagingModality"] == ["CT"]
    assert "SUBJ-" not in json.dumps(metadata)
