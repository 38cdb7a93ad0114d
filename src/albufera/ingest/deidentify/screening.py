"""What cannot be shown clean, told from what the object says of itself.

The engine cleans headers. Where identity may be in pixels, documents, speech or free content that
it does not clean, the object is quarantined; the lists err on the side of caution.
"""

from albufera.ingest.deidentify.errors import unclean, unreadable
from albufera.ingest.deidentify.facts import Facts
from albufera.ingest.deidentify.profile import Profile

STORAGE = "1.2.840.10008.5.1.4.1.1."
STANDARD = "1.2.840.10008."

_S = STORAGE
BY_SOP_CLASS = (
    (f"{_S}104.", "encapsulated-document"),
    (f"{_S}88.", "structured-content"),
    (f"{_S}11.", "presentation-state"),
    (f"{_S}131", "presentation-state"),
    (f"{_S}9.4.", "audio"),
    (f"{_S}68.", "surface-scan"),
    (f"{_S}66", "raw-data"),
)
"""SOP classes (a prefix when it ends in a dot) that are quarantined, and why."""

BURNED_IN = 0x00280301
RECOGNIZABLE = 0x00280302
ENCAPSULATED_DOCUMENT = 0x00420011
CONTENT_SEQUENCE = 0x0040A730
GRAPHIC_ANNOTATIONS = 0x00700001
MODALITY = 0x00080060
IMAGE_TYPE = 0x00080008
MEDIA_INDEX = 0x00041220

RISKY_KINDS = {
    "SC": (f"{_S}7", f"{_S}7."),
    "US": (f"{_S}6", f"{_S}6.1", f"{_S}3", f"{_S}3.1", f"{_S}6.2"),
    "ES": (f"{_S}77.1.1", f"{_S}77.1.1.", f"{_S}77.1.2.1"),
    "XC": (f"{_S}77.1.4", f"{_S}77.1.4.", f"{_S}77.1.7"),
}
"""Kinds whose pixels often show text or faces, by SOP class: secondary captures, ultrasound,
endoscopy and video microscopy, photographs. Objects of these modalities count too."""

RISKY_MODALITIES = {"US": "US", "ES": "ES", "XC": "XC", "OT": "SC", "DOC": "SC", "SC": "SC"}
SLIDE_FLAVOURS = frozenset({"LABEL", "OVERVIEW"})


def screen(facts: Facts, sop_class: str, profile: Profile) -> None:
    """Pass an object that header cleaning suffices for.

    Raises:
        Unreadable: `dicomdir`.
        Unclean: the code says what about it cannot be shown clean.
    """
    if MEDIA_INDEX in facts.tags:
        raise unreadable("dicomdir")
    _screen_class(sop_class)
    _screen_content(facts)
    _screen_statements(facts)
    kind = risky_kind(facts, sop_class)
    stated_clean = facts.terms(BURNED_IN) == ("NO",)
    if kind and not stated_clean and kind not in profile.admit_unstated_burned_in:
        raise unclean("burned-in-annotation-unstated")


def _screen_class(sop_class: str) -> None:
    if not sop_class.startswith(STANDARD):
        raise unclean("private-sop-class")
    if not sop_class.startswith(STORAGE):
        raise unclean("sop-class-unsupported")
    for listed, code in BY_SOP_CLASS:
        if _is_of(sop_class, listed):
            raise unclean(code)


def _is_of(sop_class: str, listed: str) -> bool:
    return sop_class.startswith(listed) if listed.endswith(".") else sop_class == listed


def _screen_content(facts: Facts) -> None:
    if ENCAPSULATED_DOCUMENT in facts.tags:
        raise unclean("encapsulated-document")
    if CONTENT_SEQUENCE in facts.tags:
        raise unclean("structured-content")
    if GRAPHIC_ANNOTATIONS in facts.tags:
        raise unclean("presentation-state")


def _screen_statements(facts: Facts) -> None:
    if "YES" in facts.terms(BURNED_IN):
        raise unclean("burned-in-annotation")
    if "YES" in facts.terms(RECOGNIZABLE):
        raise unclean("recognizable-visual-features")
    for tag in facts.tags:
        if _is_overlay_plane(tag) and tag & ~0xFFFF | 0x3000 not in facts.tags:
            raise unclean("embedded-overlay")


def _is_overlay_plane(tag: int) -> bool:
    """Overlay Rows (60xx,0010): without Overlay Data the plane is in unused pixel bits."""
    return tag >> 24 == 0x60 and tag & 0xFFFF == 0x0010  # noqa: PLR2004


def risky_kind(facts: Facts, sop_class: str) -> str | None:
    """The kind of object whose pixels often show identity, or None."""
    for kind, classes in RISKY_KINDS.items():
        if any(_is_of(sop_class, listed) for listed in classes):
            return kind
    flavours = facts.terms(IMAGE_TYPE)
    if SLIDE_FLAVOURS & set(flavours):
        return "LABEL"
    if any("SCREEN" in flavour for flavour in flavours):
        return "SCREEN"
    return next((RISKY_MODALITIES[m] for m in facts.terms(MODALITY) if m in RISKY_MODALITIES), None)
