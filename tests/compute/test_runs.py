"""Jobs from the queue to their end, whoever dies on the way."""

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from albufera.compute import records
from albufera.compute.model import JOB_LIFE, Job, JobState
from albufera.compute.ports import Availability, EndReason
from albufera.compute.records import jobs
from albufera.compute.runs import ABANDONED_SECONDS, SWEEP_SECONDS, _pause
from albufera.governance.model import Role
from albufera.kernel import clock
from albufera.kernel.outbox import events, tasks
from tests.compute.test_jobs import verbs
from tests.compute.yard import Yard, yard
from tests.kernel.clocks import HandClock


def running(place: Yard) -> Job:
    job = place.submit()
    assert place.turn(job)
    assert place.now(job).state is JobState.RUNNING
    return job


def slot(place: Yard, job: Job) -> int | None:
    with place.town.node.database.read() as connection:
        row = records.job_row(connection, job.job_id)
    assert row is not None
    return None if row.slot is None else int(row.slot)


def test_a_job_sees_its_dataset_and_nothing_else(place: Yard) -> None:
    job = running(place)
    (launch,) = place.runner.started
    home = place.town.node.home
    (mount,) = launch.datasets
    assert mount.name == place.dataset_id
    assert mount.host == home.views / place.dataset_id
    assert (mount.host / "index.json").is_file()
    folders = place.jobs.workspace.of_job(job.job_id)
    assert (launch.work, launch.outputs) == (folders.work, folders.outputs)
    assert launch.home == home.user_homes / job.project_id / job.owner_id
    assert launch.environment == {
        "ALBUFERA_DATASETS": "/datasets",
        "ALBUFERA_OUTPUTS": "/outputs",
        "ALBUFERA_JOB_ID": job.job_id,
    }
    assert launch.limits.memory_bytes == 2**30


def test_a_job_to_its_end(place: Yard) -> None:
    job = running(place)
    place.runner.end(place.handle(job), EndReason.FINISHED, 0)
    assert not place.turn(job)
    found = place.now(job)
    assert (found.state, found.reason, found.exit_code) == (JobState.FINISHED, "finished", 0)
    assert (found.memory_peak_bytes, found.cpu_seconds) == (1000, 1.5)
    assert found.started_at is not None
    assert found.ended_at is not None
    assert slot(place, job) is None
    assert verbs(place) == ["job.submitted", "dataset.used", "job.ended"]
    folders = place.jobs.workspace.of_job(job.job_id)
    assert not folders.work.exists()
    assert folders.outputs.is_dir()
    assert not place.turn(job)
    assert verbs(place) == ["job.submitted", "dataset.used", "job.ended"]


@pytest.mark.parametrize("reason", [r for r in EndReason if r is not EndReason.FINISHED])
def test_every_other_end(place: Yard, reason: EndReason) -> None:
    job = running(place)
    place.runner.end(place.handle(job), reason)
    place.turn(job)
    wanted = JobState.CANCELLED if reason is EndReason.CANCELLED else JobState.FAILED
    assert (place.now(job).state, place.now(job).reason) == (wanted, reason.value)


def test_access_that_ends_stops_a_running_job(place: Yard) -> None:
    job = running(place)
    place.town.node.access.revoke(place.person(Role.COMMITTEE_MEMBER), place.grant_id)
    _assert_stopped_for_want_of_access(place, job)


def test_an_invalidated_dataset_stops_a_running_job(place: Yard) -> None:
    job = running(place)
    steward = place.person(Role.STEWARD)
    place.town.node.lifecycle.invalidate(steward, place.dataset_id, "consent was withdrawn")
    _assert_stopped_for_want_of_access(place, job)


def test_a_closed_account_stops_a_running_job(place: Yard) -> None:
    job = running(place)
    place.town.node.identity.disable_user(place.town.operator, "lung.researcher")
    _assert_stopped_for_want_of_access(place, job)


def test_a_grant_that_runs_out_stops_a_running_job(place: Yard) -> None:
    job = running(place)
    hands = HandClock(clock.now() + timedelta(days=366))
    with clock.installed(hands):
        _assert_stopped_for_want_of_access(place, job)


def _assert_stopped_for_want_of_access(place: Yard, job: Job) -> None:
    place.turn(job)
    assert place.runner.stopped == [place.handle(job)]
    found = place.now(job)
    assert (found.state, found.reason) == (JobState.FAILED, "access-ended")
    assert "right to use" in found.detail


