"""The demonstration, as `make demo` starts it: made in time, of everything something, and light."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.heavy, pytest.mark.sandbox]

MAKING, FIRST_PAGE, ENDING, IDLE_BYTES = 120.0, 2.0, 15.0, 300 * 1024 * 1024
ROLES = {
    "operator", "steward", "researcher", "project-administrator", "committee-member",
    "output-reviewer", "auditor",
}  # fmt: skip


def _command(home: Path, *words: str) -> list[str]:
    program = [sys.executable, "-m", "albufera.entrypoints.cli.main", "--home", str(home)]
    return [*program, *words]


def _json(home: Path, *words: str) -> Any:
    done = subprocess.run(
        _command(home, "--json", *words), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, Any]:
    """The home, how long it took to make, and what was printed."""
    home = tmp_path_factory.mktemp("demo") / "home"
    begin = time.monotonic()
    shown = _json(home, "demo", "--no-serve")
    return home, time.monotonic() - begin, shown


def test_is_made_in_time(demonstration: tuple[Path, float, Any]) -> None:
    assert demonstration[1] < MAKING


def test_has_an_account_of_every_role(demonstration: tuple[Path, float, Any]) -> None:
    home, _, shown = demonstration
    assert len(shown["accounts"]) == len(ROLES)
    members = _json(home, "project", "members", shown["project"])
    assert {member["role"] for member in members} | {"operator"} == ROLES
    assert {member["username"] for member in members} | {"admin"} == set(shown["accounts"])


def test_holds_something_of_everything(demonstration: tuple[Path, float, Any]) -> None:
    home = demonstration[0]
    datasets = _json(home, "dataset", "list")
    assert sorted(item["state"] for item in datasets) == ["published", "released"]
    (published,) = [item for item in datasets if item["state"] == "published"]
    assert published["pid"]
    assert published["counts"]["subjects"] == 9
    assert [item["state"] for item in _json(home, "job", "list")] == ["finished"]
    (egress,) = _json(home, "egress", "list")
    assert egress["state"] == "pending"
    assert {file["path"] for file in egress["files"]} == {"results.csv", "histogram.png"}
    states = {item["state"] for item in _json(home, "application", "list")}
    assert len(states) == 2
    assert "approved" in states
    form = _json(home, "clinical", "show", "--project", "LUNG")
    assert form["completeness"]


def test_proves_itself(demonstration: tuple[Path, float, Any]) -> None:
    home = demonstration[0]
    assert _json(home, "trace", "verify")["report"]["totalFindings"] == 0
    for item in _json(home, "dataset", "list"):
        assert _json(home, "dataset", "verify", item["id"])["passed"] is True


def test_second_time_only_tells(demonstration: tuple[Path, float, Any]) -> None:
    home, _, shown = demonstration
    before = len(_json(home, "trace", "log", "--limit", "500"))
    begin = time.monotonic()
    again = _json(home, "demo", "--no-serve")
    assert again["accounts"] == shown["accounts"]
    assert time.monotonic() - begin < MAKING / 2
    assert len(_json(home, "trace", "log", "--limit", "500")) == before


@pytest.fixture(scope="module")
def served(demonstration: tuple[Path, float, Any]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        _command(demonstration[0], "serve", "--port", str(port)), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # "Serving at …": the port is open
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()
    process.stdout.close()


def test_serves_lightly_and_ends_when_told(
    served: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, url = served
    begin = time.monotonic()
    assert httpx.get(url, timeout=10).status_code == 200
    assert time.monotonic() - begin < FIRST_PAGE
    _await(lambda: len(_tree(process.pid)) >= 2, 30)  # the web process and its worker
    time.sleep(5)  # let both settle
    tree = _tree(process.pid)
    assert sum(_memory(pid) for pid in tree) < IDLE_BYTES, {p: _memory(p) for p in tree}
    process.send_signal(signal.SIGTERM)
    _await(lambda: process.poll() is not None and not any(map(_lives, tree)), ENDING)
    assert process.returncode == 0


def _await(over: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not over():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def _tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += _tree(int(child))
    return found


def _memory(pid: int) -> int:
    """Proportional set size in bytes: pages that processes share are counted once."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
