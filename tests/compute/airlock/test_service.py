"""Verbs of the airlock: who asks, who reviews, who fetches, and never the same person."""

import os

import pytest
import sqlalchemy as sa

from albufera.compute.airlock.freezer import Altered
from albufera.compute.airlock.model import (
    EGRESS_LIFE,
    MAX_FILES,
    MAX_PENDING,
    EgressRequest,
    EgressState,
)
from albufera.compute.airlock.service import ABANDONED_SECONDS, SWEEP_SECONDS
from albufera.compute.model import Job
from albufera.governance.model import Role
from albufera.kernel import clock
from albufera.kernel.actor import ANONYMOUS, Actor
from albufera.kernel.errors import Refusal
from albufera.kernel.ids import new_id
from albufera.kernel.outbox import events
from albufera.kernel.pages import PageRequest
from tests.compute.airlock.samples import DICOM
from tests.compute.yard import Yard

ODD = ["", "eg-", "eg-" + "0" * 26, "\0", "eg-\ud800", "x" * 5000, "../.."]


def ask(place: Yard, job: Job | None = None, path: str = "report.txt") -> EgressRequest:
    """Ask that the report of a finished job leaves."""
    job = job or place.finished(**{"report.txt": b"0.93"})
    return place.airlock.request(place.researcher, job.job_id, [path], "The score.")


def reviewer(place: Yard, code: str = "LUNG") -> Actor:
    return place.person(Role.OUTPUT_REVIEWER, code)


def code_of(verb: object, *arguments: object) -> str:
    with pytest.raises(Refusal) as refused:
        verb(*arguments)  # type: ignore[operator]
    return refused.value.code


def told(place: Yard) -> list[tuple[str, dict[str, object]]]:
    with place.town.node.database.read() as connection:
        query = sa.select(events.c.verb, events.c.subjects).order_by(events.c.sequence)
        return [(row.verb, row.subjects) for row in connection.execute(query)
                if row.verb.startswith("egress.")]  # fmt: skip


def content(place: Yard, found: EgressRequest) -> list[bytes]:
    read = place.airlock.freezer.read
    return [b"".join(read(found.request_id, file)) for file in found.files]


@pytest.mark.parametrize("state", EgressState)
@pytest.mark.parametrize("event", ["approve", "reject", "fetch", "withdraw"])
def test_the_life_of_a_request(state: EgressState, event: str) -> None:
    wanted = {"approve": EgressState.APPROVED, "reject": EgressState.REJECTED}.get(event)
    if state is EgressState.PENDING and wanted is not None:
        assert EGRESS_LIFE.after(state, event) is wanted
    else:
        assert code_of(EGRESS_LIFE.after, state, event) == "wrong-state"


def test_the_whole_way_out(place: Yard) -> None:
    job = place.finished(**{"report.txt": b"0.93", "other.txt": b"stays"})
    asked = ask(place, job)
    assert (asked.state, asked.owner, asked.purpose) == (
        EgressState.PENDING, "lung.researcher", "The score.",
    )  # fmt: skip
    assert [file.path for file in asked.files] == ["report.txt"]
    ((file, path),) = place.airlock.inspect(reviewer(place), asked.request_id, [0])
    assert path.read_bytes() == b"0.93"
    assert path.name == file.sha256
    approved = place.airlock.approve(reviewer(place), asked.request_id, "An aggregate.")
    assert (approved.state, approved.reviewer) == (EgressState.APPROVED, "lung.output-reviewer")
    fetched = place.airlock.fetch(place.researcher, asked.request_id)
    assert content(place, fetched) == [b"0.93"]
    assert [verb for verb, _ in told(place)] == [
        "egress.requested", "egress.inspected", "egress.reviewed", "egress.fetched",
    ]  # fmt: skip


def test_the_log_holds_digests_and_no_names(place: Yard) -> None:
    asked = ask(place)
    place.airlock.approve(reviewer(place), asked.request_id, "An aggregate.")
    (_, requested), (_, reviewed) = told(place)
    assert requested["files_digest"] == reviewed["files_digest"]
    assert "report" not in str(told(place))
    assert "score" not in str(told(place))


def test_what_leaves_is_what_was_reviewed(place: Yard) -> None:
    job = place.finished(**{"report.txt": b"0.93"})
    asked = ask(place, job)
    (place.outputs(job) / "report.txt").write_bytes(b"a patient's name")
    place.airlock.approve(reviewer(place), asked.request_id)
    assert content(place, place.airlock.fetch(place.researcher, asked.request_id)) == [b"0.93"]


def test_a_frozen_copy_that_somebody_changed_does_not_leave(place: Yard) -> None:
    asked = ask(place)
    place.airlock.approve(reviewer(place), asked.request_id)
    path = place.airlock.freezer.path(asked.request_id, asked.files[0])
    path.chmod(0o600)
    path.write_bytes(b"a patient's name")
    with pytest.raises(Altered):
        content(place, place.airlock.fetch(place.researcher, asked.request_id))


