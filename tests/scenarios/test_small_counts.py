"""A stranger is told of no dataset how few its subjects are, wherever datasets are listed."""

from pathlib import Path

import pytest

from albufera.kernel.actor import ANONYMOUS
from tests.catalogue.lakes import cohort
from tests.nodes import town
from tests.publication.library import publish, steward

PLACES = ("/", "/datasets", "/datasets/{id}", "/api/v1/datasets", "/api/v1/datasets/{id}")


@pytest.mark.parametrize("place", PLACES)
def test_a_small_number_of_subjects_is_told_to_members_alone(place: str, tmp_path: Path) -> None:
    with town(tmp_path / "home", ("LUNG",)) as there:
        dataset_id = publish(there, scans=cohort(4))
        address = place.format(id=dataset_id)
        html = {"accept": "text/html"}
        stranger = there.client(ANONYMOUS).get(address, headers=html)
        member = there.client(steward(there)).get(address, headers=html)
    assert stranger.status_code == member.status_code == 200
    if place.startswith("/api"):
        for answer, wanted in ((stranger, None), (member, 4)):
            body = answer.json()
            (shown,) = body.get("items", [body])
            assert shown["counts"]["subjects"] == wanted
    else:
        assert "fewer than 5" in stranger.text
        assert "fewer than 5" not in member.text
