"""Keys, notes and messages: vectors of other implementations, files on disk, and forgeries."""

import base64
import hashlib
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from albufera.kernel.canonical import CanonicalError
from albufera.kernel.signing import (
    MAX_NOTE_BYTES,
    MAX_NOTE_SIGNATURES,
    KeyFileError,
    SignatureError,
    SigningKey,
    VerifyKey,
    open_note,
    sign_message,
    sign_note,
    verify_message,
)

# The key pair and note in the tests of Go's golang.org/x/mod/sumdb/note.
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
    "KvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# Verifier keys and a note that other implementations test with.
OTHER_VKEYS = [
    "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
    "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6",
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
]
FOO_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONnc"
    "AlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

KEY = SigningKey("node.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey("node.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NONCE = "0123456789abcdef"


# --- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vkey", [GO_VKEY, *OTHER_VKEYS])
def test_verifier_keys_of_others_are_read_and_written_back(vkey: str) -> None:
    assert VerifyKey.parse(vkey).vkey == vkey


def test_the_key_id_recomputed_by_hand() -> None:
    key = KEY.verify_key
    content = b"node.example/log" + b"\n" + b"\x01" + key.public
    assert key.key_id == hashlib.sha256(content).hexdigest()[:8]
    encoded = base64.b64encode(b"\x01" + key.public).decode()
    assert key.vkey == f"node.example/log+{key.key_id}+{encoded}"
    assert key.identity == f"node.example/log+{key.key_id}"


def test_the_fingerprint_is_that_of_the_public_key() -> None:
    expected = base64.b64encode(hashlib.sha256(KEY.verify_key.public).digest()).decode()
    assert KEY.verify_key.fingerprint == "SHA256:" + expected.rstrip("=")


def test_no_part_and_no_altered_spelling_of_a_verifier_key_is_one() -> None:
    for start in range(len(GO_VKEY)):
        for end in range(start + 1, len(GO_VKEY) + 1):
            if (start, end) != (0, len(GO_VKEY)):
                with pytest.raises(KeyFileError):
                    VerifyKey.parse(GO_VKEY[start:end])
    for at, character in enumerate(GO_VKEY):
        with pytest.raises(KeyFileError):
            VerifyKey.parse(GO_VKEY[:at] + chr(ord(character) + 1) + GO_VKEY[at + 1 :])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "+",
        "++",
        # another length and another algorithm, with key ids that fit
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        GO_VKEY + "\n",
        GO_VKEY.replace("c74f20a3", "C74F20A3"),
        "\ud800" + GO_VKEY,
        "é" * 300 + GO_VKEY,
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(KeyFileError):
        VerifyKey.parse(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x00b", "x" * 201])
def test_names_that_a_note_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(KeyFileError, match="name"):
        SigningKey.generate(name)


def test_a_key_is_saved_for_its_owner_alone_and_loaded_again(tmp_path: Path) -> None:
    path, key = tmp_path / "log.pem", SigningKey.generate("node.example/log")
    previous = os.umask(0)
    try:
        key.save(path)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert SigningKey.load(path, key.verify_key.name).verify_key == key.verify_key


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    KEY.save(path)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        OTHER.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be written"):
        KEY.save(tmp_path / "missing" / "log.pem")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.pem"
    KEY.save(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        SigningKey.load(path, "node.example/log")


def private_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    pkcs8, plain = PrivateFormat.PKCS8, NoEncryption()
    curve = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, pkcs8, plain)
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, pkcs8, BestAvailableEncryption(b"secret")
    )
    for number, content in enumerate((b"", b"not a key", curve, locked, b"-" * 100_000)):
        path = private_file(tmp_path / f"{number}.pem", content)
        with pytest.raises(KeyFileError):
            SigningKey.load(path, "node.example/log")
    with pytest.raises(KeyFileError, match="cannot be read"):
        SigningKey.load(tmp_path / "absent.pem", "node.example/log")
    with pytest.raises(KeyFileError):
        SigningKey.load(tmp_path, "node.example/log")


def test_a_key_does_not_show_its_secret() -> None:
    assert repr(KEY) == f"SigningKey('node.example/log+{KEY.verify_key.key_id}')"


# --- notes -------------------------------------------------------------------------------------


def test_the_note_of_the_go_implementation_is_made_to_the_byte() -> None:
    key = SigningKey("PeterNeumann", Ed25519PrivateKey.from_private_bytes(GO_SEED))
    assert key.verify_key.vkey == GO_VKEY
    assert sign_note(GO_TEXT, key) == GO_NOTE


def test_notes_of_other_implementations_are_opened() -> None:
    assert open_note(GO_NOTE, [VerifyKey.parse(GO_VKEY)]) == GO_TEXT
    foo = VerifyKey.parse(OTHER_VKEYS[2])
    assert open_note(FOO_NOTE, [foo]) == "This is an example message.\n"


def test_a_note_recomputed_by_hand() -> None:
    text = "Ogni cosa\n\nè illuminata\n"
    note = sign_note(text, KEY)
    head, line = note.rsplit("\n\n", 1)
    assert head + "\n" == text
    dash, name, encoded = line.removesuffix("\n").split(" ")
    blob = base64.b64decode(encoded)
    assert (dash, name) == ("\u2014", "node.example/log")
    assert blob[:4].hex() == KEY.verify_key.key_id
    Ed25519PublicKey.from_public_bytes(KEY.verify_key.public).verify(blob[4:], text.encode())
    assert open_note(note, [KEY.verify_key]) == text


def signature_line(text: str, key: SigningKey) -> str:
    return sign_note(text, key).rsplit("\n\n", 1)[1]


def test_signatures_of_unknown_keys_are_ignored_but_do_not_suffice() -> None:
    witness = SigningKey.generate("witness.example")
    note = sign_note("text\n", witness) + signature_line("text\n", KEY)
    assert open_note(note, [KEY.verify_key]) == "text\n"
    with pytest.raises(SignatureError, match=r"No known key.*node\.example/log, witness\.example"):
        open_note(note, [OTHER.verify_key])
    with pytest.raises(SignatureError, match="No known key"):
        open_note(note, [])


def test_a_failing_signature_of_a_known_key_refuses_the_note() -> None:
    witness = SigningKey.generate("witness.example")
    note = sign_note("text\n", KEY) + signature_line("other text\n", witness)
    assert open_note(note, [KEY.verify_key]) == "text\n"
    with pytest.raises(SignatureError, match="does not fit"):
        open_note(note, [KEY.verify_key, witness.verify_key])


@given(st.data())
def test_no_altered_note_opens(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GO_NOTE) - 1))
    put = data.draw(st.characters(exclude_characters=GO_NOTE[at]) | st.just(""))
    drop = data.draw(st.integers(1, 5))
    altered = GO_NOTE[:at] + put + GO_NOTE[at + drop :]
    if altered != GO_NOTE:
        with pytest.raises(SignatureError):
            open_note(altered, [VerifyKey.parse(GO_VKEY)])


