"""`albufera doctor`: what it finds on a home that is well, and on homes that are not."""

import json
import os
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from albufera.bootstrap import examination
from albufera.bootstrap.home import Home
from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.entrypoints.cli.main import main
from albufera.kernel import clock
from albufera.settings import Settings
from tests.compute.backends.laboratory import require_sandbox
from tests.kernel.clocks import HandClock

Examine = Callable[[], dict[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `init` makes it; tests work on copies."""
    root = tmp_path_factory.mktemp("model") / "home"
    made = CliRunner().invoke(main, ["--home", str(root), "init"])
    assert made.exit_code == 0, made.output
    return root


@pytest.fixture
def home(tmp_path: Path, model_home: Path) -> Home:
    root = tmp_path / "home"
    os.system(f"cp -a {model_home} {root}")  # keeps modes
    return Home(root)


def run(home: Home, *options: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home.root), *options, "doctor"])


@pytest.fixture
def examine(home: Home, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Run the doctor without a trial of the sandbox, which has a test of its own."""
    monkeypatch.setattr(examination, "_sandbox", lambda _: ("not tried", ""))

    def found() -> dict[str, dict[str, Any]]:
        result = run(home, "--json")
        shown = json.loads(result.stdout)
        assert result.exit_code == (0 if shown["ok"] else 1), result.output
        return {check["name"]: check for check in shown["checks"]}

    return found


def problems(found: dict[str, dict[str, Any]]) -> set[str]:
    for check in found.values():
        assert bool(check["remedy"]) is not check["ok"]
    return {name for name, check in found.items() if not check["ok"]}


@pytest.mark.sandbox
def test_a_home_that_is_well(home: Home) -> None:
    require_sandbox()
    result = run(home)
    assert result.exit_code == 0, result.output
    for name in ("python", "home", "keys", "lake", "disk", "database", "sandbox", "events", "log"):
        assert f"ok       {name}" in result.stdout
    assert "limits by " in result.stdout
    assert "entries, in order" in result.stdout


def test_every_remedy_is_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "albufera.bootstrap.rooms.BubblewrapRunner", lambda: BubblewrapRunner("/nonexistent")
    )
    result = run(home)
    assert result.exit_code == 1
    assert "PROBLEM  sandbox   bubblewrap (bwrap) is not installed." in result.stdout
    assert "remedy:   Install it: sudo apt-get install bubblewrap" in result.stdout


def test_no_home(tmp_path: Path) -> None:
    result = run(Home(tmp_path / "none"))
    assert result.exit_code == 1
    assert "albufera init" in result.stdout
    assert not (tmp_path / "none").exists()


def test_a_folder_that_others_may_look_into(home: Home, examine: Examine) -> None:
    assert problems(examine()) == set()
    home.airlock.chmod(0o750)
    found = examine()
    assert problems(found) == {"home"}
    assert found["home"]["remedy"] == f"chmod 700 {home.airlock}"


def test_a_missing_folder(home: Home, examine: Examine) -> None:
    home.jobs.rmdir()
    assert problems(examine()) == {"home"}


def test_a_key_that_others_may_read(home: Home, examine: Examine) -> None:
    home.secrets[0].chmod(0o644)
    found = examine()
    assert problems(found) == {"keys"}
    assert found["keys"]["remedy"] == f"chmod 600 {home.secrets[0]}"


def test_a_key_that_is_gone_or_is_none(home: Home, examine: Examine) -> None:
    (home.keys / "node.pem").write_text("no key")
    assert "keys" in problems(examine())
    (home.keys / "node.pem").unlink()
    assert "keys" in problems(examine())


def test_a_lake_that_cannot_be_linked_from(
    home: Home, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cross_device(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", cross_device)
    found = examine()
    assert problems(found) == {"lake"}
    assert "one file system" in found["lake"]["remedy"]
    assert list(home.lake.glob(".doctor*")) == []


def test_nothing_is_left_behind(home: Home, examine: Examine) -> None:
    examine()
    assert list(home.lake.glob(".doctor*")) == list(home.views.iterdir()) == []


def test_a_full_disk(home: Home, examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "LEAST_FREE_BYTES", 2**70)
    assert problems(examine()) == {"disk"}


def test_an_older_schema(home: Home, examine: Examine) -> None:
    with sqlite3.connect(home.root / "albufera.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
    connection.close()
    found = examine()
    assert problems(found) == {"database"}
    assert "older schema" in found["database"]["found"]


def test_a_database_that_does_not_answer(
    home: Home, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1"
    monkeypatch.setenv("ALBUFERA_DATABASE__URL", url)
    found = examine()
    assert "database" in problems(found)
    assert "does not answer" in found["database"]["found"]


def test_events_that_wait_too_long(home: Home, examine: Examine) -> None:
    with sqlite3.connect(home.root / "albufera.sqlite") as connection:
        connection.execute("UPDATE events SET logged = 0")
    connection.close()
    with clock.installed(HandClock(clock.now() + timedelta(hours=1))):
        found = examine()
    assert "events" in problems(found)
    assert "worker" in found["events"]["remedy"]


def test_a_log_that_was_tampered_with(home: Home, examine: Examine) -> None:
    with sqlite3.connect(home.root / "albufera.sqlite") as connection:
        connection.execute("UPDATE trace_entries SET verb = 'x'")
    connection.close()
    found = examine()
    assert problems(found) == {"log"}
    assert "tampered" in found["log"]["found"]


def test_a_long_log_is_read_for_a_moment_only(
    home: Home, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless:
        """A double of the inspector of a log of a million entries."""

        def __init__(self, *_: object) -> None:
            pass

        def inspect(self, progress: Callable[[int, int], None]) -> None:
            progress(1024, 1_000_000)

    monkeypatch.setattr(examination, "LOG_SECONDS", -1.0)
    monkeypatch.setattr(examination, "Inspector", Endless)
    found = examine()
    assert problems(found) == set()
    assert "1024 of 1000000" in found["log"]["found"]


def test_a_node_that_cannot_be_opened(home: Home, examine: Examine) -> None:
    (home.keys / "log.vkey").write_text("rubbish")
    assert problems(examine()) >= {"node"}


def test_settings_of_the_environment_are_used(
    home: Home, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings(home=home.root).database.url == ""
    assert "sqlite" in examine()["database"]["found"]
