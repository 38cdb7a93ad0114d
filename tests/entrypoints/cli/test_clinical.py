"""The commands `clinical form`, `clinical load` and `clinical show` on a local home."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from albufera.clinical.forms import demonstration_form
from albufera.entrypoints.cli.main import main
from tests.nodes import town

GOOD = "patient_id,diagnosis,sex,age_at_diagnosis\nMRN-1,carcinoid,male,50\n"
BAD = GOOD + "MRN-2,nothing,male,50\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with town(tmp_path / "home"):
        (tmp_path / "form.json").write_bytes(demonstration_form())
        (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
        (tmp_path / "bad.csv").write_text(BAD, encoding="utf-8")
        yield tmp_path


def run(home: Path, *words: str, as_json: bool = False) -> Result:
    options = ["--home", str(home / "home"), *(["--json"] if as_json else [])]
    return CliRunner().invoke(main, [*options, "clinical", *words, "--project", "LUNG"])


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_way_of_a_table(home: Path) -> None:
    made = run(home, "form", str(home / "form.json"))
    assert made.exit_code == 0, made.output
    assert "version 1, with 15 variables" in made.stdout
    report = document(run(home, "load", str(home / "good.csv"), as_json=True))
    assert (report["new"], report["rejected"]) == (1, 0)
    assert document(run(home, "load", str(home / "good.csv"), as_json=True))["unchanged"] == 1
    shown = document(run(home, "show", as_json=True))
    assert shown["title"] == "Lung cancer"
    assert {key: shown["completeness"][0][key] for key in ("filled", "records")} == {
        "filled": 1,
        "records": 1,
    }
    assert "1 of 1" in run(home, "show").stdout
    assert "SUBJ-" in run(home, "show", "--records").stdout


def test_bad_rows_are_told_and_strict_fails(home: Path) -> None:
    run(home, "form", str(home / "form.json"))
    told = run(home, "load", str(home / "bad.csv"))
    assert told.exit_code == 0
    assert "row 3, diagnosis: the form allows" in told.stdout
    assert "MRN" not in told.output
    strict = run(home, "load", str(home / "bad.csv"), "--strict")
    assert strict.exit_code == 1
    assert run(home, "load", str(home / "good.csv"), "--strict").exit_code == 0


def test_refusals_exit_with_one_and_the_remedy(home: Path) -> None:
    absent = run(home, "load", str(home / "good.csv"))
    assert absent.exit_code == 1
    assert "form-not-found" in absent.stderr
    assert "albufera clinical form" in absent.stderr
    broken = home / "broken.json"
    broken.write_text('{"title": "x"}', encoding="utf-8")
    refused = run(home, "form", str(broken))
    assert refused.exit_code == 1
    assert "form-refused" in refused.stderr
    assert "properties" in refused.stderr
