"""RFC 8785: the tables of the RFC, round trips, and everything that must be refused."""

import hashlib
import json
import math
import struct
from enum import Enum, IntEnum, StrEnum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from albufera.kernel.canonical import (
    MAX_DEPTH,
    MAX_INTEGER,
    CanonicalError,
    canonical_bytes,
    digest,
    from_base64,
    read_json,
    to_base64,
)

# RFC 8785 Appendix B: bits of a double and its text.
APPENDIX_B = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]

texts = st.text(st.characters(exclude_categories=["Cs"]))
safe_integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | safe_integers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B)
def test_numbers_of_appendix_b(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_bytes(value) == text.encode()


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_numbers_that_have_no_json(bits: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(CanonicalError, match="NaN and infinity"):
        canonical_bytes(value)


def test_the_worked_example_of_section_3_2_2() -> None:
    text = rb"""{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"""
    assert (
        canonical_bytes(read_json(text, 1000))
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            r'"string":"€$\u000f\nA'
            "'"
            r'B\"\\\\\"/"}'
        ).encode()
    )


def test_the_order_of_section_3_2_3_is_by_utf16_code_units() -> None:
    named = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(json.loads(canonical_bytes(named)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_texts_are_escaped_no_more_than_needed() -> None:
    assert canonical_bytes('\b\t\n\f\r\x00\x1f"\\/\x7f\u2028é') == (
        '"\\b\\t\\n\\f\\r\\u0000\\u001f\\"\\\\/\x7f\u2028é"'.encode()
    )


def test_empty_and_nested_containers() -> None:
    value = {"b": [], "a": {}, "c": [[], {"": ()}]}
    assert canonical_bytes(value) == b'{"a":{},"b":[],"c":[[],{"":[]}]}'


def test_enumerations_are_written_as_their_values() -> None:
    class Text(StrEnum):
        ONE = "one"

    class OldText(str, Enum):  # noqa: UP042 - the kind whose str() is not its value
        ONE = "one"

    class Number(IntEnum):
        ONE = 1

    value = {OldText.ONE: [Text.ONE, Number.ONE, OldText.ONE]}
    assert canonical_bytes(value) == b'{"one":["one",1,"one"]}'


@given(plain)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    written = canonical_bytes(value)
    assert json.loads(written) == value
    assert read_json(written, len(written)) == value
    assert canonical_bytes(read_json(written, len(written))) == written


@given(floats)
@example(1e21)
@example(123456789012345680000.0)
@example(1e-7)
def test_floats_read_back_the_same(value: float) -> None:
    written = canonical_bytes(value).decode()
    assert float(written) == value
    assert ("e" in written) == (value != 0 and not 1e-6 <= abs(value) < 1e21)
    assert "E" not in written
    assert not written.endswith(".0")


@given(st.dictionaries(texts, plain), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, object], random: object) -> None:
    items = list(value.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert canonical_bytes(dict(items)) == canonical_bytes(value)


@given(plain, plain)
def test_different_values_have_different_bytes(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical_bytes(one) == canonical_bytes(other)) == same


def test_the_digest_is_that_of_the_bytes() -> None:
    assert digest({"b": 1, "a": 2}) == hashlib.sha256(b'{"a":2,"b":1}').hexdigest()


def test_values_that_have_no_canonical_json() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    for value in (
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        "\ud83d",
        {"\ude00": 1},
        "\ud83d\ude00",  # a pair, but not joined into the character it stands for
        {1: "x"},
        {None: "x"},
        {"a": b"bytes"},
        {"a", "b"},
        object(),
        math.nan,
        cyclic,
    ):
        with pytest.raises(CanonicalError):
            canonical_bytes(value)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_depth_has_a_limit() -> None:
    assert canonical_bytes(read_json(nested(MAX_DEPTH), 10_000)) == nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 200_000):
        with pytest.raises(CanonicalError, match="nested"):
            read_json(nested(depth), 1_000_000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b'[{"a":{"b":1,"\\u0062":2}}]',
        b"[NaN]",
        b"[-Infinity]",
        b"[1e999]",
        b"9007199254740992",
        b"-9007199254740992",
        b"9" * 5000,
        b'"\\ud83d"',
        b'"\xff"',
        b'"\xed\xa0\xbd"',
        b"\xef\xbb\xbf1",
        b'{"a":1}x',
        b"'a'",
        b'"\n"',
    ],
)
def test_texts_that_are_not_accepted(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        read_json(data, 10_000)


def test_a_text_longer_than_the_limit_is_not_read() -> None:
    assert read_json(b"[1]", 3) == [1]
    with pytest.raises(CanonicalError, match="at most 2"):
        read_json(b"[1]", 2)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = read_json(data, 300)
    except CanonicalError:
        return
    canonical_bytes(value)


@given(st.binary(max_size=100))
def test_base64_has_one_spelling(data: bytes) -> None:
    assert from_base64(to_base64(data)) == data


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "Q-==", "é", "QQ==="])
def test_other_spellings_of_base64_are_refused(text: str) -> None:
    with pytest.raises(CanonicalError):
        from_base64(text)
