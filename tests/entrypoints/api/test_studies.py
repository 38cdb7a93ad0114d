"""`/studies` and `/series`."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from albufera.governance.model import Role
from tests.ingest.dicoms import write_study
from tests.nodes import Town, town


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("studies")
    write_study(folder / "in", series=2, slices=3)
    with town(folder / "home") as made:
        made.node.ingests.ingest_paths(
            made.people["LUNG", Role.STEWARD], "LUNG", "main", [folder / "in"], lambda a, b: None
        )
        yield made


@pytest.fixture
def client(place: Town) -> httpx.Client:
    return place.client(place.people["LUNG", Role.STEWARD])


def test_list_then_study_then_series_then_picture(client: httpx.Client) -> None:
    (found,) = client.get("/api/v1/studies", params={"project": "LUNG"}).json()["items"]
    assert (found["seriesCount"], found["instanceCount"], found["modalities"]) == (2, 6, ["CT"])
    study = client.get(f"/api/v1/studies/{found['studyId']}").json()
    assert study["allowedActions"] == ["view"]
    series_id = study["series"][0]["seriesId"]
    series = client.get(f"/api/v1/series/{series_id}").json()
    assert [len(item["sha256"]) for item in series["instances"]] == [64] * 3
    picture = client.get(f"/api/v1/series/{series_id}/picture", params={"window": "40,400"})
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("window", ["x", "1", "1,2,3", "nan,1", "1,nan", "1,0", "1,-5", "inf,1"])
def test_wrong_windows(client: httpx.Client, window: str) -> None:
    answer = client.get("/api/v1/series/se-x/picture", params={"window": window})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("studies?project=NOPE", 404),
        ("studies?collection=main", 422),
        ("studies?project=LUNG&collection=no", 404),
        ("studies?q=%00&subject=%00", 200),
        ("studies?modality=%00", 422),
        ("studies/nothing", 404),
        ("studies/%00", 404),
        ("series/%00", 404),
        ("series/x/picture", 404),
        ("series/x/picture?slice=0", 422),
    ],
)
def test_odd_questions(client: httpx.Client, path: str, status: int) -> None:
    assert client.get(f"/api/v1/{path}").status_code == status


@pytest.mark.parametrize("role", Role)
def test_another_project_sees_nothing(place: Town, client: httpx.Client, role: Role) -> None:
    (found,) = client.get("/api/v1/studies").json()["items"]
    study = client.get(f"/api/v1/studies/{found['studyId']}").json()
    other = place.client(place.people["BREAST", role])
    assert other.get("/api/v1/studies").json()["items"] == []
    assert other.get("/api/v1/studies", params={"subject": found["subject"]}).json()["items"] == []
    assert other.get(f"/api/v1/studies/{found['studyId']}").status_code == 404
    series_id = study["series"][0]["seriesId"]
    assert other.get(f"/api/v1/series/{series_id}").status_code == 404
    assert other.get(f"/api/v1/series/{series_id}/picture").status_code == 404
