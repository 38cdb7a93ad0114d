"""`albufera job` and `albufera egress`, as people at a shell run them, with a real sandbox."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from albufera.bootstrap.node import open_node
from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.compute.ports import Phase
from albufera.entrypoints.cli.main import main
from albufera.kernel.pages import PageRequest
from albufera.settings import Settings
from tests.compute.backends.laboratory import require_sandbox
from tests.compute.yard import give, release
from tests.nodes import town

ANALYSE = """
import csv, json, os, pathlib, sys
datasets = pathlib.Path(os.environ["ALBUFERA_DATASETS"])
(dataset,) = datasets.iterdir()
index = json.loads((dataset / "index.json").read_text())
print("studies", len(index), sys.argv[1:])
with open("/outputs/scores.csv", "w") as file:
    csv.writer(file).writerows([["study", "score"], *([n, 0.5] for n, _ in enumerate(index))])
pathlib.Path("/outputs/notes.txt").write_text("stays inside")
pathlib.Path("/home/user/kept").write_text("kept")
print("\\x1b]0;owned\\x07\\x1b[2Jdone")
"""
Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a dataset granted to a researcher; no server runs on it."""
    with town(tmp_path / "home", ("LUNG",)) as place:
        dataset_id = release(place, "LUNG")
        give(place, dataset_id, "lung.researcher")
    (tmp_path / "dataset").write_text(dataset_id)
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as the researcher, from a directory of their own."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")

    def command(*arguments: str, user: str = "lung.researcher", as_json: bool = False) -> Result:
        options = ["--home", str(home), "--as", user, *(["--json"] if as_json else [])]
        return CliRunner().invoke(main, [*options, *arguments])

    return command


@pytest.fixture
def dataset(tmp_path: Path, home: Path) -> str:
    return (tmp_path / "dataset").read_text()


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.sandbox
def test_from_the_submission_to_the_download(run: Run, dataset: str, tmp_path: Path) -> None:
    require_sandbox()
    Path("analyse.py").write_text(ANALYSE)
    submitted = run(
        "job", "submit", "--dataset", dataset, "--", "python", "analyse.py", "--threshold", "50",
        as_json=True,
    )  # fmt: skip
    job = document(submitted)
    assert job["command"] == ["python", "analyse.py", "--threshold", "50"]
    waited = document(run("job", "wait", job["jobId"], as_json=True))
    assert (waited["state"], waited["exitCode"]) == ("finished", 0), waited
    logs = run("job", "logs", job["jobId"]).stdout
    assert "studies 3 ['--threshold', '50']" in logs
    assert "\x1b" not in logs
    assert "\x07" not in logs
    assert "\x1b[2J" in document(run("job", "logs", job["jobId"], as_json=True))["text"]
    shown = run("job", "show", job["jobId"]).stdout
    assert "scores.csv" in shown
    asked = run("egress", "request", job["jobId"], "scores.csv", "--purpose", "Scores.",
                as_json=True)  # fmt: skip
    request_id = document(asked)["requestId"]
    early = run("egress", "fetch", request_id)
    assert early.exit_code == 1
    assert "egress-not-approved" in early.stderr
    own = run("egress", "approve", request_id)
    assert own.exit_code == 1
    assert "own-request" in own.stderr
    seen = run("egress", "show", request_id, user="lung.output-reviewer").stdout
    assert "scores.csv" in seen
    approved = run("egress", "approve", request_id, user="lung.output-reviewer", as_json=True)
    assert document(approved)["state"] == "approved"
    fetched = run("egress", "fetch", request_id, "--out", "result.zip")
    assert fetched.exit_code == 0, fetched.output
    with zipfile.ZipFile("result.zip") as archive:
        assert archive.namelist() == ["scores.csv"]
        assert archive.read("scores.csv").startswith(b"study,score")
    assert (tmp_path / "home" / "homes").is_dir()
    assert not (tmp_path / "home" / "jobs" / job["jobId"] / "work").exists()
    assert (tmp_path / "home" / "jobs" / job["jobId"] / "outputs" / "notes.txt").exists()


