"""Proof documents: evidence that an entry is in the log, checked offline and without trusting us.

Whoever holds a proof needs nothing else but this module (or any other implementation of RFC 6962,
RFC 8785 and C2SP signed-note) and the log's public key.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from albufera.kernel import merkle
from albufera.kernel.canonical import CanonicalError, from_base64, read_json, to_base64
from albufera.kernel.merkle import ProofError
from albufera.kernel.signing import KeyFileError, VerifyKey
from albufera.trace.model import Checkpoint, Entry, InvalidCheckpoint, InvalidEntry

FORMAT = "albufera-proof/1"
"""Version of the proof document."""

MAX_PROOF_BYTES = 512 * 1024
"""Longest proof document read."""

_FIELDS = {
    "format",
    "entry",
    "leafIndex",
    "treeSize",
    "inclusionPath",
    "checkpoint",
    "logKey",
}
_MAX_PATH = 63


class InvalidProof(Exception):
    """A proof document proves nothing: it is malformed, was changed, or is of another log."""


@dataclass(frozen=True)
class Proof:
    """Evidence that an entry is in a log.

    Attributes:
        entry: the entry; its index is that of its leaf.
        tree_size: size of the log at the checkpoint.
        inclusion_path: audit path from the leaf to the root (RFC 6962 §2.1.1).
        checkpoint: the signed note of the log's head.
        log_key: the log's public key, as a C2SP vkey.
    """

    entry: Entry
    tree_size: int
    inclusion_path: tuple[bytes, ...]
    checkpoint: str
    log_key: str

    def document(self) -> dict[str, object]:
        """The proof as a JSON document of the format `FORMAT`."""
        return {
            "format": FORMAT,
            "entry": self.entry.document(),
            "leafIndex": self.entry.index,
            "treeSize": self.tree_size,
            "inclusionPath": [to_base64(sibling) for sibling in self.inclusion_path],
            "checkpoint": self.checkpoint,
            "logKey": self.log_key,
        }

    @classmethod
    def parse(cls, document: object) -> "Proof":
        """The proof in a document; nothing is verified yet.

        Raises:
            InvalidProof: a field is missing, unknown or malformed.
        """
        if not isinstance(document, Mapping) or set(document) != _FIELDS:
            raise InvalidProof(
                f"This is not a proof: it must have exactly the fields {sorted(_FIELDS)}."
            )
        if document["format"] != FORMAT:
            raise InvalidProof(f"This reads proofs of the format {FORMAT} only.")
        try:
            entry = Entry.parse(document["entry"])
        except InvalidEntry as problem:
            raise InvalidProof(f"The entry in the proof is malformed: {problem}") from None
        index, size = document["leafIndex"], document["treeSize"]
        if type(index) is not int or type(size) is not int or index != entry.index:
            raise InvalidProof("The proof is about another place in the log than its entry names.")
        return cls(
            entry=entry,
            tree_size=size,
            inclusion_path=_path(document["inclusionPath"]),
            checkpoint=_text("checkpoint", document["checkpoint"]),
            log_key=_text("logKey", document["logKey"]),
        )


@dataclass(frozen=True)
class Verdict:
    """What a valid proof shows, in sentences for the person who checks it.

    Attributes:
        entry: the proved entry.
        checkpoint: the head of the log that commits to it.
        key: the key that signed the head.
        trusted: whether the key is the one that the person brought along.
        proven: what is now certain.
        unproven: what is not, and how to find out.
    """

    entry: Entry
    checkpoint: Checkpoint
    key: VerifyKey
    trusted: bool
    proven: tuple[str, ...]
    unproven: tuple[str, ...]


def read_proof(data: bytes) -> object:
    """Parse the bytes of a proof file, which may be hostile.

    Raises:
        InvalidProof: longer than `MAX_PROOF_BYTES`, or not strict JSON.
    """
    try:
        return read_json(data, MAX_PROOF_BYTES)
    except CanonicalError as problem:
        raise InvalidProof(f"This is not a proof. {problem}") from None


def verify(document: object, trusted_vkey: str | None) -> Verdict:
    """Check a proof document, offline.

    Args:
        document: the parsed JSON (`read_proof`).
        trusted_vkey: the log's public key, had from elsewhere than the document; None to take the
            document's own word for it, which the verdict then says.

    Raises:
        InvalidProof: the document does not prove its entry, and why.
    """
    proof = Proof.parse(document)
    key = _key(proof.log_key, "in the proof")
    if trusted_vkey is not None and _key(trusted_vkey.strip(), "that you trust") != key:
        raise InvalidProof(
            f"The proof is signed by {key.identity} ({key.fingerprint}), which is not the key that "
            "you trust. It may be of another log, or forged."
        )
    try:
        checkpoint = Checkpoint.open(proof.checkpoint, [key])
    except InvalidCheckpoint as problem:
        raise InvalidProof(f"The checkpoint of the proof does not hold. {problem}") from None
    if checkpoint.size != proof.tree_size:
        raise InvalidProof("The proof and its checkpoint are of different sizes of the log.")
    _verify_inclusion(proof, checkpoint)
    return _verdict(proof.entry, checkpoint, key, trusted=trusted_vkey is not None)


def _verify_inclusion(proof: Proof, checkpoint: Checkpoint) -> None:
    leaf = proof.entry.leaf_hash()
    try:
        merkle.verify_inclusion(
            leaf, proof.entry.index, checkpoint.size, proof.inclusion_path, checkpoint.root
        )
    except ProofError as problem:
        raise InvalidProof(
            f"The entry is not, in this form and place, in the log of the checkpoint. {problem}"
        ) from None


def _verdict(entry: Entry, checkpoint: Checkpoint, key: VerifyKey, *, trusted: bool) -> Verdict:
    proven = [
        f"The entry {entry.verb} of {entry.at} (event {entry.event_id}) is in the log "
        f"{checkpoint.origin}, letter for letter as it stands here.",
        f"Its place is number {entry.index}, counted from 0, among the {checkpoint.size} entries "
        "of the checkpoint; no other entry can have that place.",
        f"The checkpoint is signed by the key {key.identity}.",
    ]
    unproven = [
        "That the log shows everybody the same history: compare its checkpoint with one that "
        "somebody else has kept, or ask the node for a consistency proof between the two.",
        f"That the node's clock was right: the time {entry.at} is the node's own statement.",
    ]
    if trusted:
        proven.append(f"That key is the one that you trust ({key.fingerprint}).")
    else:
        unproven.insert(
            0,
            "Whose key it is: the key is the one inside the file. Compare its fingerprint, "
            f"{key.fingerprint}, with the one that the node publishes.",
        )
    return Verdict(entry, checkpoint, key, trusted, tuple(proven), tuple(unproven))


def _key(vkey: str, which: str) -> VerifyKey:
    try:
        return VerifyKey.parse(vkey)
    except KeyFileError as problem:
        raise InvalidProof(f"The key {which} cannot be read. {problem}") from None


def _path(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > _MAX_PATH:
        raise InvalidProof(f"The inclusion path is a list of at most {_MAX_PATH} hashes.")
    try:
        return tuple(from_base64(_text("inclusionPath", item)) for item in value)
    except CanonicalError:
        raise InvalidProof("The inclusion path holds something that is not base64.") from None


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidProof(f"{field!r} in the proof must be a text.")
    return value
