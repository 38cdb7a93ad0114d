"""Text that others wrote, made fit to be shown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.entrypoints.plain import plain, plain_bytes, whole_characters


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain é 😀\n\ttext", "plain é 😀\n\ttext"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07", "�]0;title�"),
        ("\x1b[2J\x1b[H", "�[2J�[H"),
        ("\x9b2J", "�2J"),
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("a\u202eb\u2066c\u200fd", "a�b�c�d"),
        ("a\ud800b", "a�b"),
        ("\0\x07\x08\x7f", "����"),
    ],
)
def test_nothing_steers_the_terminal_or_the_eye(text: str, wanted: str) -> None:
    assert plain(text) == wanted


@given(st.binary())
def test_no_bytes_do(content: bytes) -> None:
    shown = plain_bytes(content)
    shown.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


@given(st.text(max_size=20), st.integers(0, 80))
def test_a_text_cut_anywhere_is_put_together_again(text: str, size: int) -> None:
    content, offset, parts = text.encode("utf-8", "replace"), 0, []
    size = max(size, 4)
    while part := whole_characters(content[offset : offset + size]):
        parts.append(part.decode("utf-8"))
        offset += len(part)
    assert "".join(parts).encode() == content


@pytest.mark.parametrize("content", [b"\xff", b"\xc3", b"\x80\x80\x80\x80\x80", b"\xf0\x9f"])
def test_what_is_no_text_is_never_swallowed(content: bytes) -> None:
    assert whole_characters(content) == content
