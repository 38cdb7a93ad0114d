"""Citation bundles: one small JSON file by which a stranger checks, offline, what was cited.

`docs/citation.md` describes the format for whoever wants to check one without this program. A
bundle is signed by the node, and carries proofs that the release and the identifier are in the
node's log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from albufera.kernel.canonical import (
    CanonicalError,
    canonical_bytes,
    digest,
    from_base64,
    read_json,
    to_base64,
)
from albufera.kernel.signing import KeyFileError, SignatureError, SigningKey, VerifyKey
from albufera.publication.events import IdentifierRegistered
from albufera.publication.model import CitationError
from albufera.publication.ports import CheckLogProof, LoggedFact

FORMAT = "albufera-citation/1"
MAX_BUNDLE_BYTES = 2 * 1024 * 1024
RELEASED = "dataset.released"
REGISTERED = IdentifierRegistered.verb

_DOMAIN = b"albufera-citation/1\x00"
_FIELDS = {"format", "citation", "dataset", "proofs", "issued", "key", "signature"}
_PROOFS = {"released", "registered"}


@dataclass(frozen=True)
class Verdict:
    """What a sound bundle shows, in sentences for the person who checks it.

    `trusted` says whether the node's key is the one that the person brought along.
    """

    identifier: str
    dataset_id: str
    version: int
    name: str
    root: str
    manifest_sha256: str
    citation: str
    key: VerifyKey
    trusted: bool
    proven: tuple[str, ...]
    unproven: tuple[str, ...]


def sign_bundle(
    citation: str,
    dataset: Mapping[str, Any],
    proofs: Mapping[str, Mapping[str, object]],
    issued: str,
    key: SigningKey,
) -> dict[str, Any]:
    """Return a signed bundle.

    The Ed25519 signature is over `albufera-citation/1`, NUL, and the canonical JSON (RFC 8785) of
    everything but the signature. `dataset` is `formats.plain.to_json`, `proofs` the log's proofs of
    the release and of the registration, `issued` an instant in ISO 8601.
    """
    bundle: dict[str, Any] = {
        "format": FORMAT,
        "citation": citation,
        "dataset": dict(dataset),
        "proofs": {name: dict(proof) for name, proof in proofs.items()},
        "issued": issued,
        "key": key.verify_key.vkey,
    }
    signature = key.sign(_DOMAIN + canonical_bytes(bundle))
    return {**bundle, "signature": to_base64(signature)}


def read_bundle(data: bytes) -> object:
    """Parse the bytes of a bundle, which may be hostile. Raises `CitationError`."""
    try:
        return read_json(data, MAX_BUNDLE_BYTES)
    except CanonicalError as problem:
        raise CitationError(f"This is not a citation bundle. {problem}") from None


def verify_bundle(
    bundle: object,
    check_proof: CheckLogProof,
    trusted_key: str | None = None,
    trusted_log_key: str | None = None,
) -> Verdict:
    """Check a bundle, offline.

    `trusted_key` and `trusted_log_key` are the node's and the log's public keys (C2SP vkeys), had
    from elsewhere than the bundle. Raises `CitationError`, saying what does not hold.
    """
    content = _opened(bundle)
    key = _check_signature(content, trusted_key)
    dataset = _Cited.parse(content["dataset"])
    released = _check_fact(content, "released", RELEASED, check_proof, trusted_log_key)
    registered = _check_fact(content, "registered", REGISTERED, check_proof, trusted_log_key)
    _agree(released, dataset.released())
    _agree(registered, dataset.registered())
    if released.log_key != registered.log_key:
        raise CitationError("The two proofs are of different logs.")
    return Verdict(
        identifier=dataset.identifier,
        dataset_id=dataset.dataset_id,
        version=dataset.version,
        name=dataset.name,
        root=dataset.root,
        manifest_sha256=dataset.manifest_sha256,
        citation=str(content["citation"]),
        key=key,
        trusted=trusted_key is not None,
        proven=_proven(dataset, released, registered, key),
        unproven=_unproven(key, released, str(content["issued"]), trusted_key is not None),
    )


@dataclass(frozen=True)
class _Cited:
    """The part of a bundle's metadata that the log vouches for."""

    identifier: str
    dataset_id: str
    version: int
    name: str
    root: str
    manifest_sha256: str
    properties_sha256: str

    @classmethod
    def parse(cls, document: Any) -> "_Cited":
        try:
            properties, manifest = document["properties"], document["manifest"]
            found = cls(
                identifier=document["identifier"],
                dataset_id=document["id"],
                version=document["version"],
                name=properties["name"],
                root=manifest["root"],
                manifest_sha256=manifest["sha256"],
                properties_sha256=digest(properties),
            )
        except (LookupError, TypeError):
            raise CitationError("The bundle does not name its dataset and manifest.") from None
        texts = (found.identifier, found.dataset_id, found.name, found.root, found.manifest_sha256)
        if not all(isinstance(text, str) for text in texts) or type(found.version) is not int:
            raise CitationError("The bundle does not name its dataset and manifest.")
        return found

    def released(self) -> dict[str, str]:
        """What the event of the release must say."""
        return {
            "dataset_id": self.dataset_id,
            "root": self.root,
            "manifest_sha256": self.manifest_sha256,
            "properties_sha256": self.properties_sha256,
        }

    def registered(self) -> dict[str, str | int]:
        """What the event of the registration must say."""
        return {
            "dataset_id": self.dataset_id,
            "identifier": self.identifier,
            "version": self.version,
            "root": self.root,
        }


