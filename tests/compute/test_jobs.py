"""Verbs of jobs: who may, what is refused, what is recorded."""

import string

import pytest
import sqlalchemy as sa

from albufera.compute import records
from albufera.compute.jobs import Submission
from albufera.compute.model import MAX_WAITING_JOBS, Job, JobState
from albufera.compute.ports import Availability, EndReason
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS, Actor
from albufera.kernel.errors import Refusal
from albufera.kernel.ids import new_id
from albufera.kernel.outbox import events, tasks
from albufera.kernel.pages import PageRequest
from tests.compute.yard import Yard

ODD = ["", "jo-", "jo-" + "0" * 26, "\0", "jo-\ud800", "'; drop table jobs", "x" * 5000, "../.."]


def refusal(place: Yard, actor: Actor, submission: Submission) -> Refusal:
    with pytest.raises(Refusal) as refused:
        place.jobs.submit(actor, submission)
    return refused.value


def listed(place: Yard, actor: Actor, dataset_id: str = "") -> list[str]:
    return [job.job_id for job in place.jobs.list(actor, PageRequest(), dataset_id).items]


def verbs(place: Yard) -> list[str]:
    with place.town.node.database.read() as connection:
        found = connection.scalars(sa.select(events.c.verb).order_by(events.c.sequence))
        return [verb for verb in found if verb.startswith(("job.", "dataset.used"))]


def test_a_submitted_job_is_queued_with_its_files(place: Yard) -> None:
    job = place.submit("python", "analyse.py", files={"analyse.py": b"print(1)"})
    assert job.state is JobState.QUEUED
    assert (job.owner, job.flavour) == ("lung.researcher", "standard")
    assert job.dataset_ids == (place.dataset_id,)
    work = place.jobs.workspace.of_job(job.job_id).work
    assert (work / "analyse.py").read_bytes() == b"print(1)"
    with place.town.node.database.read() as connection:
        assert connection.scalar(sa.select(tasks.c.key).where(tasks.c.kind == "job.run"))
    assert verbs(place) == ["job.submitted"]


def test_the_log_gets_a_digest_and_never_the_command(place: Yard) -> None:
    place.submit("python", "-c", "print('SECRET')")
    with place.town.node.database.read() as connection:
        told = connection.scalar(
            sa.select(events.c.subjects).where(events.c.verb == "job.submitted")
        )
    assert "SECRET" not in str(told)
    assert told is not None
    assert len(told["command_digest"]) == 64


def test_without_a_sandbox_a_job_is_refused_and_nothing_is_left(place: Yard) -> None:
    place.runner.availability = Availability(False, "bwrap is not installed.", "Install it.")
    found = refusal(place, place.researcher, Submission([place.dataset_id], ["true"]))
    assert found.code == "sandbox-unavailable"
    assert found.error.status == 503
    assert "bwrap is not installed. Install it." in found.detail
    assert listed(place, place.researcher) == []
    assert list(place.jobs.workspace.jobs.iterdir()) == []


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.RESEARCHER])
def test_a_member_without_a_grant_is_told_to_apply(place: Yard, role: Role) -> None:
    found = refusal(place, place.person(role), Submission([place.dataset_id], ["true"]))
    assert found.code == "dataset-not-granted"
    assert "Apply" in found.error.remedy
    assert list(place.jobs.workspace.jobs.iterdir()) == []


@pytest.mark.parametrize("role", Role)
def test_another_tenants_dataset_is_not_known_to_exist(place: Yard, role: Role) -> None:
    hidden = refusal(place, place.person(role), Submission([place.other_dataset_id], ["true"]))
    absent = refusal(place, place.person(role), Submission([new_id("ds")], ["true"]))
    assert (hidden.code, hidden.detail, hidden.facts) == (absent.code, absent.detail, absent.facts)
    assert hidden.code == "not-found"


def test_nobody_submits_without_signing_in(place: Yard) -> None:
    assert refusal(place, ANONYMOUS, Submission([place.dataset_id], ["true"])).code == "not-found"


