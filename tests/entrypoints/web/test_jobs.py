"""The pages of jobs and of the airlock."""

import html
import re

import httpx
import pytest

from albufera.compute.model import Job
from albufera.compute.ports import Availability, EndReason
from albufera.governance.model import Role
from albufera.kernel.actor import Actor
from tests.compute.airlock.samples import DICOM, PNG
from tests.compute.yard import Yard

PAGE = {"accept": "text/html"}


def get(place: Yard, path: str, actor: Actor | None = None, status: int = 200) -> str:
    with place.town.client(actor or place.researcher) as client:
        answer = client.get(path, headers=PAGE)
    assert answer.status_code == status, answer.text
    return answer.text


def post(
    place: Yard, path: str, actor: Actor | None = None, **form: str | list[str]
) -> httpx.Response:
    with place.town.client(actor or place.researcher) as client:
        return client.post(path, data=form, headers=PAGE)


def reviewer(place: Yard) -> Actor:
    return place.person(Role.OUTPUT_REVIEWER)


def ask(place: Yard, job: Job, *paths: str) -> str:
    answer = post(place, f"/jobs/{job.job_id}/egress", paths=list(paths), purpose="Scores <b>.")
    assert answer.status_code == 303
    return answer.headers["location"]


def told(answer: httpx.Response, place: Yard, actor: Actor | None = None) -> str:
    """Return the page to which a form led, with the message for it."""
    with place.town.client(actor or place.researcher) as client:
        client.cookies = answer.cookies
        return html.unescape(client.get(answer.headers["location"], headers=PAGE).text)


def test_a_new_job(place: Yard) -> None:
    form = get(place, "/jobs/new")
    assert place.dataset_id in form
    assert place.other_dataset_id not in form
    assert "standard: 2 CPUs" in form
    with place.town.client(place.researcher) as client:
        answer = client.post(
            "/jobs",
            data={"dataset": place.dataset_id, "command": "python 'my script.py' -x",
                  "flavour": "small"},
            files={"files": ("my script.py", b"print(1)")},
        )  # fmt: skip
    assert answer.status_code == 303
    page = get(place, answer.headers["location"])
    assert "python &#39;my script.py&#39; -x" in page
    assert "data-live" in page
    place.worker().run_once()
    (launch,) = place.runner.started
    assert (launch.work / "my script.py").read_bytes() == b"print(1)"
    assert launch.limits.processes == 64


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"command": "python 'x"}, "command", "quotation mark"),
        ({"command": ""}, "command", "needs a command"),
        ({"dataset": "ds-none"}, "dataset", "no such dataset"),
        ({"flavour": "huge"}, "command", "standard, small"),
    ],
    ids=["quote", "empty", "dataset", "flavour"],
)
def test_what_is_wrong_is_said_beside_the_field(
    place: Yard, change: dict[str, str], field: str, text: str
) -> None:
    good = {"dataset": place.dataset_id, "command": "true", "flavour": ""}
    with place.town.client(place.researcher) as client:
        answer = client.post("/jobs", data={**good, **change}, headers=PAGE)
    assert answer.status_code in {404, 422}
    assert f'id="f-{field}-error"' in answer.text
    assert text in html.unescape(answer.text)


def test_an_attached_file_that_cannot_be_placed(place: Yard) -> None:
    with place.town.client(place.researcher) as client:
        answer = client.post(
            "/jobs",
            data={"dataset": place.dataset_id, "command": "true", "flavour": ""},
            files={"files": ("../a", b"")},
        )
    assert answer.status_code == 422
    assert 'id="f-files-error"' in answer.text


def test_without_a_sandbox_the_form_says_so(place: Yard) -> None:
    place.runner.availability = Availability(False, "No bubblewrap.", "Install it.")
    assert "No bubblewrap. Install it." in get(place, "/jobs/new")
    answer = post(place, "/jobs", dataset=place.dataset_id, command="true")
    assert answer.status_code == 503
    assert "No bubblewrap. Install it." in answer.text


def test_somebody_without_a_grant_is_led_to_the_datasets(place: Yard) -> None:
    page = get(place, "/jobs/new", place.person(Role.STEWARD))
    assert "No dataset that you may use" in page
    assert 'href="/datasets"' in page


def test_the_log_is_neutral_and_only_its_end_is_on_the_page(place: Yard) -> None:
    job = place.submit()
    place.turn(job)
    text = b"first line\n" + b"x" * 70_000 + b"\x1b]0;owned\x07<script>alert(1)</script>\xff\n"
    place.runner.logs_of[place.handle(job)] = text
    page = get(place, f"/jobs/{job.job_id}")
    assert "\x1b" not in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;�" in page
    assert "first line" not in page
    assert f'href="/jobs/{job.job_id}/log"' in page
    with place.town.client(place.researcher) as client:
        whole = client.get(f"/jobs/{job.job_id}/log")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.text.startswith("first line")
    assert "\x1b" not in whole.text
    assert "sandbox" in whole.headers["content-security-policy"] or (
        whole.headers["x-content-type-options"] == "nosniff"
    )


def test_an_operator_sees_no_log_and_no_outputs(place: Yard) -> None:
    job = place.finished(**{"secret-name.csv": b"1"})
    place.runner.logs_of[place.handle(job)] = b"a patient's age"
    page = get(place, f"/jobs/{job.job_id}", place.town.operator)
    assert "lung.researcher" in page
    assert "patient" not in page
    assert "secret-name" not in page
    get(place, f"/jobs/{job.job_id}/log", place.town.operator, status=403)


@pytest.mark.parametrize("role", [Role.OUTPUT_REVIEWER, Role.STEWARD, Role.COMMITTEE_MEMBER])
def test_nobody_else_sees_a_job(place: Yard, role: Role) -> None:
    job = place.submit()
    for suffix in ("", "/log"):
        get(place, f"/jobs/{job.job_id}{suffix}", place.person(role), status=404)
    assert job.job_id not in get(place, "/jobs", place.person(role))


