"""What the log's pages say of each verb is meant for people, not for programmers."""

import pytest

import albufera.entrypoints.node_app  # noqa: F401 - brings every event with it
from albufera.entrypoints.stories import sentence_of
from albufera.kernel.events import REGISTRY


@pytest.mark.parametrize("verb", sorted(REGISTRY))
def test_every_verb_has_a_sentence(verb: str) -> None:
    sentence = sentence_of(verb)
    assert sentence != verb
    assert sentence.endswith(".")
    assert "`" not in sentence
    assert "_" not in sentence