@pytest.mark.parametrize("dataset_id", ODD)
def test_odd_dataset_identifiers_are_unknown(place: Yard, dataset_id: str) -> None:
    found = refusal(place, place.researcher, Submission([dataset_id], ["true"]))
    assert found.code == "not-found"


@pytest.mark.parametrize(
    "submission",
    [
        Submission([], ["true"]),
        Submission([str(n) for n in range(17)], ["true"]),
        Submission(["{dataset}"], []),
        Submission(["{dataset}"], ["true"], files={"../a": b""}),
    ],
)
def test_what_cannot_be_run_is_refused(place: Yard, submission: Submission) -> None:
    named = [item.format(dataset=place.dataset_id) for item in submission.dataset_ids]
    found = Submission(named, submission.command, files=submission.files)
    assert refusal(place, place.researcher, found).code == "invalid-input"


def test_the_operator_mixes_no_projects(place: Yard) -> None:
    both = Submission([place.dataset_id, place.other_dataset_id], ["true"])
    found = refusal(place, place.town.operator, both)
    assert (found.code, found.facts["field"]) == ("invalid-input", "datasets")


def test_a_dataset_named_twice_is_mounted_once(place: Yard) -> None:
    twice = Submission([place.dataset_id, place.dataset_id], ["true"])
    assert place.jobs.submit(place.researcher, twice).dataset_ids == (place.dataset_id,)


def test_flavours_are_by_name(place: Yard) -> None:
    small = Submission([place.dataset_id], ["true"], "small")
    assert place.jobs.submit(place.researcher, small).flavour == "small"
    huge = Submission([place.dataset_id], ["true"], "huge")
    found = refusal(place, place.researcher, huge)
    assert found.code == "flavour-not-found"
    assert "standard, small" in found.detail


def test_one_person_has_a_bounded_number_of_jobs(place: Yard) -> None:
    job = place.submit()
    with place.town.node.database.write() as connection:
        row = connection.execute(records.jobs.select()).mappings().one()
        copies = [{**row, "job_id": new_id("jo")} for _ in range(MAX_WAITING_JOBS - 1)]
        connection.execute(records.jobs.insert(), copies)
    found = refusal(place, place.researcher, Submission([place.dataset_id], ["true"]))
    assert found.code == "too-many-jobs"
    assert [path.name for path in place.jobs.workspace.jobs.iterdir()] == [job.job_id]
    place.jobs.cancel(place.researcher, job.job_id)
    place.submit()


def test_who_sees_a_job(place: Yard) -> None:
    job = place.submit()
    seen = {
        username
        for username, actor in _everybody(place).items()
        if listed(place, actor) == [job.job_id]
    }
    assert seen == {"lung.researcher", "admin"}
    for username, actor in _everybody(place).items():
        if username in seen:
            assert place.jobs.show(actor, job.job_id)[0] == job
            continue
        with pytest.raises(Refusal) as refused:
            place.jobs.show(actor, job.job_id)
        assert refused.value.code == "job-not-found"
        with pytest.raises(Refusal) as refused:
            place.jobs.cancel(actor, job.job_id)
        assert refused.value.code == "job-not-found"


def test_an_operator_sees_the_job_and_never_its_log_or_outputs(place: Yard) -> None:
    job = place.submit()
    place.turn(job)
    place.runner.logs_of[place.handle(job)] = b"a patient's age"
    _, allowed = place.jobs.show(place.town.operator, job.job_id)
    assert set(allowed) == {"view", "cancel"}
    for look in (
        lambda: place.jobs.logs(place.town.operator, job.job_id, 0, 10),
        lambda: place.jobs.log_tail(place.town.operator, job.job_id, 10),
        lambda: place.jobs.outputs(place.town.operator, job.job_id),
    ):
        with pytest.raises(Refusal) as refused:
            look()
        assert refused.value.code == "forbidden"
    assert place.jobs.logs(place.researcher, job.job_id, 2, 7) == b"patient"


