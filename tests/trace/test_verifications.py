"""Verifications of the whole log: who may ask, how they end, and that they are in the log too."""

from pathlib import Path

import pytest

from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS
from albufera.kernel.errors import Refusal
from albufera.kernel.pages import PageRequest
from albufera.trace.findings import VerificationState
from albufera.trace.records import EntryQuery
from tests.nodes import town


def test_a_verification_ends_verified_and_is_logged(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        here.drain()
        asked = here.node.verifications.request(here.operator)
        assert asked.state is VerificationState.RUNNING
        assert here.node.verifications.request(here.operator) == asked  # joined
        here.drain()
        ended = here.node.verifications.show(here.operator, asked.verification_id)
        assert ended.state is VerificationState.VERIFIED
        assert ended.report is not None
        assert ended.report.entries > 10
        logged = here.node.trace.entries(
            here.operator, EntryQuery(about=asked.verification_id), PageRequest()
        )
        [entry] = logged.items
        assert (entry.verb, entry.actor_id) == ("trace.verified", here.operator.user_id)
        assert entry.subjects["outcome"] == "verified"


def test_a_tampered_log_is_reported(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        here.drain()
        with here.node.database.write() as connection:
            connection.exec_driver_sql("UPDATE trace_entries SET verb = 'x' WHERE entry_index = 2")
        here.node.verifications.request(here.operator)
        here.drain()
        ended = here.node.verifications.show(here.operator)
        assert ended.state is VerificationState.TAMPERED
        assert ended.report is not None
        assert [finding.index for finding in ended.report.findings] == [2]


def test_only_auditors_and_the_operator_verify(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        here.drain()
        service = here.node.verifications
        for (_, role), actor in here.people.items():
            assert service.may_request(actor) == (role is Role.AUDITOR)
            if role is Role.AUDITOR:
                service.request(actor)
                continue
            for ask in (service.request, service.show):
                with pytest.raises(Refusal) as refused:
                    ask(actor)
                assert refused.value.code == "forbidden"
        with pytest.raises(Refusal) as refused:
            service.request(ANONYMOUS)
        assert refused.value.code == "not-signed-in"


def test_a_waiting_verification_is_cancelled(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        here.drain()
        service = here.node.verifications
        asked = service.request(here.operator)
        assert service.cancel(here.operator, asked.verification_id).state == "cancelled"
        here.drain()
        assert service.show(here.operator).state is VerificationState.CANCELLED
        with pytest.raises(Refusal) as refused:
            service.cancel(here.operator, asked.verification_id)
        assert refused.value.code == "wrong-state"


def test_a_checkpoint_of_another_log_is_refused(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        with pytest.raises(Refusal) as refused:
            here.node.verifications.request(here.operator, "not a note")
        assert refused.value.code == "invalid-input"


def test_none_is_shown_before_the_first(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        for wanted in (None, "ver-x", "a\x00b"):
            with pytest.raises(Refusal) as refused:
                here.node.verifications.show(here.operator, wanted)
            assert refused.value.code == "verification-not-found"
