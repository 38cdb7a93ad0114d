"""The commands `application` and `grant` on a local home."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from albufera.entrypoints.cli.main import main
from tests.governance.datasets import release_dataset
from tests.nodes import town


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    with town(tmp_path / "home") as made:
        yield tmp_path / "home", release_dataset(made)


def run(home: Path, user: str, *words: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), "--as", user, "--json", *words])


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_whole_way(place: tuple[Path, str]) -> None:
    home, dataset_id = place
    words = ("application", "submit", dataset_id, "--purpose", "To learn")
    sent = document(run(home, "lung.researcher", *words))
    application = sent["applicationId"]
    committee = "lung.committee-member"
    waiting = document(run(home, committee, "application", "list", "--to-decide"))
    assert [item["applicationId"] for item in waiting] == [application]
    grant = document(
        run(home, committee, "application", "approve", application, "--until", "2027-06-01")
    )
    assert grant["endsAt"].startswith("2027-06-01")
    shown = document(run(home, "lung.researcher", "application", "show", application))
    assert shown["state"] == "approved"
    assert len(document(run(home, "lung.researcher", "grant", "list", "--mine"))) == 1
    revoked = document(run(home, committee, "grant", "revoke", grant["grantId"]))
    assert revoked["state"] == "revoked"
    given = document(run(home, committee, "grant", "give", dataset_id, "lung.auditor"))
    assert given["state"] == "active"


def test_no_is_told_with_its_code(place: tuple[Path, str]) -> None:
    home, dataset_id = place
    words = ("application", "submit", dataset_id, "--purpose", "To learn")
    application = document(run(home, "lung.researcher", *words))["applicationId"]
    refused = run(
        home, "breast.committee-member", "application", "reject", application, "--reason", "x"
    )
    assert refused.exit_code == 1
    assert json.loads(refused.stderr)["error"]["code"] == "application-not-found"
    rejected = document(
        run(
            home, "lung.committee-member", "application", "reject", application, "--reason", "Vague"
        )
    )
    assert rejected["state"] == "rejected"
    again = run(home, "lung.researcher", "application", "withdraw", application)
    assert (again.exit_code, json.loads(again.stderr)["error"]["code"]) == (1, "wrong-state")
    assert run(home, "lung.researcher", "application", "reject", application).exit_code == 2
