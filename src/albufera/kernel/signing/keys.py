"""Ed25519 keys (RFC 8032) under a name, in the forms of C2SP signed-note."""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from albufera.kernel.canonical import from_base64, to_base64

KEY_ID_BYTES = 4

_ED25519 = b"\x01"
_PUBLIC_KEY_BYTES = 32
_MAX_KEY_FILE_BYTES = 16 * 1024
_NAME = re.compile(r"[^+]{1,200}")


class KeyFileError(Exception):
    """A key cannot be read, written or understood."""


class SignatureError(Exception):
    """A signature is missing, malformed, of an unknown key, or not over this content."""


@dataclass(frozen=True)
class VerifyKey:
    """A public key with the name under which it signs.

    Attributes:
        name: schema-less URL of the signer, e.g. ``node.example/log``; no spaces and no plus.
        public: the Ed25519 public key, 32 bytes (RFC 8032 §5.1.5).
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        require_name(self.name)
        if len(self.public) != _PUBLIC_KEY_BYTES:
            raise KeyFileError(f"An Ed25519 public key has 32 bytes, not {len(self.public)}.")

    @classmethod
    def parse(cls, vkey: str) -> "VerifyKey":
        """Read ``<name>+<key id>+<base64(0x01 || public key)>`` (C2SP signed-note).

        Raises:
            KeyFileError: another form or algorithm, or the id is not that of the key.
        """
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            data = from_base64(encoded)
        except ValueError:
            data = b""
        if data[:1] != _ED25519 or len(data) != 1 + _PUBLIC_KEY_BYTES:
            raise KeyFileError(
                "This is not an Ed25519 verifier key. It looks like "
                "'node.example/log+1a2b3c4d+AbCd…': copy the whole line that the node publishes."
            )
        key = cls(name, data[1:])
        if key.key_id != key_id:
            raise KeyFileError(
                f"The verifier key of {name!r} is damaged: its id does not fit its bytes. "
                "Copy the whole line that the node publishes."
            )
        return key

    @property
    def vkey(self) -> str:
        """The key as the line that is published."""
        return f"{self.identity}+{to_base64(_ED25519 + self.public)}"

    @property
    def key_id(self) -> str:
        """First 4 bytes of ``SHA-256(name || 0x0A || 0x01 || public)``, in hexadecimal."""
        content = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(content).digest()[:KEY_ID_BYTES].hex()

    @property
    def identity(self) -> str:
        """``<name>+<key id>``: what signatures and messages name the key by."""
        return f"{self.name}+{self.key_id}"

    @property
    def fingerprint(self) -> str:
        """``SHA256:`` and the unpadded base64 of the public key's hash, for people to compare."""
        return "SHA256:" + to_base64(hashlib.sha256(self.public).digest()).rstrip("=")

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check an Ed25519 signature.

        Raises:
            SignatureError: it is not this key's signature over these bytes.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except (InvalidSignature, ValueError):
            raise SignatureError(
                f"The signature of {self.identity} does not fit the content: "
                "one of the two was changed."
            ) from None


class SigningKey:
    """A private Ed25519 key and the name under which it signs."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._private = private
        self.verify_key = VerifyKey(name, public)

    def __repr__(self) -> str:
        return f"SigningKey({self.verify_key.identity!r})"

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """A new key from the operating system's randomness."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, name: str) -> "SigningKey":
        """Read a key file (PEM, PKCS #8, not encrypted).

        Raises:
            KeyFileError: there is none, others than its owner may read or write it, or it is not an
                Ed25519 key.
        """
        try:
            private = load_pem_private_key(_read_private(path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyFileError(
                f"{path} is not an unencrypted private key in PEM: restore it from the backup."
            ) from None
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(f"{path} holds a private key of another kind than Ed25519.")
        return cls(name, private)

    def save(self, path: Path) -> None:
        """Write the key file, readable by its owner alone; whole or not at all.

        Raises:
            KeyFileError: the file exists (a key is never overwritten) or cannot be written.
        """
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            _write_private(path, pem)
        except FileExistsError:
            raise KeyFileError(
                f"{path} exists. A key is never overwritten: move the old one away first."
            ) from None
        except OSError as problem:
            raise KeyFileError(f"{path} cannot be written: {problem.strerror}.") from None

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes (RFC 8032 §5.1.6). Callers see to domain separation."""
        return self._private.sign(data)


def verify_any(candidates: Sequence[VerifyKey], signature: bytes, content: bytes) -> VerifyKey:
    """The key that signed, among those sharing a name and a (short, hence collidable) id."""
    for key in candidates[:-1]:
        try:
            key.verify(signature, content)
        except SignatureError:
            continue
        return key
    candidates[-1].verify(signature, content)
    return candidates[-1]


def require_name(name: str) -> None:
    """C2SP signed-note: not empty, no Unicode space, no plus; and printable, of a sane length.

    Raises:
        KeyFileError: the name does not fit.
    """
    spaced = any(character.isspace() for character in name)
    if not _NAME.fullmatch(name) or spaced or not name.isprintable():
        raise KeyFileError(
            "A key's name has 1 to 200 printable characters, no spaces and no plus; "
            "an address such as 'node.example/log' is usual."
        )


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                raise KeyFileError(
                    f"{path} may be read or written by others than its owner. The key may be "
                    f"known to them: replace it, or run 'chmod 600 {path}' if you are sure."
                )
            return file.read(_MAX_KEY_FILE_BYTES)
    except OSError as problem:
        raise KeyFileError(f"{path} cannot be read: {problem.strerror}.") from None


def _write_private(path: Path, data: bytes) -> None:
    """Create with mode 0600 under another name, then link: never partial, never over another."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