def _opened(bundle: object) -> dict[str, Any]:
    if not isinstance(bundle, dict) or set(bundle) != _FIELDS:
        raise CitationError(f"A citation bundle has exactly the fields {sorted(_FIELDS)}.")
    if bundle["format"] != FORMAT:
        raise CitationError(f"This reads bundles of the format {FORMAT} only.")
    texts = (bundle[name] for name in ("citation", "issued", "key", "signature"))
    proofs = bundle["proofs"]
    if not all(isinstance(text, str) for text in texts):
        raise CitationError("A text of the bundle is not a text.")
    if not isinstance(proofs, dict) or set(proofs) != _PROOFS:
        raise CitationError(f"A citation bundle has exactly the proofs {sorted(_PROOFS)}.")
    return bundle


def _check_signature(bundle: Mapping[str, Any], trusted: str | None) -> VerifyKey:
    try:
        key = VerifyKey.parse(bundle["key"])
        pinned = key if trusted is None else VerifyKey.parse(trusted.strip())
    except KeyFileError as problem:
        raise CitationError(f"A key cannot be read. {problem}") from None
    if pinned != key:
        raise CitationError(
            f"The bundle is signed by {key.identity} ({key.fingerprint}), which is not the key "
            "that you trust. It may be of another node, or forged."
        )
    signed = {name: value for name, value in bundle.items() if name != "signature"}
    try:
        key.verify(from_base64(bundle["signature"]), _DOMAIN + canonical_bytes(signed))
    except (SignatureError, CanonicalError) as problem:
        raise CitationError(f"The signature does not hold. {problem}") from None
    return key


def _check_fact(
    bundle: Mapping[str, Any],
    name: str,
    verb: str,
    check_proof: CheckLogProof,
    trusted: str | None,
) -> LoggedFact:
    fact = check_proof(bundle["proofs"][name], trusted)
    if fact.verb != verb:
        raise CitationError(f"The proof “{name}” is of the event {fact.verb}, not of {verb}.")
    return fact


def _agree(fact: LoggedFact, claimed: Mapping[str, str | int] | Mapping[str, str]) -> None:
    for field, value in claimed.items():
        if fact.subjects.get(field) != value:
            raise CitationError(
                f"The log's entry {fact.verb} has another “{field}” than the bundle: "
                f"{fact.subjects.get(field)!r}, not {value!r}."
            )


def _proven(
    dataset: _Cited, released: LoggedFact, registered: LoggedFact, key: VerifyKey
) -> tuple[str, ...]:
    return (
        f"Nothing in the bundle was changed since {key.identity} signed it.",
        f"The dataset {dataset.dataset_id} was released on {released.at} with the manifest root "
        f"{dataset.root} and with the name, description, purpose, licence and contact that stand "
        f"here: entry {released.index} of the log says so.",
        f"The identifier {dataset.identifier} was registered for version {dataset.version} of it, "
        f"with that root, on {registered.at}: entry {registered.index} of the log says so.",
        f"Both entries are in the log whose head of {registered.log_size} entries "
        f"{registered.log_key} signed.",
    )


def _unproven(key: VerifyKey, fact: LoggedFact, issued: str, trusted: bool) -> tuple[str, ...]:
    found = [
        f"That the dataset is valid today: the bundle was issued on {issued}. Open its identifier.",
        "That the log shows everybody the same history: compare its checkpoint with another's.",
        "The counts: the node signed them, the log does not hold them.",
    ]
    if not fact.trusted:
        found.insert(
            0,
            f"That the log is the one you mean: its key comes from the bundle. Compare "
            f"{fact.fingerprint} with its operator, or give the key by --log-key.",
        )
    if not trusted:
        found.insert(
            0,
            f"That the node is the one you mean: the key comes from the bundle. Compare "
            f"{key.fingerprint} with its operator, or give the key by --key.",
        )
    return tuple(found)