def test_nobody_reviews_their_own_request(place: Yard) -> None:
    asked = ask(place)
    code, username = "LUNG", "lung.researcher"
    place.town.node.projects.give_role(place.town.operator, code, username, Role.OUTPUT_REVIEWER)
    for verb in (place.airlock.approve, place.airlock.reject):
        assert code_of(verb, place.researcher, asked.request_id, "mine") == "own-request"
    assert code_of(place.airlock.inspect, place.researcher, asked.request_id, [0]) == "forbidden"
    _, allowed = place.airlock.show(place.researcher, asked.request_id)
    assert set(allowed) == {"view"}
    assert place.airlock.count_to_review(place.researcher) == 0
    assert place.airlock.count_to_review(reviewer(place)) == 1


def test_not_even_an_operator_reviews_their_own_request(place: Yard) -> None:
    operator = place.town.operator
    job = place.submit(actor=operator)
    place.turn(job)
    (place.outputs(job) / "report.txt").write_bytes(b"0.93")
    place.jobs.cancel(operator, job.job_id)
    place.turn(job)
    asked = place.airlock.request(operator, job.job_id, ["report.txt"], "")
    for verb in (place.airlock.approve, place.airlock.reject):
        assert code_of(verb, operator, asked.request_id, "mine") == "own-request"
    assert code_of(place.airlock.inspect, operator, asked.request_id, [0]) == "forbidden"
    assert code_of(place.airlock.fetch, operator, asked.request_id) == "egress-not-approved"


def test_who_does_what(place: Yard) -> None:
    asked = ask(place)
    people = {actor.username: actor for actor in place.town.people.values()}
    people["admin"] = place.town.operator
    wanted = {
        "lung.researcher": {"view"},
        "lung.output-reviewer": {"view", "inspect", "review"},
        "lung.auditor": {"view"},
        "admin": {"view", "inspect", "review"},
    }
    for username, actor in people.items():
        page = place.airlock.list(actor, PageRequest())
        if username not in wanted:
            assert page.items == []
            for verb in (place.airlock.show, place.airlock.fetch):
                assert code_of(verb, actor, asked.request_id) == "egress-not-found"
            assert code_of(place.airlock.approve, actor, asked.request_id) == "egress-not-found"
            assert code_of(place.airlock.inspect, actor, asked.request_id, [0]) == (
                "egress-not-found"
            )
            continue
        assert [item.request_id for item in page.items] == [asked.request_id]
        assert set(place.airlock.show(actor, asked.request_id)[1]) == wanted[username]
        if "review" not in wanted[username] and username != "lung.researcher":
            assert code_of(place.airlock.approve, actor, asked.request_id) == "forbidden"
    assert code_of(place.airlock.show, ANONYMOUS, asked.request_id) in {
        "egress-not-found", "not-signed-in",
    }  # fmt: skip


def test_a_reviewer_sees_the_request_and_not_the_job(place: Yard) -> None:
    asked = ask(place)
    for verb in (place.jobs.show, place.jobs.outputs):
        assert code_of(verb, reviewer(place), asked.job_id) == "job-not-found"
    assert code_of(place.jobs.logs, reviewer(place), asked.job_id, 0, 1) == "job-not-found"


def test_only_the_owner_asks_and_only_about_a_job_that_is_over(place: Yard) -> None:
    job = place.submit()
    assert code_of(place.airlock.request, place.researcher, job.job_id, ["a"], "") == "job-not-over"
    place.turn(job)
    assert code_of(place.airlock.request, place.researcher, job.job_id, ["a"], "") == "job-not-over"
    over = place.finished(a=b"1")
    request = place.airlock.request
    assert code_of(request, place.town.operator, over.job_id, ["a"], "") == "forbidden"
    assert code_of(request, reviewer(place), over.job_id, ["a"], "") == "job-not-found"
    assert list(place.airlock.freezer.root.iterdir()) == []


def test_only_the_owner_fetches_and_only_what_was_approved(place: Yard) -> None:
    asked = ask(place)
    fetch = place.airlock.fetch
    assert code_of(fetch, place.researcher, asked.request_id) == "egress-not-approved"
    assert code_of(fetch, reviewer(place), asked.request_id) == "forbidden"
    place.airlock.approve(reviewer(place), asked.request_id)
    assert code_of(fetch, reviewer(place), asked.request_id) == "forbidden"
    assert code_of(fetch, place.town.operator, asked.request_id) == "forbidden"
    assert fetch(place.researcher, asked.request_id).files == asked.files


def test_a_rejection_says_why_and_removes_the_copy(place: Yard) -> None:
    asked = ask(place)
    reject = place.airlock.reject
    assert code_of(reject, reviewer(place), asked.request_id, "  ") == "invalid-input"
    rejected = reject(reviewer(place), asked.request_id, "It names a patient.")
    assert (rejected.state, rejected.reason) == (EgressState.REJECTED, "It names a patient.")
    assert list(place.airlock.freezer.root.iterdir()) == []
    assert code_of(place.airlock.fetch, place.researcher, asked.request_id) == (
        "egress-not-approved"
    )
    assert code_of(place.airlock.inspect, reviewer(place), asked.request_id, [0]) == "not-found"
    assert "inspect" not in place.airlock.show(reviewer(place), asked.request_id)[1]
    for verb in (place.airlock.approve, reject):
        assert code_of(verb, reviewer(place), asked.request_id, "again") == "wrong-state"


