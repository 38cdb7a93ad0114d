"""`albufera trace`, as a person at a shell runs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from albufera.bootstrap.home import Home
from albufera.bootstrap.node import open_node
from albufera.entrypoints.cli.main import main
from albufera.kernel.actor import SYSTEM
from albufera.kernel.database import Database
from tests.nodes import PASSWORD, make_home

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    settings = make_home(tmp_path / "home")
    node = open_node(settings)
    node.identity.create_user(SYSTEM, "admin", PASSWORD, is_operator=True)
    node.projects.create(node.identity.user_named("admin").actor(), "LUNG")
    node.close()
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    def command(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["--home", str(home), *arguments])

    return command


def test_log(run: Run) -> None:
    run("trace", "checkpoint")
    shown = run("trace", "log", "--project", "LUNG")
    assert shown.exit_code == 0, shown.stderr
    assert "project.created" in shown.stdout
    listed = json.loads(run("--json", "trace", "log", "--user", "admin", "--limit", "1").stdout)
    assert [entry["verb"] for entry in listed] == ["project.created"]
    assert "Nothing to show." in run("trace", "log", "--dataset", "ds-none").stdout
    assert run("trace", "log", "--limit", "0").exit_code == 2


def test_a_checkpoint_is_current(run: Run, home: Path) -> None:
    first = json.loads(run("--json", "trace", "checkpoint").stdout)
    assert first["size"] == 2
    run("project", "create", "BREAST")
    assert json.loads(run("--json", "trace", "checkpoint").stdout)["size"] == 3
    note = run("trace", "checkpoint").stdout
    assert note.startswith("test-node/log\n3\n")


def test_an_intact_log_verifies_also_against_a_kept_checkpoint(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "checkpoint"
    kept.write_text(run("trace", "checkpoint").stdout, encoding="utf-8")
    run("project", "create", "BREAST")
    done = run("trace", "verify", "--checkpoint", str(kept))
    assert done.exit_code == 0, done.stderr
    assert "The log is intact: 3 entries" in done.stdout
    shown = json.loads(run("--json", "trace", "verify").stdout)
    assert (shown["state"], shown["report"]["totalFindings"]) == ("verified", 0)
    kept.write_text("another", encoding="utf-8")
    assert run("trace", "verify", "--checkpoint", str(kept)).exit_code == 1


def test_a_changed_log_is_reported_with_its_first_wrong_entry(run: Run, home: Path) -> None:
    run("trace", "checkpoint")
    database = Database(f"sqlite:///{home / 'albufera.sqlite'}")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE trace_entries SET actor_id = 'x' WHERE entry_index = 1")
    database.close()
    done = run("trace", "verify")
    assert done.exit_code == 1
    assert "trace-tampered" in done.stderr
    assert "Entry 1 was changed" in done.stderr
    assert "remedy:" in done.stderr


def offline(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that has no home and no node."""
    nowhere = tmp_path / "nowhere"
    code = "from albufera.entrypoints.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--home", str(nowhere), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert not nowhere.exists()
    return done


def test_a_proof_is_checked_with_no_node(run: Run, home: Path, tmp_path: Path) -> None:
    run("trace", "checkpoint")
    file = tmp_path / "proof.json"
    assert run("trace", "proof", "--entry", "1", "--out", str(file)).exit_code == 0
    key = (Home(home).keys / "log.vkey").read_text(encoding="utf-8").strip()

    done = offline(tmp_path, "trace", "verify", "--proof", str(file))
    assert done.returncode == 0, done.stderr
    assert "The proof holds" in done.stdout
    assert "Whose key it is" in done.stdout
    for given in (key, str(Home(home).keys / "log.vkey")):
        trusted = offline(
            tmp_path, "--json", "trace", "verify", "--proof", str(file), "--key", given
        )
        assert json.loads(trusted.stdout)["trusted"] is True

    document = json.loads(file.read_text(encoding="utf-8"))
    document["entry"]["actor"] = "us-innocent"
    file.write_text(json.dumps(document), encoding="utf-8")
    forged = offline(tmp_path, "trace", "verify", "--proof", str(file))
    assert forged.returncode == 1
    assert "proof-invalid" in forged.stderr
    assert "Traceback" not in forged.stderr


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[" * 10000])
def test_what_is_no_proof(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(content)
    done = CliRunner().invoke(main, ["trace", "verify", "--proof", str(file)])
    assert (done.exit_code, "proof-invalid" in done.stderr) == (1, True)


def test_a_proof_of_an_event(run: Run, tmp_path: Path) -> None:
    run("trace", "checkpoint")
    [entry] = json.loads(run("--json", "trace", "log", "--limit", "1").stdout)
    shown = run("trace", "proof", "--event", entry["eventId"])
    assert json.loads(shown.stdout)["entry"]["event"] == entry["eventId"]
    assert run("trace", "proof", "--event", "ev-none").exit_code == 1
    assert run("trace", "proof").exit_code == 2
    assert run("trace", "proof", "--entry", "0", "--event", "x").exit_code == 2
    assert run("trace", "verify", "--key", "x").exit_code == 2