@given(st.text(st.characters()))
def test_any_text_as_a_note_is_refused_and_nothing_worse(note: str) -> None:
    for hostile in (note, GO_TEXT + "\n" + note, GO_NOTE + note):
        if hostile != GO_NOTE:
            with pytest.raises(SignatureError):
                open_note(hostile, [VerifyKey.parse(GO_VKEY)])


def test_notes_are_bounded() -> None:
    lines = signature_line("text\n", KEY)
    assert open_note("text\n\n" + lines * MAX_NOTE_SIGNATURES, [KEY.verify_key]) == "text\n"
    with pytest.raises(SignatureError, match="more than"):
        open_note("text\n\n" + lines * (MAX_NOTE_SIGNATURES + 1), [KEY.verify_key])
    with pytest.raises(SignatureError, match="at most"):
        open_note("x" * MAX_NOTE_BYTES + "\n\n" + lines, [KEY.verify_key])


@pytest.mark.parametrize(
    "text", ["", "no newline", "tab\there\n", "null\x00\n", "half \ud83d\n", "x" * 300_000 + "\n"]
)
def test_texts_that_no_note_may_hold_are_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match=r"note|surrogates"):
        sign_note(text, KEY)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n")))
def test_whatever_is_signed_opens(text: str) -> None:
    note = sign_note(text + "\n", KEY)
    assert open_note(note, [OTHER.verify_key, KEY.verify_key]) == text + "\n"


# --- messages ----------------------------------------------------------------------------------

