"""The commands `ingest`, `ingest report` and `study` on a local home, and remotely."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result

from albufera.entrypoints.cli.main import main
from albufera.entrypoints.node_app import create_node_app
from tests.ingest.dicoms import ct, write, write_study
from tests.nodes import PASSWORD, town


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with town(tmp_path / "home"):
        pass
    write_study(tmp_path / "in", slices=3)
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    return tmp_path


def run(home: Path, *words: str, as_json: bool = False) -> Result:
    options = ["--home", str(home / "home"), *(["--json"] if as_json else [])]
    return CliRunner().invoke(main, [*options, *words])


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_ingest_ends_with_a_table(home: Path) -> None:
    result = run(home, "ingest", str(home / "in"), "--project", "LUNG")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()[2:6]}
    assert rows == {"admitted": "3", "duplicate": "0", "quarantined": "0", "refused": "1"}
    assert "not-dicom" in result.stdout
    assert "in/notes.txt" in result.stdout


def test_ingest_as_json_twice(home: Path) -> None:
    words = ("ingest", "--project", "LUNG", "--collection", "main", str(home / "in"))
    first = document(run(home, *words, as_json=True))
    assert first["counts"] == {"admitted": 3, "duplicate": 0, "quarantined": 0, "refused": 1}
    assert first["ingestId"].startswith("in-")
    assert first["itemsOmitted"] == 0
    assert {"path", "state", "code", "reason"} <= set(first["items"][0])
    assert first["items"][0]["state"] == "refused"
    again = document(run(home, *words, as_json=True))
    assert again["counts"] == {"admitted": 0, "duplicate": 3, "quarantined": 0, "refused": 1}


def test_report(home: Path) -> None:
    assert "Nothing to show" in run(home, "ingest", "report", "--project", "LUNG").stdout
    done = document(run(home, "ingest", str(home / "in"), "--project", "LUNG", as_json=True))
    told = document(run(home, "ingest", "report", "--project", "LUNG", as_json=True))
    assert [each["ingestId"] for each in told["ingests"]] == [done["ingestId"]]
    assert told["latest"]["reasons"][0]["code"] == "not-dicom"
    shown = run(home, "ingest", "report", "--ingest", done["ingestId"], "--state", "refused")
    assert "in/notes.txt" in shown.stdout


def test_refusals_of_the_command(home: Path) -> None:
    for words, code in (
        (("ingest", str(home / "nowhere"), "--project", "LUNG"), "no-such-path"),
        (("ingest", str(home / "in"), "--project", "NOPE"), "project-not-found"),
        (("ingest", str(home / "in"), "--project", "LUNG", "--collection", "x"),
         "collection-not-found"),
        (("ingest", "report", "--ingest", "in-nothing"), "ingest-not-found"),
    ):  # fmt: skip
        result = run(home, *words)
        assert result.exit_code == 1
        assert code in result.stderr
    assert run(home, "ingest", str(home / "in")).exit_code == 2


def test_a_folder_called_report(home: Path) -> None:
    write(home / "report" / "x", ct())
    before = Path.cwd()
    os.chdir(home)
    try:
        done = document(run(home, "ingest", "./report", "--project", "LUNG", as_json=True))
    finally:
        os.chdir(before)
    assert done["counts"]["admitted"] == 1


def test_studies(home: Path) -> None:
    run(home, "ingest", str(home / "in"), "--project", "LUNG")
    (study,) = document(run(home, "study", "list", "--project", "LUNG", as_json=True))
    assert study["instanceCount"] == 3
    assert study["subject"] in run(home, "study", "list", "--modality", "CT").stdout
    shown = document(run(home, "study", "show", study["studyId"], as_json=True))
    assert shown["series"][0]["bodyPart"] == "CHEST"
    assert "CHEST" in run(home, "study", "show", study["studyId"]).stdout


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A node that serves on loopback, with a worker."""
    with town(tmp_path / "served") as place:
        config = uvicorn.Config(create_node_app(place.node), port=0, log_level="error")
        server = uvicorn.Server(config)
        worker = place.node.worker()
        threads = [threading.Thread(target=server.run), threading.Thread(target=worker.run_forever)]
        for thread in threads:
            thread.start()
        while not server.started:
            pass
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            worker.stop()
            for thread in threads:
                thread.join()


def test_remotely_files_are_sent(served: str, home: Path) -> None:
    def away(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "albufera.entrypoints.cli.main", "--home", str(home / "away"),
             "--json", *words],
            input=f"{PASSWORD}\n", capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    away("login", served, "--username", "lung.steward")
    done = json.loads(away("ingest", str(home / "in"), "--project", "LUNG"))
    assert done["counts"] == {"admitted": 3, "duplicate": 0, "quarantined": 0, "refused": 1}