@pytest.mark.sandbox
def test_waiting_at_once_and_the_exit_code(run: Run, dataset: str) -> None:
    require_sandbox()
    options = ("job", "submit", "--wait", "--flavour", "small", "--dataset", dataset, "--")
    assert run(*options, "true").exit_code == 0
    failed = run(*options, "sh", "-c", "echo no; exit 3")
    assert failed.exit_code == 1
    assert "failed" in failed.stdout
    listed = document(run("job", "list", as_json=True))
    assert [job["exitCode"] for job in listed] == [3, 0]
    followed = run("job", "logs", "--follow", listed[0]["jobId"])
    assert followed.stdout == "no\n"


@pytest.mark.sandbox
def test_files_lie_beside_the_command_as_they_lie_here(run: Run, dataset: str) -> None:
    require_sandbox()
    Path("tools").mkdir()
    Path("tools", "go.sh").write_text("#!/bin/sh\ncat tools/data.txt extra.txt\n")
    Path("tools", "data.txt").write_text("beside ")
    Path("..", "extra.txt").write_text("along")
    done = run(
        "job", "submit", "--wait", "--dataset", dataset, "--file", "../extra.txt", "--",
        "./tools/go.sh", "tools/data.txt",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    job = document(run("job", "list", as_json=True))[0]
    assert run("job", "logs", job["jobId"]).stdout == "beside along"


@pytest.mark.sandbox
def test_a_running_job_is_cancelled(run: Run, dataset: str) -> None:
    require_sandbox()
    job = document(run("job", "submit", "--dataset", dataset, "--", "sleep", "60", as_json=True))
    began = time.monotonic()
    cancelled = document(run("job", "cancel", job["jobId"], as_json=True))
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "cancelled")
    assert time.monotonic() - began < 30
    waited = run("job", "wait", job["jobId"])
    assert waited.exit_code == 1


@pytest.mark.sandbox
def test_a_worker_killed_while_a_job_runs_finds_it_again(
    run: Run, dataset: str, home: Path, tmp_path: Path
) -> None:
    require_sandbox()
    worker = _start_worker(home)
    program = "import time; print('begun', flush=True); time.sleep(6); print('over')"
    try:
        with_json = run(
            "job", "submit", "--dataset", dataset, "--", "python", "-c", program, as_json=True
        )
        job = document(with_json)
        _until(lambda: "begun" in run("job", "logs", job["jobId"]).stdout)
    finally:
        _kill(worker)
    assert document(run("job", "show", job["jobId"], as_json=True))["state"] == "running"
    again = _start_worker(home)
    try:
        _until(
            lambda: document(run("job", "show", job["jobId"], as_json=True))["state"] != "running"
        )
    finally:
        _kill(again)
    assert document(run("job", "wait", job["jobId"], as_json=True))["state"] == "finished"
    assert run("job", "logs", job["jobId"]).stdout == "begun\nover\n"
    listed = document(run("trace", "log", "--verb", "dataset.used", user="admin", as_json=True))
    assert len(listed) == 1


