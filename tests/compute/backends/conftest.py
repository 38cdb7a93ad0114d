"""Fixtures for the tests of the local sandbox."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.compute.folders import remove_tree
from albufera.compute.ports import Runner
from tests.compute.backends.laboratory import Laboratory, require_sandbox


@pytest.fixture(scope="session")
def runner() -> Runner:
    """The runner under attack; skips (in CI: fails) where it cannot be had."""
    require_sandbox()
    return BubblewrapRunner()


@pytest.fixture
def laboratory(tmp_path: Path, runner: Runner) -> Iterator[Laboratory]:
    """A host to attack."""
    yield Laboratory(tmp_path, runner)
    remove_tree(tmp_path)  # an attack may leave folders deeper than pytest can remove
