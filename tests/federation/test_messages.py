"""The forms of messages: what is not listed there cannot be said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from albufera.federation.messages import (
    Answer,
    DatasetOffer,
    Done,
    TellCount,
    as_plain,
    check_payload,
    compose,
    plain,
)
from albufera.kernel.errors import Refusal
from albufera.kernel.signing import Message, SigningKey, sign_message, verify_message

MOMENT = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = SigningKey.generate("a/node")


def offer(**changes: Any) -> dict[str, Any]:
    """An offer as a node sends it."""
    document: dict[str, Any] = {
        "datasetId": "ds-" + "0" * 26,
        "title": "Lung CT",
        "description": "Ages <50 too.\nTwo lines.",
        "version": 1,
        "state": "published",
        "reason": "",
        "licence": "CC-BY-4.0",
        "contact": "",
        "pid": "albufera:a/1",
        "landingUrl": "https://a.example/datasets/ds-1",
        "manifestRoot": "a" * 64,
        "publishedAt": "2026-11-23T12:00:00.000Z",
        "invalidatedAt": None,
        "subjects": {"resolution": 5, "atLeast": 20, "fewerThan": None},
        "studies": None,
        "series": 40,
        "images": 4000,
        "byteCount": 10**9,
        "distributions": {"modality": [{"value": "CT", "atLeast": 20}]},
    }
    return {**document, **changes}


def test_a_whole_offer_is_accepted_and_goes_round() -> None:
    assert DatasetOffer.model_validate(offer()).wire() == offer()


@pytest.mark.parametrize(
    "change",
    [
        {"subjectsList": ["SUBJ-1"]},
        {"title": "<script>alert(1)</script>"},
        {"title": "two\nlines"},
        {"title": ""},
        {"description": "<img src=x>"},
        {"description": "a\x00b"},
        {"description": "x" * 8001},
        {"landingUrl": "javascript:alert(1)"},
        {"landingUrl": 'https://a.example/"onclick="x'},
        {"version": "1"},
        {"version": 0},
        {"state": "draft"},
        {"manifestRoot": "zz"},
        {"datasetId": "../../etc"},
        {"subjects": {"resolution": 5, "atLeast": 3, "fewerThan": None}},
        {"subjects": {"resolution": 5, "atLeast": 23, "fewerThan": None}},
        {"subjects": {"resolution": 1, "atLeast": 3, "fewerThan": None}},
        {"subjects": {"resolution": 5, "atLeast": None, "fewerThan": 3}},
        {"subjects": {"resolution": 5, "atLeast": 5, "fewerThan": 5}},
        {"subjects": {"resolution": 5, "atLeast": None, "fewerThan": 5}},
        {"distributions": {"subject": [{"value": "SUBJ-1", "atLeast": 5}]}},
        {"distributions": {"sex": [{"value": "F", "atLeast": 3}]}},
        {"distributions": {"sex": [{"value": "F", "atLeast": 7}]}},
        {"distributions": {"sex": [{"value": "F", "atLeast": 5, "names": []}]}},
        {"distributions": {"sex": [{"value": str(n), "atLeast": 5} for n in range(201)]}},
    ],
)
def test_what_is_not_of_the_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DatasetOffer.model_validate(offer(**change))


@given(st.text())
def test_any_text_can_be_made_plain(text: str) -> None:
    assert plain(as_plain(text, 100)) == as_plain(text, 100)
    assert len(as_plain(text, 100)) <= 100


@given(st.integers(2, 1000), st.integers(0, 5000) | st.none(), st.integers(0, 1000) | st.none())
def test_no_count_finer_than_its_resolution_is_taken_in(
    resolution: int, at_least: int | None, fewer_than: int | None
) -> None:
    try:
        taken = TellCount(resolution=resolution, at_least=at_least, fewer_than=fewer_than)
    except ValidationError:
        return
    told = taken.told()
    assert told.sure % resolution == 0
    assert told.at_least is None or told.at_least >= resolution


def test_an_answer_without_a_count_is_no_answer() -> None:
    with pytest.raises(ValidationError):
        Answer(query_id="hq-" + "0" * 26, digest="a" * 64, outcome="answered",
               subjects=None, studies=None, note="")  # fmt: skip


def message(payload: dict[str, Any], at: datetime = MOMENT) -> Message:
    envelope = sign_message(payload, KEY, at, "n" * 16)
    return verify_message(envelope, [KEY.verify_key])


def test_a_fresh_message_for_us_is_opened() -> None:
    payload = compose("polls", "me", Done())
    assert check_payload(message(payload), "polls", "me", MOMENT + timedelta(minutes=4)) == {}


@pytest.mark.parametrize(
    ("payload", "late", "code"),
    [
        (compose("polls", "you", Done()), 0, "federation-wrong-addressee"),
        (compose("offers", "me", Done()), 0, "federation-bad-message"),
        (compose("polls", "me", Done(), re="other"), 0, "federation-bad-message"),
        ({**compose("polls", "me", Done()), "protocol": "x/2"}, 0, "federation-bad-message"),
        ({**compose("polls", "me", Done()), "more": 1}, 0, "federation-bad-message"),
        ({**compose("polls", "me", Done()), "body": []}, 0, "federation-bad-message"),
        (compose("polls", "me", Done()), 6, "federation-stale-message"),
        (compose("polls", "me", Done()), -6, "federation-stale-message"),
    ],
)
def test_what_is_not_for_now_and_here_is_refused(
    payload: dict[str, Any], late: int, code: str
) -> None:
    with pytest.raises(Refusal) as caught:
        check_payload(message(payload), "polls", "me", MOMENT + timedelta(minutes=late))
    assert caught.value.code == code