def test_access_that_comes_back_does_not_hide_why_a_job_was_stopped(place: Yard) -> None:
    job = running(place)
    with place.town.node.database.write() as connection:  # as when the node dies after stopping
        records.update_job(connection, job.job_id, reason="access-ended")
    place.turn(job)
    assert (place.now(job).state, place.now(job).reason) == (JobState.FAILED, "access-ended")


def test_a_job_whose_access_ended_while_it_waited_never_starts(place: Yard) -> None:
    job = place.submit()
    place.town.node.access.revoke(place.person(Role.COMMITTEE_MEMBER), place.grant_id)
    assert not place.turn(job)
    assert (place.now(job).state, place.now(job).reason) == (JobState.FAILED, "access-ended")
    assert place.runner.started == []
    assert "dataset.used" not in verbs(place)
    assert not place.jobs.workspace.of_job(job.job_id).work.exists()


def test_only_so_many_jobs_run_at_once(place: Yard) -> None:
    made = [place.submit() for _ in range(3)]
    assert all(place.turn(job) for job in made)
    assert [place.now(job).state.value for job in made] == ["running", "running", "queued"]
    place.runner.end(place.handle(made[0]), EndReason.FINISHED, 0)
    place.turn(made[0])
    assert place.turn(made[2])
    assert place.now(made[2]).state is JobState.RUNNING
    assert len(place.runner.started) == 3


def test_fewer_slots_after_a_restart_start_nothing_more(place: Yard) -> None:
    made = [running(place), running(place)]
    place.runs.concurrent = 1
    waiting = place.submit()
    place.runner.end(place.handle(made[0]), EndReason.FINISHED, 0)
    place.turn(made[0])
    assert place.turn(waiting)
    assert place.now(waiting).state is JobState.QUEUED
    place.runner.end(place.handle(made[1]), EndReason.FINISHED, 0)
    place.turn(made[1])
    assert place.turn(waiting)
    assert place.now(waiting).state is JobState.RUNNING


def test_a_runner_that_cannot_start_fails_the_job_with_the_remedy(place: Yard) -> None:
    job = place.submit()
    place.runner.availability = Availability(False, "No namespaces.", "Allow them.")
    assert not place.turn(job)
    found = place.now(job)
    assert (found.state, found.reason) == (JobState.FAILED, "sandbox-unavailable")
    assert found.detail == "No namespaces. Allow them."
    assert slot(place, job) is None


def test_a_run_that_nobody_knows_any_more_is_lost(place: Yard) -> None:
    job = running(place)
    place.runner.forget()
    assert not place.turn(job)
    assert (place.now(job).state, place.now(job).reason) == (JobState.FAILED, "lost")


def test_a_run_that_was_recorded_and_never_began_is_begun(place: Yard) -> None:
    job = running(place)
    place.runner.prepared.add(place.handle(job))
    assert place.turn(job)
    assert place.runner.prepared == set()
    assert len(place.runner.started) == 1


def test_a_node_that_died_before_it_wrote_the_handle_down_starts_nothing_twice(
    place: Yard,
) -> None:
    job = running(place)
    with place.town.node.database.write() as connection:
        records.update_job(connection, job.job_id, run_handle="")
    assert place.turn(job)
    assert len(place.runner.started) == 1
    place.runner.end(place.handle(job), EndReason.FINISHED, 0)
    place.turn(job)
    assert place.now(job).state is JobState.FINISHED


def test_cancelled_between_the_start_and_the_writing_down(place: Yard) -> None:
    job = running(place)
    with place.town.node.database.write() as connection:
        records.update_job(connection, job.job_id, run_handle="")
    place.jobs.cancel(place.researcher, job.job_id)
    place.turn(job)
    assert place.runner.stopped == [place.handle(job)]
    place.turn(job)
    assert place.now(job).state is JobState.CANCELLED


def test_cancelled_after_it_was_marked_and_before_it_started(place: Yard) -> None:
    job = place.submit()
    with place.town.node.database.write() as connection:
        records.update_job(connection, job.job_id, state="running", slot=0)
    place.jobs.cancel(place.researcher, job.job_id)
    assert not place.turn(job)
    assert place.now(job).state is JobState.CANCELLED
    assert place.runner.started == []