@pytest.mark.parametrize("job_id", ODD)
def test_odd_identifiers_are_unknown_jobs(place: Yard, job_id: str) -> None:
    for verb in (place.jobs.show, place.jobs.cancel, place.jobs.outputs):
        with pytest.raises(Refusal) as refused:
            verb(place.researcher, job_id)
        assert refused.value.code == "job-not-found"


def test_pages_of_jobs_newest_first(place: Yard) -> None:
    made = [place.submit().job_id for _ in range(5)]
    first = place.jobs.list(place.researcher, PageRequest(limit=2))
    second = place.jobs.list(place.researcher, PageRequest(first.next_after, 2))
    found = [job.job_id for job in (*first.items, *second.items)]
    assert found == sorted(made, reverse=True)[:4]
    with pytest.raises(Refusal) as refused:
        place.jobs.list(place.researcher, PageRequest("\0"))
    assert refused.value.code == "invalid-input"


def test_jobs_on_one_dataset(place: Yard) -> None:
    mine = place.submit().job_id
    theirs = Submission([place.other_dataset_id], ["true"])
    other = place.jobs.submit(place.person(Role.RESEARCHER, "BREAST"), theirs).job_id
    operator = place.town.operator
    assert listed(place, operator, place.dataset_id) == [mine]
    assert listed(place, operator, place.other_dataset_id) == [other]
    assert set(listed(place, operator)) == {mine, other}
    for odd in ("%", "_", "ds-%", "\0", "\ud800"):
        assert listed(place, operator, odd) == []


def test_a_waiting_job_is_cancelled_at_once(place: Yard) -> None:
    job = place.submit()
    found = place.jobs.cancel(place.researcher, job.job_id)
    assert (found.state, found.reason) == (JobState.CANCELLED, "cancelled")
    assert not place.turn(job)
    assert place.runner.started == []
    assert not place.jobs.workspace.of_job(job.job_id).work.exists()
    assert verbs(place) == ["job.submitted", "job.ended"]
    with pytest.raises(Refusal) as refused:
        place.jobs.cancel(place.researcher, job.job_id)
    assert refused.value.code == "wrong-state"


def test_a_running_job_is_told_to_stop(place: Yard) -> None:
    job = place.submit()
    place.turn(job)
    assert place.jobs.cancel(place.researcher, job.job_id).state is JobState.RUNNING
    assert place.runner.stopped == [place.handle(job)]
    place.turn(job)
    assert place.now(job).state is JobState.CANCELLED


def test_an_operator_may_cancel(place: Yard) -> None:
    job = place.submit()
    assert place.jobs.cancel(place.town.operator, job.job_id).state is JobState.CANCELLED


def test_actions_that_are_offered_follow_the_state(place: Yard) -> None:
    def offered(job: Job) -> set[str]:
        return set(place.jobs.show(place.researcher, job.job_id)[1])

    job = place.submit()
    assert offered(job) == {"view", "cancel", "logs", "egress"}
    place.turn(job)
    assert "cancel" in offered(job)
    place.runner.end(place.handle(job), EndReason.FAILED, 3)
    place.turn(job)
    assert offered(job) == {"view", "logs", "egress"}


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 1000, 65537])
def test_the_end_of_a_log(place: Yard, length: int) -> None:
    job = place.submit()
    assert place.jobs.log_tail(place.researcher, job.job_id, 10) == (b"", 0)
    place.turn(job)
    text = (string.ascii_letters * (length // 52 + 1))[:length].encode()
    place.runner.logs_of[place.handle(job)] = text
    found, start = place.jobs.log_tail(place.researcher, job.job_id, 10)
    assert found == text[-10:]
    assert start == max(0, length - 10)


def test_a_log_whose_run_directory_is_gone_is_empty(place: Yard) -> None:
    job = place.submit()
    place.turn(job)
    place.runner.forget()
    assert place.jobs.logs(place.researcher, job.job_id, 0, 10) == b""


def _everybody(place: Yard) -> dict[str, Actor]:
    people = {actor.username: actor for actor in place.town.people.values()}
    return {**people, "admin": place.town.operator}