@pytest.mark.sandbox
@pytest.mark.parametrize("point", ["job.began", "job.started", "job.settled"])
def test_a_worker_that_dies_at_any_point_runs_the_job_once(
    run: Run, dataset: str, home: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_sandbox()
    monkeypatch.setenv("ALBUFERA_CRASH_AT", point)
    program = "open('/home/user/runs', 'a').write('x')"
    submitted = subprocess.run(
        [sys.executable, "-m", "albufera.entrypoints.cli.main", "--home", str(home),
         "--as", "lung.researcher", "job", "submit", "--wait", "--dataset", dataset, "--",
         "python3", "-c", program],
        capture_output=True,
    )  # fmt: skip
    assert submitted.returncode == -signal.SIGKILL, submitted.stderr
    monkeypatch.delenv("ALBUFERA_CRASH_AT")
    (job,) = document(run("job", "list", as_json=True))
    _expire_leases(home)
    ended = document(run("job", "wait", job["jobId"], as_json=True))
    assert (ended["state"], ended["exitCode"]) == ("finished", 0)
    _expire_leases(home)
    run("job", "list")
    (written,) = (home / "homes").glob("*/*/runs")
    assert written.read_text() == "x"
    assert not (home / "jobs" / job["jobId"] / "work").exists()


@pytest.mark.sandbox
def test_a_revoked_grant_ends_the_real_run(run: Run, dataset: str, home: Path) -> None:
    require_sandbox()
    job = document(run("job", "submit", "--dataset", dataset, "--", "sleep", "60", as_json=True))
    node = open_node(Settings(home=home))
    try:
        committee = node.identity.user_named("lung.committee-member").actor()
        (grant,) = node.access.grants(committee, PageRequest()).items
        node.access.revoke(committee, grant.grant_id)
    finally:
        node.close()
    ended = run("job", "wait", job["jobId"], as_json=True)
    assert ended.exit_code == 1
    found = json.loads(ended.stdout)
    assert (found["state"], found["reason"]) == ("failed", "access-ended")
    state = BubblewrapRunner().poll(str(home / "jobs" / job["jobId"] / "run"))
    assert state.phase is Phase.ENDED


def test_without_bubblewrap_a_job_is_refused_with_the_remedy(
    run: Run, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "albufera.bootstrap.rooms.BubblewrapRunner", lambda: BubblewrapRunner("/nonexistent")
    )
    refused = run("job", "submit", "--dataset", dataset, "--", "true")
    assert refused.exit_code == 1
    assert "sandbox-unavailable" in refused.stderr
    assert "apt-get install bubblewrap" in refused.stderr
    assert document(run("job", "list", as_json=True)) == []


def test_words_that_are_no_paths_and_no_text(run: Run, dataset: str) -> None:
    long = run("job", "submit", "--dataset", "ds-none", "--", "python", "-c", "x" * 5000)
    assert long.exit_code == 1
    assert "not-found" in long.stderr
    for word in ("\udcff", "a" * 70_000):
        refused = run("job", "submit", "--dataset", dataset, "--", "echo", word)
        assert refused.exit_code == 1
        assert "invalid-input" in refused.stderr
    asked = run("egress", "request", "jo-none", "\udcff")
    assert asked.exit_code == 1
    assert "invalid-input" in asked.stderr


def test_files_too_large_to_go_along_are_refused_before_they_are_read(
    run: Run, dataset: str
) -> None:
    with Path("big.bin").open("wb") as file:
        file.truncate(2**40)
    refused = run("job", "submit", "--dataset", dataset, "--", "python", "big.bin")
    assert refused.exit_code == 1
    assert "invalid-input" in refused.stderr


def test_bad_usage_is_exit_code_two(run: Run, dataset: str) -> None:
    assert run("job", "submit", "--", "true").exit_code == 2
    assert run("job", "submit", "--dataset", dataset).exit_code == 2
    assert run("egress", "request", "jo-1").exit_code == 2
    assert run("egress", "reject", "eg-1").exit_code == 2


def _start_worker(home: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "albufera.entrypoints.cli.main", "--home", str(home), "serve",
         "--role", "worker"],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )  # fmt: skip


def _kill(worker: "subprocess.Popen[bytes]") -> None:
    """End a worker as a power cut does."""
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert worker.stdin is not None
    worker.stdin.close()


def _until(over: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not over():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.1)


def _expire_leases(home: Path) -> None:
    """Let the leases of workers that died run out, as half a minute would."""
    node = open_node(Settings(home=home))
    try:
        with node.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE tasks SET lease_until = '2000-01-01T00:00:00.000000Z' "
                "WHERE state = 'running'"
            )
    finally:
        node.close()
