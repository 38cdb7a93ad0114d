"""Fixtures of the tests of what people and programs call."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute.yard import Yard, yard


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Yard]:
    """Two projects with a released dataset each, and a runner that is a double."""
    with yard(tmp_path) as opened:
        yield opened
