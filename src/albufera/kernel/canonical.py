"""Canonical JSON (RFC 8785, JCS): one value, one sequence of bytes, so that it can be hashed.

Values are those of I-JSON (RFC 7493): strings without lone surrogates, integers within
±(2**53 - 1), finite floats, booleans, null, lists, and objects with string keys. Anything else is
refused rather than approximated.
"""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

MAX_INTEGER = 2**53 - 1
"""Largest integer that every JSON reader holds exactly (RFC 7493 §2.2)."""

MAX_DEPTH = 64
"""Deepest nesting written or read; a cyclic value ends here too."""

_ES_LARGEST_PLAIN = 21
_ES_SMALLEST_PLAIN = -6
"""Decimal exponents between which ECMA-262 §6.1.6.1.20 writes a number without exponent."""


_string = json.JSONEncoder(ensure_ascii=False).encode
"""Writes a string, escaping what RFC 8785 §3.2.2.2 asks: quote, backslash, U+0000 to U+001F."""


class CanonicalError(ValueError):
    """A value has no canonical JSON, or a text is not the JSON that we accept."""


def canonical_bytes(value: object) -> bytes:
    """The canonical JSON of a value, in UTF-8 (RFC 8785 §3.2).

    Raises:
        CanonicalError: the value is not I-JSON, or is nested deeper than `MAX_DEPTH`.
    """
    out: list[str] = []
    try:
        _write(value, MAX_DEPTH, out)
        return "".join(out).encode()
    except UnicodeEncodeError:
        raise CanonicalError(
            "A text holds half of a surrogate pair, which is not Unicode: correct the text."
        ) from None


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of a value, in lower-case hexadecimal."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def read_json(data: bytes, limit: int) -> object:
    """Parse JSON from an untrusted source, as strictly as `canonical_bytes` writes.

    Args:
        data: the text, in UTF-8.
        limit: most bytes accepted.

    Raises:
        CanonicalError: too long, not UTF-8, not JSON, nested too deep, a key given twice, a number
            that is not I-JSON, or a lone surrogate.
    """
    if len(data) > limit:
        raise CanonicalError(f"The document has {len(data)} bytes; at most {limit} are accepted.")
    try:
        value: object = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except CanonicalError:
        raise
    except UnicodeDecodeError:
        raise CanonicalError("The document is not UTF-8 text.") from None
    except RecursionError:
        raise CanonicalError("The document is nested too deep.") from None
    except ValueError as problem:
        raise CanonicalError(f"The document is not JSON: {problem}.") from None
    canonical_bytes(value)  # the same depth and the same texts that we write
    return value


def to_base64(data: bytes) -> str:
    """Base64 with padding, on one line (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Decode base64, refusing every spelling but the one that `to_base64` writes.

    Raises:
        CanonicalError: another alphabet, missing padding, stray bits or white space.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if to_base64(data) != text:
        raise CanonicalError("A text is not base64 in its canonical spelling")
    return data


def _write(value: object, depth: int, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(_string(value))
    elif value is None:
        out.append("null")
    elif isinstance(value, bool):
        out.append("true" if value else "false")
    elif isinstance(value, int):
        out.append(_safe_integer(value))
    elif isinstance(value, float):
        out.append(_number(value))
    elif isinstance(value, Mapping):
        _write_object(value, _deeper(depth), out)
    elif isinstance(value, list | tuple):
        _write_array(value, _deeper(depth), out)
    else:
        raise CanonicalError(
            f"{type(value).__name__} is not a JSON type: write it as a string or a number first."
        )


def _deeper(depth: int) -> int:
    if depth == 0:
        raise CanonicalError(f"The value is nested deeper than {MAX_DEPTH} levels, or in itself.")
    return depth - 1


def _write_object(value: Mapping[str, object], depth: int, out: list[str]) -> None:
    separator = "{"
    for key in sorted(value, key=_utf16_order):
        out += (separator, _string(key), ":")
        _write(value[key], depth, out)
        separator = ","
    out.append("{}" if separator == "{" else "}")


def _write_array(value: Sequence[object], depth: int, out: list[str]) -> None:
    separator = "["
    for item in value:
        out.append(separator)
        _write(item, depth, out)
        separator = ","
    out.append("[]" if separator == "[" else "]")


def _utf16_order(key: object) -> bytes:
    """Sort key of a property name: its UTF-16 code units (RFC 8785 §3.2.3)."""
    if not isinstance(key, str):
        raise CanonicalError(f"A JSON key is a string, not {type(key).__name__}.")
    return key.encode("utf-16-be")


def _safe_integer(value: int) -> str:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise CanonicalError(
            "An integer beyond ±(2^53 - 1) is not held exactly by every JSON reader: "
            "write it as a string."
        )
    return int.__repr__(value)


def _number(value: float) -> str:
    """A float as ECMAScript writes it (ECMA-262 §6.1.6.1.20, RFC 8785 §3.2.2.3).

    Python's ``repr`` gives the shortest digits that read back as the same double, the nearest to it
    when several are as short; that is what ECMAScript asks. Only the layout differs.
    """
    if not math.isfinite(value):
        raise CanonicalError("NaN and infinity have no JSON: write null, or leave the value out.")
    if value == 0:
        return "0"  # also minus zero
    sign, digit_list, scale = Decimal(float.__repr__(value)).as_tuple()
    written = "".join(map(str, digit_list))
    digits = written.rstrip("0")
    point = len(written) + int(scale)  # value = 0.digits × 10**point
    return ("-" if sign else "") + _layout(digits, point)


def _layout(digits: str, point: int) -> str:
    if len(digits) <= point <= _ES_LARGEST_PLAIN:
        return digits.ljust(point, "0")
    if 0 < point <= _ES_LARGEST_PLAIN:
        return f"{digits[:point]}.{digits[point:]}"
    if _ES_SMALLEST_PLAIN < point <= 0:
        return "0." + "0" * -point + digits
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CanonicalError("A key is given twice in one object, so it has no single meaning.")
    return found


def _integer(text: str) -> int:
    if len(text) > len(str(-MAX_INTEGER)) or abs(int(text)) > MAX_INTEGER:
        raise CanonicalError("The document holds an integer beyond ±(2^53 - 1).")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise CanonicalError("The document holds a number too large for a double.")
    return value


def _no_constant(text: str) -> float:
    raise CanonicalError(f"{text} is not JSON.")