PAYLOAD: dict[str, object] = {"kind": "offer", "to": "hub.example", "counts": [1, 2], "é": None}


def test_a_message_recomputed_by_hand() -> None:
    message = sign_message(PAYLOAD, KEY, AT, NONCE)
    assert set(message) == {"payload", "key", "at", "nonce", "signature"}
    assert message["at"] == "2026-11-23T12:00:00.000Z"
    canonical = (
        '{"at":"2026-11-23T12:00:00.000Z","key":"' + KEY.verify_key.identity + '",'
        f'"nonce":"{NONCE}","payload":{{"counts":[1,2],"kind":"offer","to":"hub.example","é":null}}}}'
    )
    Ed25519PublicKey.from_public_bytes(KEY.verify_key.public).verify(
        base64.b64decode(str(message["signature"])),
        b"albufera-message/1\x00" + canonical.encode(),
    )


def test_a_message_survives_the_wire() -> None:
    wire = json.dumps(sign_message(PAYLOAD, KEY, AT, NONCE), indent=3)
    received = verify_message(json.loads(wire), [OTHER.verify_key, KEY.verify_key])
    assert received.payload == PAYLOAD
    assert (received.key, received.at, received.nonce) == (KEY.verify_key, AT, NONCE)


def test_a_message_of_an_unknown_key_is_refused() -> None:
    with pytest.raises(SignatureError, match="not known"):
        verify_message(sign_message(PAYLOAD, KEY, AT, NONCE), [OTHER.verify_key])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payload", {**PAYLOAD, "counts": [1, 3]}),
        ("payload", {}),
        ("payload", []),
        ("payload", {"x": float("nan")}),
        ("payload", {"x": "\ud83d"}),
        ("at", "2026-11-23T12:00:00.001Z"),
        ("at", "2026-11-31T12:00:00.000Z"),
        ("at", "2026-11-23T12:00:00Z"),
        ("at", 0),
        ("nonce", "0123456789abcdeg"),
        ("nonce", "short"),
        ("nonce", "0123456789abcdef\n"),
        ("key", OTHER.verify_key.identity),
        ("key", KEY.verify_key.vkey),
        ("key", None),
        ("signature", ""),
        ("signature", "QQ=="),
        ("signature", "not base64"),
        ("signature", base64.b64encode(bytes(64)).decode()),
    ],
)
def test_an_altered_message_is_refused(field: str, value: object) -> None:
    message = {**sign_message(PAYLOAD, KEY, AT, NONCE), field: value}
    with pytest.raises(SignatureError):
        verify_message(message, [KEY.verify_key, OTHER.verify_key])


def test_a_message_with_more_or_fewer_fields_is_refused() -> None:
    message = sign_message(PAYLOAD, KEY, AT, NONCE)
    wrong: list[object] = [{**message, "extra": 1}, {"payload": PAYLOAD}, {}, [], None, "text"]
    for altered in wrong:
        with pytest.raises(SignatureError, match="exactly the fields"):
            verify_message(altered, [KEY.verify_key])


def test_keys_of_one_name_and_id_are_told_apart_by_the_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(VerifyKey, "key_id", "00000000")  # a collision of 32 bits, at no cost
    keys = [OTHER.verify_key, KEY.verify_key]
    assert verify_message(sign_message(PAYLOAD, KEY, AT, NONCE), keys).key == KEY.verify_key
    assert open_note(sign_note("text\n", OTHER), keys) == "text\n"


def test_the_signature_of_a_message_serves_no_note_and_the_reverse() -> None:
    message = sign_message(PAYLOAD, KEY, AT, NONCE)
    blob = bytes.fromhex(KEY.verify_key.key_id) + base64.b64decode(str(message["signature"]))
    text = "albufera-message/1\x00{}\n"
    line = f"— node.example/log {base64.b64encode(blob).decode()}\n"
    with pytest.raises(SignatureError):
        open_note(f"{text}\n{line}", [KEY.verify_key])
    with pytest.raises(ValueError, match="control character"):
        sign_note(text, KEY)


def test_what_cannot_be_said_is_not_signed() -> None:
    with pytest.raises(ValueError, match="nonce"):
        sign_message(PAYLOAD, KEY, AT, "short")
    with pytest.raises(CanonicalError):
        sign_message({"x": 2**60}, KEY, AT, NONCE)