def test_how_it_ended(place: Yard) -> None:
    job = place.submit()
    place.turn(job)
    place.runner.end(place.handle(job), EndReason.OUT_OF_MEMORY)
    place.turn(job)
    page = get(place, f"/jobs/{job.job_id}")
    assert "out of memory" in page.lower()
    assert "data-live" not in page
    listed = get(place, "/jobs")
    assert "failed" in listed
    assert "data-live" not in listed


def test_cancelling_from_the_page(place: Yard) -> None:
    job = place.submit()
    assert "End the job" in get(place, f"/jobs/{job.job_id}")
    assert post(place, f"/jobs/{job.job_id}/cancel").status_code == 303
    assert "End the job" not in get(place, f"/jobs/{job.job_id}")


def test_outputs_that_cannot_be_read_cannot_be_chosen(place: Yard) -> None:
    job = place.finished(**{"fine.csv": b"1", "bad\nname\udcff": b"2"})
    page = get(place, f"/jobs/{job.job_id}")
    assert 'value="fine.csv"' in page
    assert "bad\\nname\\udcff" in page
    assert len(re.findall(r'<input type="checkbox" name="paths"[^>]*disabled', page)) == 1


def test_asking_for_nothing_or_for_what_is_not_there(place: Yard) -> None:
    job = place.finished(a=b"1")
    answer = post(place, f"/jobs/{job.job_id}/egress")
    assert "Choose at least one file." in told(answer, place)
    answer = post(place, f"/jobs/{job.job_id}/egress", paths=["gone.csv"])
    assert "no file “gone.csv”" in told(answer, place)


def test_a_review_on_the_page(place: Yard) -> None:
    job = place.finished(
        **{
            "notes.txt": b"\x1b[2J<img src=x onerror=alert(1)> " + b"y" * 5000,
            "curve.png": PNG,
            "scan.dcm": DICOM,
        }
    )
    address = ask(place, job, "notes.txt", "curve.png", "scan.dcm")
    own = get(place, address)
    assert "Nobody reviews what they asked for themselves" in own
    assert "Approve" not in own
    assert "Preview" not in own
    page = get(place, address, reviewer(place))
    assert "Scores &lt;b&gt;." in page
    assert "This file is a DICOM object" in html.unescape(page)
    assert "sounds an alarm" in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert "The preview ends here" in page
    assert f'src="{address}/files/0"' in page
    with place.town.client(reviewer(place)) as client:
        picture = client.get(f"{address}/files/0")
        assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
        assert "sandbox" in picture.headers["content-security-policy"]
        assert client.get(f"{address}/files/1").status_code == 404
    with place.town.client(place.researcher) as client:
        assert client.get(f"{address}/files/0").status_code == 403
    answer = post(place, f"{address}/approve", reviewer(place))
    assert "Say why it may leave" in told(answer, place, reviewer(place))
    answer = post(place, f"{address}/approve", reviewer(place), reason="A phantom.")
    assert "Approved" in told(answer, place, reviewer(place))
    done = get(place, address)
    assert "Download the files as a ZIP" in done
    assert "A phantom." in done
    fetched = post(place, f"{address}/fetch")
    assert fetched.content.startswith(b"PK")


def test_a_rejection_on_the_page(place: Yard) -> None:
    address = ask(place, place.finished(a=b"1"), "a")
    answer = post(place, f"{address}/reject", reviewer(place))
    assert "A rejection says why" in told(answer, place, reviewer(place))
    answer = post(place, f"{address}/reject", reviewer(place), reason="Too fine.")
    assert answer.status_code == 303
    page = get(place, address)
    assert "Too fine." in page
    assert "Download" not in page
    assert "Preview" not in get(place, address, reviewer(place))


def test_the_inbox(place: Yard) -> None:
    address = ask(place, place.finished(a=b"1"), "a")
    for actor in (place.researcher, reviewer(place), place.person(Role.AUDITOR)):
        assert address in get(place, "/airlock", actor)
        assert address in get(place, "/airlock?state=pending", actor)
        assert address not in get(place, "/airlock?state=approved", actor)
    for role in Role:
        other = place.person(role, "BREAST")
        assert address not in get(place, "/airlock", other)
        get(place, address, other, status=404)
    assert address not in get(place, "/airlock", place.person(Role.STEWARD))
    get(place, "/airlock?state=odd")


@pytest.mark.parametrize("path", ["/jobs/jo-%00", "/jobs/%F0", "/airlock/eg-%00", "/airlock/x"])
def test_odd_addresses_are_not_found(place: Yard, path: str) -> None:
    get(place, path, status=404)


@pytest.mark.parametrize("query", ["after=%00", "after=x", "dataset=%00", "dataset=%25"])
def test_odd_queries_are_no_trouble(place: Yard, query: str) -> None:
    with place.town.client(place.researcher) as client:
        assert client.get(f"/jobs?{query}", headers=PAGE).status_code in {200, 422}
        assert client.get(f"/airlock?{query}", headers=PAGE).status_code in {200, 422}


def test_who_finds_the_way_there(place: Yard) -> None:
    def links(actor: Actor) -> set[str]:
        page = get(place, "/", actor)
        return {link for link in ("/jobs", "/airlock") if f'href="{link}"' in page}

    assert links(place.researcher) == {"/jobs", "/airlock"}
    assert links(place.town.operator) == {"/jobs", "/airlock"}
    assert links(reviewer(place)) == {"/airlock"}
    assert links(place.person(Role.AUDITOR)) == {"/airlock"}
    assert links(place.person(Role.STEWARD)) == set()
