"""Hostile input ends in a stated reason, within bounded memory and time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from albufera.ingest.deidentify import UNCLEAN, UNREADABLE, looks_like_dicom
from tests.ingest.deidentify.hostile import INPUTS

CHECKOUT = Path(__file__).parents[3]
EXPECTED = {
    "empty": "empty",
    "one-byte": "not-dicom",
    "text": "not-dicom",
    "random": "not-dicom",
    "zeros": "not-dicom",
    "prefix-only": "truncated",
    "huge-length": "truncated",
    "huge-pixels": "truncated",
    "huge-undefined-text": "bad-length",
    "sparse-file": "header-too-large",
    "wrong-vr": "bad-vr",
    "deep-without-lengths": "too-deep",
    "deep-unended": "too-deep",
    "deep-with-lengths": "too-deep",
    "deep-in-unknown-vr": "too-deep",
    "item-beyond-sequence": "bad-length",
    "sequence-inside-itself": "bad-length",
    "stray-delimiter": "bad-length",
    "duplicate": "duplicate-element",
    "many-items": "too-many-elements",
    "many-elements": "too-many-elements",
    "large-kept-value": "admitted",
    "too-large-header": "header-too-large",
    "deflate-header-bomb": "header-too-large",
    "deflate-pixel-bomb": "inflated-too-large",
    "deflate-truncated": "truncated",
}
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def report() -> Any:
    """What a process of its own made of all hostile inputs."""
    command = [sys.executable, "-m", "tests.ingest.deidentify.hostile"]
    run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=True, timeout=300)
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", list(INPUTS))
def test_hostile_inputs_are_told_apart(report: Any, name: str) -> None:
    code = report["inputs"][name]["code"]
    assert code == EXPECTED.get(name, code)
    assert code in UNREADABLE or name == "large-kept-value"


@pytest.mark.parametrize("name", list(INPUTS))
def test_hostile_inputs_cost_little(report: Any, name: str) -> None:
    assert report["inputs"][name]["grew"] < 200 * MEGABYTE
    assert report["inputs"][name]["seconds"] < 60


def test_a_file_cut_off_anywhere_is_refused(report: Any) -> None:
    assert len(report["truncated"]) == 50
    assert set(report["truncated"]) <= set(UNREADABLE)


def test_damaged_files_end_in_a_reason(report: Any) -> None:
    codes = set(report["mutants"])
    assert codes <= set(UNREADABLE) | set(UNCLEAN) | {"admitted"}
    assert len(codes) > 5, "the mutants should not all die of the same thing"


@pytest.mark.parametrize("name", ["text", "random", "zeros", "one-byte", "empty"])
def test_what_is_not_dicom_does_not_look_like_it(name: str) -> None:
    assert not looks_like_dicom(INPUTS[name]().read(1024))
