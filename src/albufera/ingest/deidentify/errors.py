"""Why an object was not admitted: the exceptions, and the catalogue of their codes.

The sentences speak to a data steward: what, why, what to do. They never hold a value of the
object, because a reason is shown, stored and traced where the object itself may not be.
"""


class Rejection(Exception):
    """An object that was not admitted: a stable lowercase `code` and a `sentence` for people."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


class Unreadable(Rejection):
    """It is not a DICOM object that can be read through: the item is *refused*."""


class Unclean(Rejection):
    """It can be read but cannot be shown to be clean: the item is *quarantined*."""


UNREADABLE = {
    "not-dicom": "This is not a DICOM file: its content shows neither a DICOM prefix nor a DICOM "
    "data set. Nothing needs to be done unless it was expected to be an image.",
    "empty": "The file is empty. Export or send it again.",
    "truncated": "The file ends before its content does, so part of it is lost. "
    "Export or send it again.",
    "bad-length": "A length inside the file contradicts the structure around it, so the file is "
    "damaged or was written wrongly. Export it again or convert it with a DICOM toolkit.",
    "bad-vr": "An element carries a value representation that DICOM does not define, so what "
    "follows cannot be read. Convert it with a DICOM toolkit and send it again.",
    "too-deep": "Sequences are nested more than 32 levels deep, which no DICOM object needs. "
    "Send it again from the original source.",
    "too-many-elements": "The object holds more elements than the node accepts in one object. "
    "Split it, or send it again from the original source.",
    "header-too-large": "The part of the object other than its pixels is larger than 64 MiB. "
    "Ask the operator if such objects are needed.",
    "inflated-too-large": "The compressed data set expands out of all proportion to its size. "
    "Send it again in Explicit VR Little Endian.",
    "bad-deflate": "The compressed data set cannot be expanded. Export or send it again.",
    "duplicate-element": "An element appears twice in the same data set, so readers would disagree "
    "about its value. Convert it with a DICOM toolkit and send it again.",
    "out-of-order": "Elements that belong before the pixel data come after it. "
    "Convert it with a DICOM toolkit and send it again.",
    "dicomdir": "This is a DICOMDIR: an index of a medium, not an image. Nothing needs to be "
    "done; the images it lists are taken one by one.",
    "transfer-syntax-unsupported": "The object's transfer syntax is unknown, proprietary, or keeps "
    "the pixels elsewhere. Export it in Explicit VR Little Endian.",
    "transfer-syntax-mismatch": "The object is not encoded in the transfer syntax that it states. "
    "Convert it with a DICOM toolkit and send it again.",
    "no-sop-class-uid": "The object states no SOP Class UID, so what it is cannot be told. "
    "Send it again from the original source.",
    "no-sop-instance-uid": "The object states no SOP Instance UID, so it cannot be told from "
    "others. Send it again from the original source.",
    "no-study-instance-uid": "The object states no Study Instance UID, so it belongs to no study. "
    "Send it again from the original source.",
    "no-series-instance-uid": "The object states no Series Instance UID, so it belongs to no "
    "series. Send it again from the original source.",
    "no-pixel-data": "The object is an image but holds no pixels: it was probably cut off. "
    "Export or send it again.",
    "pixel-data-short": "The object holds fewer pixels than its rows, columns and frames need. "
    "Export or send it again.",
}

UNCLEAN = {
    "burned-in-annotation": "The object says that its pixels show identifying text (Burned In "
    "Annotation is YES). Clean the pixels at the source, or leave it out.",
    "burned-in-annotation-unstated": "Objects of this kind often show the patient's name in their "
    "pixels, and this one does not state otherwise. Look at it; if it is clean, send it again "
    "with Burned In Annotation NO.",
    "recognizable-visual-features": "The object says that the patient could be recognized in its "
    "pixels (Recognizable Visual Features is YES). Remove the features, or leave it out.",
    "embedded-overlay": "An overlay is stored inside the pixel data, where it may show identifying "
    "text. Export the image without overlays.",
    "encapsulated-document": "The object wraps a document (PDF, CDA, 3D model or other) whose "
    "content cannot be shown to be clean. Leave it out, or send its images instead.",
    "structured-content": "A structured report's content may name people in any of its items. "
    "It cannot be shown to be clean yet; send the images it refers to instead.",
    "presentation-state": "A presentation state's graphics and text may name people. It cannot be "
    "shown to be clean yet; send the images it refers to instead.",
    "audio": "Recorded speech may name people and cannot be cleaned. Leave it out.",
    "surface-scan": "A scanned body surface may show a recognizable person. Leave it out.",
    "raw-data": "Raw data are in a manufacturer's own format, which cannot be shown to be clean. "
    "Send the reconstructed images instead.",
    "private-sop-class": "The object is of a manufacturer's private class, which cannot be shown "
    "to be clean. Export it as a standard DICOM object.",
    "sop-class-unsupported": "The object is not one of the DICOM classes that hold a patient's "
    "images or related data. Leave it out.",
    "identifier-survived": "The cleaned object still holds an identifier of the original in "
    "{keyword}. Remove it from that attribute at the source and send it again.",
}


def unreadable(code: str) -> Unreadable:
    """The exception for a code of `UNREADABLE`."""
    return Unreadable(code, UNREADABLE[code])


def unclean(code: str, keyword: str = "") -> Unclean:
    """The exception for a code of `UNCLEAN`; `keyword` names the attribute where one is named."""
    return Unclean(code, UNCLEAN[code].format(keyword=keyword))
