"""Fixtures for the tests of the local sandbox."""

from pathlib import Path

import pytest

from tests.compute.backends.laboratory import Laboratory, require_sandbox


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    """A host to attack, with a runner."""
    require_sandbox()
    return Laboratory(tmp_path)