def test_an_alarm_is_overruled_with_a_reason_only(place: Yard) -> None:
    job = place.finished(**{"image.dcm": DICOM})
    asked = ask(place, job, "image.dcm")
    assert asked.alarms == 1
    approve = place.airlock.approve
    assert code_of(approve, reviewer(place), asked.request_id) == "invalid-input"
    assert approve(reviewer(place), asked.request_id, "A phantom.").state is EgressState.APPROVED


@pytest.mark.parametrize("text", ["x" * 4001, "a\0b", "\x1b[2J", "a\ud800", "a\u202eb"])
def test_texts_that_could_not_be_kept_or_shown_are_refused(place: Yard, text: str) -> None:
    job = place.finished(a=b"1")
    asked = place.airlock.request(place.researcher, job.job_id, ["a"], "two\nlines")
    request = place.airlock.request
    assert code_of(request, place.researcher, job.job_id, ["a"], text) == "invalid-input"
    for verb in (place.airlock.approve, place.airlock.reject):
        assert code_of(verb, reviewer(place), asked.request_id, text) == "invalid-input"


@pytest.mark.parametrize("paths", [[], ["a"] * 201])
def test_the_number_of_paths_is_bounded(place: Yard, paths: list[str]) -> None:
    job = place.finished(a=b"1")
    request = place.airlock.request
    assert code_of(request, place.researcher, job.job_id, paths, "") == "invalid-input"


def test_a_person_has_a_bounded_number_of_waiting_requests(place: Yard) -> None:
    job = place.finished(**{"report.txt": b"1"})
    made = [ask(place, job) for _ in range(MAX_PENDING)]
    with pytest.raises(Refusal) as refused:
        ask(place, job)
    assert refused.value.code == "too-many-egress-requests"
    assert len(list(place.airlock.freezer.root.iterdir())) == MAX_PENDING
    place.airlock.reject(reviewer(place), made[0].request_id, "no")
    ask(place, job)


@pytest.mark.parametrize("request_id", ODD)
def test_odd_identifiers_are_unknown_requests(place: Yard, request_id: str) -> None:
    for verb in (place.airlock.show, place.airlock.fetch, place.airlock.approve):
        assert code_of(verb, place.researcher, request_id) == "egress-not-found"


@pytest.mark.parametrize("index", [-1, 1, 2**70])
def test_files_that_a_request_does_not_have(place: Yard, index: int) -> None:
    asked = ask(place)
    assert code_of(place.airlock.inspect, reviewer(place), asked.request_id, [index]) == "not-found"
    assert [verb for verb, _ in told(place)] == ["egress.requested"]


def test_pages_and_states_of_requests(place: Yard) -> None:
    job = place.finished(**{"report.txt": b"1"})
    made = [ask(place, job).request_id for _ in range(3)]
    place.airlock.approve(reviewer(place), made[0])

    def ids(state: EgressState | None = None) -> list[str]:
        page = place.airlock.list(place.researcher, PageRequest(), state)
        return [item.request_id for item in page.items]

    assert ids() == made[::-1]
    assert ids(EgressState.APPROVED) == made[:1]
    assert ids(EgressState.PENDING) == made[:0:-1]
    first = place.airlock.list(place.researcher, PageRequest(limit=2))
    rest = place.airlock.list(place.researcher, PageRequest(first.next_after, 2))
    assert [item.request_id for item in (*first.items, *rest.items)] == made[::-1]
    assert code_of(place.airlock.list, place.researcher, PageRequest("\0")) == "invalid-input"


def test_a_failure_to_record_leaves_no_copy(place: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(place.airlock, "_record", broken)
    with pytest.raises(OSError, match="no"):
        ask(place)
    assert list(place.airlock.freezer.root.iterdir()) == []


def test_copies_that_no_request_holds_are_swept(place: Yard) -> None:
    kept, fresh = ask(place), new_id("eg")
    root = place.airlock.freezer.root
    orphan, half_rejected = new_id("eg"), ask(place)
    place.airlock.reject(reviewer(place), half_rejected.request_id, "no")
    for name in (orphan, fresh, half_rejected.request_id):
        (root / name).mkdir()
    long_ago = clock.now().timestamp() - ABANDONED_SECONDS - 1
    for name in (kept.request_id, orphan, half_rejected.request_id):
        os.utime(root / name, (long_ago, long_ago))
    place.airlock.sweep()
    assert (root / orphan).exists()
    place.airlock._swept -= SWEEP_SECONDS + 1
    place.airlock.sweep()
    assert {path.name for path in root.iterdir()} == {kept.request_id, fresh}


def test_the_limits_are_what_the_tests_believe() -> None:
    assert (MAX_FILES, MAX_PENDING) == (200, 20)