def test_a_job_invalidated_before_its_start_was_known_gets_no_data(place: Yard) -> None:
    job = place.submit()
    with place.town.node.database.write() as connection:
        records.update_job(connection, job.job_id, state="running", slot=0)
    place.jobs.workspace.of_job(job.job_id).run.mkdir()  # the node died while it started the run
    place.town.node.lifecycle.invalidate(place.person(Role.STEWARD), place.dataset_id, "withdrawn")
    place.turn(job)
    (launch,) = place.runner.started
    assert launch.datasets == ()
    assert (place.now(job).state, place.now(job).reason) == (JobState.FAILED, "access-ended")


def test_a_task_given_up_fails_the_job_and_stops_its_run(
    place: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = running(place)

    def broken(handle: str) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(place.runner, "poll", broken)
    with place.town.node.database.write() as connection:
        connection.execute(tasks.update().where(tasks.c.key == job.job_id).values(attempts=99))
    place.worker().drain()
    found = place.now(job)
    assert (found.state, found.reason) == (JobState.FAILED, "failed")
    assert "the disk is gone" in found.detail
    assert place.runner.stopped == [place.handle(job)]


def test_an_unknown_job_is_no_trouble(place: Yard) -> None:
    job = place.submit()
    with place.town.node.database.write() as connection:
        connection.execute(records.jobs.delete())
    assert not place.turn(job)


def test_many_workers_keep_the_limit_and_start_each_job_once(tmp_path: Path) -> None:
    with yard(tmp_path, concurrent=3) as place:
        made = [place.submit() for _ in range(12)]
        most, stop = [0], threading.Event()

        def follow() -> None:
            worker = place.worker()
            while not stop.is_set():
                if not worker.run_once():
                    stop.wait(0.01)

        workers = [threading.Thread(target=follow) for _ in range(4)]
        for worker in workers:
            worker.start()
        try:
            _end_all(place, made, most)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        assert most[0] == 3
        assert len(place.runner.started) == 12
        with place.town.node.database.read() as connection:
            used = sa.select(sa.func.count()).where(events.c.verb == "dataset.used")
            assert connection.scalar(used) == 12


def _states(place: Yard, made: list[Job]) -> list[JobState]:
    """The states of all jobs at one moment: one query, not one for each."""
    mine = jobs.c.job_id.in_([job.job_id for job in made])
    with place.town.node.database.read() as connection:
        return [
            JobState(state) for state in connection.scalars(sa.select(jobs.c.state).where(mine))
        ]


def _end_all(place: Yard, made: list[Job], most: list[int]) -> None:
    """Let runs end one by one, noting the most that ran at once."""
    pause = threading.Event()
    for _ in range(2000):
        states = _states(place, made)
        if all(not JOB_LIFE.allowed(state) for state in states):
            return
        most[0] = max(most[0], states.count(JobState.RUNNING))
        alive = [item for item in place.runner.started if str(item.run_dir) not in
                 place.runner.results]  # fmt: skip
        if alive and len(alive) >= min(3, 12 - len(place.runner.results)):
            place.runner.end(str(alive[0].run_dir), EndReason.FINISHED, 0)
        pause.wait(0.02)
    raise AssertionError("the jobs do not end")


def test_folders_that_no_job_has_are_swept(place: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, fresh = place.submit(), "jo-fresh"
    workspace = place.jobs.workspace
    workspace.prepare("jo-orphan", {"a": b""})
    workspace.prepare(fresh, {})
    long_ago = clock.now().timestamp() - ABANDONED_SECONDS - 1
    for job_id in (kept.job_id, "jo-orphan"):
        os.utime(workspace.of_job(job_id).root, (long_ago, long_ago))
    place.runs.sweep()
    assert workspace.of_job("jo-orphan").root.exists()
    place.runs._swept -= SWEEP_SECONDS + 1
    place.runs.sweep()
    assert {path.name for path in workspace.jobs.iterdir()} == {kept.job_id, fresh}


def test_a_young_job_is_looked_at_often_and_an_old_one_less_so(place: Yard) -> None:
    job = running(place)
    assert _pause(place.now(job)) < timedelta(seconds=1)
    with clock.installed(HandClock(clock.now() + timedelta(hours=1))):
        assert _pause(place.now(job)) == timedelta(seconds=2)
