"""`/jobs` over HTTP."""

import base64
import json

import pytest

from albufera.compute.ports import Availability, EndReason
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS
from tests.compute.yard import Yard


def body(place: Yard, **more: object) -> dict[str, object]:
    return {"datasets": [place.dataset_id], "command": ["python", "analyse.py"], **more}


def test_a_job_from_the_request_to_its_outputs(place: Yard) -> None:
    script = {"name": "analyse.py", "contentBase64": base64.b64encode(b"print(1)").decode()}
    with place.town.client(place.researcher) as client:
        made = client.post("/api/v1/jobs", json=body(place, files=[script]))
        assert made.status_code == 201, made.text
        job = made.json()
        assert (job["state"], job["owner"]) == ("queued", "lung.researcher")
        assert set(job["allowedActions"]) == {"view", "cancel", "logs", "egress"}
        address = f"/api/v1/jobs/{job['jobId']}"
        place.worker().run_once()
        (launch,) = place.runner.started
        assert (launch.work / "analyse.py").read_bytes() == b"print(1)"
        assert client.get(address).json()["state"] == "running"
        (launch.outputs / "scores.csv").write_text("1")
        place.runner.logs_of[str(launch.run_dir)] = "é€\x1b[2J".encode()
        part = client.get(f"{address}/logs", params={"limit": 4}).json()
        assert part == {"text": "é", "nextOffset": 2}
        part = client.get(f"{address}/logs", params={"offset": 2}).json()
        assert part == {"text": "€\x1b[2J", "nextOffset": 9}
        assert client.get(f"{address}/logs", params={"offset": 9}).json()["text"] == ""
        outputs = client.get(f"{address}/outputs").json()
        assert outputs == {
            "items": [{"path": "scores.csv", "size": 1, "readable": True}], "more": False,
        }  # fmt: skip
        assert client.post(f"{address}/cancel").json()["state"] == "running"
        assert place.runner.stopped == [str(launch.run_dir)]


def test_how_a_job_ended(place: Yard) -> None:
    job = place.finished()
    with place.town.client(place.researcher) as client:
        found = client.get(f"/api/v1/jobs/{job.job_id}").json()
    assert (found["state"], found["reason"], found["exitCode"]) == ("finished", "finished", 0)
    assert found["startedAt"] < found["endedAt"]
    assert set(found["allowedActions"]) == {"view", "logs", "egress"}


def test_the_list_by_pages_and_by_dataset(place: Yard) -> None:
    made = [place.submit().job_id for _ in range(3)]
    with place.town.client(place.researcher) as client:
        first = client.get("/api/v1/jobs", params={"limit": 2})
        assert [item["jobId"] for item in first.json()["items"]] == made[:0:-1]
        assert 'rel="next"' in first.headers["link"]
        rest = client.get("/api/v1/jobs", params={"after": first.json()["nextAfter"]}).json()
        assert [item["jobId"] for item in rest["items"]] == made[:1]
        of_dataset = client.get("/api/v1/jobs", params={"dataset": place.dataset_id}).json()
        assert len(of_dataset["items"]) == 3
        of_other = client.get("/api/v1/jobs", params={"dataset": place.other_dataset_id}).json()
        assert of_other["items"] == []


def test_flavours(place: Yard) -> None:
    with place.town.client(place.researcher) as client:
        found = client.get("/api/v1/flavours").json()
        assert [item["name"] for item in found] == ["standard", "small"]
        refused = client.post("/api/v1/jobs", json=body(place, flavour="huge"))
        assert (refused.status_code, refused.json()["code"]) == (422, "flavour-not-found")


def test_without_a_sandbox(place: Yard) -> None:
    place.runner.availability = Availability(False, "bwrap is not installed.", "Install it.")
    with place.town.client(place.researcher) as client:
        refused = client.post("/api/v1/jobs", json=body(place))
    assert refused.status_code == 503
    assert refused.json()["code"] == "sandbox-unavailable"
    assert "Install it." in refused.json()["detail"]


@pytest.mark.parametrize(
    "change",
    [
        {"datasets": []},
        {"datasets": ["x" * 65]},
        {"datasets": ["x"] * 17},
        {"command": []},
        {"command": [""]},
        {"command": ["a\0b"]},
        {"command": ["a\ud800"]},
        {"command": ["x"] * 257},
        {"command": ["x" * 70_000]},
        {"files": [{"name": "a", "contentBase64": "***"}]},
        {"files": [{"name": "../a", "contentBase64": ""}]},
        {"files": [{"name": "a\n", "contentBase64": ""}]},
        {"files": [{"name": "a", "contentBase64": ""}, {"name": "a/b", "contentBase64": ""}]},
        {"files": [{"name": "a", "contentBase64": ""}] * 2},
        {"files": [{"name": str(n), "contentBase64": ""} for n in range(65)]},
        {"surprise": 1},
    ],
    ids="-".join,
)
def test_what_is_not_well_formed_is_422(place: Yard, change: dict[str, object]) -> None:
    with place.town.client(place.researcher) as client:
        content = json.dumps({**body(place), **change})
        headers = {"content-type": "application/json"}
        refused = client.post("/api/v1/jobs", content=content, headers=headers)
        assert refused.status_code == 422, refused.text
        assert refused.json()["code"] == "invalid-input"
        assert client.get("/api/v1/jobs").json()["items"] == []


def test_a_body_larger_than_any_document_is_refused_before_it_is_read(place: Yard) -> None:
    headers = {"content-type": "application/json", "content-length": str(65 * 1024 * 1024)}
    with place.town.client(place.researcher) as client:
        refused = client.post("/api/v1/jobs", content=b"{}", headers=headers)
    assert refused.status_code == 413


def test_who_may_not_know_gets_404_and_who_may_not_do_403(place: Yard) -> None:
    job = place.submit()
    place.turn(job)
    address = f"/api/v1/jobs/{job.job_id}"
    for actor, shown, logs in (
        (place.town.operator, 200, 403),
        (place.person(Role.OUTPUT_REVIEWER), 404, 404),
        (place.person(Role.RESEARCHER, "BREAST"), 404, 404),
        (ANONYMOUS, 401, 401),
    ):
        with place.town.client(actor) as client:
            assert client.get(address).status_code == shown
            assert client.get(f"{address}/logs").status_code == logs
            assert client.get(f"{address}/outputs").status_code == logs
    with place.town.client(place.researcher) as client:
        for odd in ("jo-%00", "%ff", "..%2f..", "x" * 3000):
            found = client.get(f"/api/v1/jobs/{odd}")
            assert found.status_code == 404, odd
        for after in ("\0", "é", "jo-%"):
            assert client.get("/api/v1/jobs", params={"after": after}).status_code == 422


def test_cancelling_what_is_over(place: Yard) -> None:
    job = place.submit()
    place.turn(job)
    place.runner.end(place.handle(job), EndReason.TIMEOUT)
    place.turn(job)
    with place.town.client(place.researcher) as client:
        refused = client.post(f"/api/v1/jobs/{job.job_id}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")
