"""A whole object through the engine."""

import hashlib
import io
import struct
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from albufera.ingest.deidentify import BASIC, RESEARCH, Deidentifier, Option, Profile, Unclean
from albufera.ingest.deidentify.part10 import IMPLEMENTATION_CLASS_UID
from tests.ingest.deidentify.build import (
    INSTANCE,
    KEY,
    PATIENT_ID,
    SERIES,
    STUDY,
    Result,
    clean,
    encode,
    image,
)

NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


def element(tag: int, vr: str, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian, without any help or check."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW", "SQ", "UN", "UT"):
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def with_raw(*raw: bytes, **attributes: Any) -> bytes:
    """An image with raw elements before its pixels."""
    data = encode(image(**attributes))
    at = data.index(b"\xe0\x7f\x10\x00OW")
    return data[:at] + b"".join(raw) + data[at:]


@pytest.mark.parametrize("syntax", NATIVE)
def test_identity_and_record(syntax: str) -> None:
    result = clean(encode(image(StudyDate="20190704"), syntax))
    dataset, cleaned = result.dataset, result.cleaned
    assert dataset.PatientID == dataset.PatientName == KEY.pseudonym(PATIENT_ID) == cleaned.subject
    assert dataset.StudyInstanceUID == KEY.uid(STUDY) == cleaned.study_uid
    assert dataset.SeriesInstanceUID == KEY.uid(SERIES) == cleaned.series_uid
    assert dataset.SOPInstanceUID == KEY.uid(INSTANCE) == cleaned.instance_uid
    assert dataset.PatientIdentityRemoved == "YES"
    assert "2026c" in dataset.DeidentificationMethod
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [
        (item.CodeValue, item.CodingSchemeDesignator)
        for item in dataset.DeidentificationMethodCodeSequence
    ]
    assert codes == [("113100", "DCM"), ("113107", "DCM"), ("113108", "DCM")]
    assert dataset.file_meta.TransferSyntaxUID == syntax == cleaned.transfer_syntax
    assert dataset.PixelData == image().PixelData
    assert (dataset.Rows, dataset.Modality) == (4, "CT")


def test_the_basic_profile_alone() -> None:
    source = image(
        StudyDate="20190704", PatientAge="034Y", PatientSex="F", PatientBirthDate="19850101"
    )
    dataset = clean(source, BASIC).dataset
    assert [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence] == ["113100"]
    assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
    assert dataset.StudyDate == dataset.PatientSex == dataset.PatientBirthDate == ""
    assert "PatientAge" not in dataset


def test_options_are_switched_one_by_one() -> None:
    source = image(StudyDate="20190704", PatientAge="034Y")
    dates = clean(source, Profile("dates", frozenset({Option.MODIFIED_DATES}))).dataset
    assert dates.StudyDate not in ("", "20190704")
    assert "PatientAge" not in dates
    people = clean(source, Profile("people", frozenset({Option.PATIENT_CHARACTERISTICS}))).dataset
    assert (people.StudyDate, people.PatientAge) == ("", "034Y")
    assert people.LongitudinalTemporalInformationModified == "REMOVED"


def test_patient_characteristics() -> None:
    dataset = clean(
        image(
            PatientAge="097Y",
            PatientSex="F",
            PatientWeight="71.5",
            PatientSize="1.7",
            Allergies="told by Sancho",
            PatientState="calm",
            SmokingStatus="NO",
            PatientBirthDate="19210101",
        )
    ).dataset
    assert (dataset.PatientAge, dataset.PatientSex, dataset.PatientWeight) == ("090Y", "F", 71.5)
    assert (dataset.SmokingStatus, dataset.PatientBirthDate) == ("NO", "")
    assert "Allergies" not in dataset
    assert "PatientState" not in dataset
    odd = clean(with_raw(element(0x00100040, "CS", b"MISS DULCINEA "))).dataset
    assert odd.PatientSex == ""


def test_dates_that_cannot_be_shifted_fall_back_to_the_basic_profile() -> None:
    dataset = clean(
        with_raw(element(0x00080020, "DA", b"4 July"), element(0x00080021, "DA", b"199x"))
    ).dataset
    assert dataset.StudyDate == ""
    assert dataset.SeriesDate == "19000101"


def test_the_file_around_the_data_set_is_new() -> None:
    source = dcmread(io.BytesIO(encode(image())))
    source.file_meta.SourceApplicationEntityTitle = "QUIXANO"
    source.file_meta.PrivateInformationCreatorUID = UID("1.2.3")
    source.file_meta.PrivateInformation = b"QUIXANO!"
    buffer = io.BytesIO()
    source.save_as(buffer)
    result = clean(buffer.getvalue())
    meta = result.dataset.file_meta
    assert result.data[:132] == bytes(128) + b"DICM"
    assert b"QUIXANO" not in result.data
    assert meta.MediaStorageSOPInstanceUID == result.dataset.SOPInstanceUID
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert [e.keyword for e in meta][:1] == ["FileMetaInformationGroupLength"]
    assert meta.FileMetaInformationGroupLength == len(meta_bytes(result)) - 12
    assert not {"SourceApplicationEntityTitle", "PrivateInformation"} & {e.keyword for e in meta}


def meta_bytes(result: Result) -> bytes:
    return result.data[132 : result.data.index(b"\x08\x00\x16\x00UI")]


def test_deflated_objects_are_written_inflated() -> None:
    plain = clean(image())
    deflated = clean(encode(image(), DeflatedExplicitVRLittleEndian))
    assert deflated.data == plain.data
    assert deflated.cleaned.transfer_syntax == ExplicitVRLittleEndian


def test_encapsulated_pixels_are_copied_as_they_are() -> None:
    fragments = encapsulate([b"\xff\xd8 one \xff\xd9", b"\xff\xd8 two\xfe\xff\xdd\xe0\xff\xd9"])
    source = image(PixelData=fragments, NumberOfFrames=2, BitsAllocated=8)
    source["PixelData"].VR = "OB"
    source["PixelData"].is_undefined_length = True
    result = clean(encode(source, JPEGBaseline8Bit))
    pixels = result.cleaned.pixels
    assert pixels is not None
    assert pixels.encapsulated
    assert result.dataset.PixelData == source.PixelData
    assert result.data[pixels.offset : pixels.offset + 4] == b"\xe0\x7f\x10\x00"
    assert result.data[pixels.value_offset : pixels.value_offset + 4] == b"\xfe\xff\x00\xe0"
    assert pixels.offset + pixels.length == len(result.data) == result.cleaned.length


def test_what_follows_the_pixels_is_cleaned_too() -> None:
    tail = element(0x7FE10010, "LO", b"QUIXANO ") + element(0xFFFCFFFC, "OB", b"QUIXANO!")
    signature = element(0xFFFAFFFA, "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, 0))
    assert clean(encode(image()) + tail + signature).data == clean(image()).data
    assert clean(encode(image()) + bytes(5)).data == clean(image()).data


def test_pixels_inside_sequences_go() -> None:
    icon = image()
    source = image(IconImageSequence=[icon], PerFrameFunctionalGroupsSequence=[image()])
    dataset = clean(source).dataset
    assert "IconImageSequence" not in dataset
    assert "PixelData" not in dataset.PerFrameFunctionalGroupsSequence[0]


def test_references_stay_joined() -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = INSTANCE
    source = image(SourceImageSequence=[reference], FrameOfReferenceUID="1.2.840.10008.1.4.1.1")
    dataset = clean(source).dataset
    item = dataset.SourceImageSequence[0]
    assert item.ReferencedSOPInstanceUID == dataset.SOPInstanceUID
    assert item.ReferencedSOPClassUID == reference.ReferencedSOPClassUID
    assert dataset.FrameOfReferenceUID == "1.2.840.10008.1.4.1.1", "a well-known UID names no one"


def test_elements_beyond_the_table() -> None:
    implicit = struct.pack("<HHL", 0x0010, 0x0010, 8) + b"QUIXANO "
    items = struct.pack("<HHL", 0xFFFE, 0xE000, len(implicit)) + implicit
    result = clean(
        with_raw(
            element(0x00142006, "PN", b"QUIXANO "),  # a person's name that has no row
            element(0x00144076, "DA", b"20190704"),  # a date that has no row
            element(0x0008123A, "LO", b"QUIXANO "),  # a tag that PS3.6 does not list
            element(0x00180000, "UL", b"QUIX"),  # a group length
            element(0x00180015, "OB", b"QUIXANO "),  # a VR that contradicts PS3.6
            element(0x00180020, "UN", b"SE"),  # a known attribute written in UN
            element(0x00081032, "UN", items),  # a known sequence written in UN
            element(0x00090010, "LO", b"QUIXANO "),
        )
    )
    dataset = result.dataset
    assert b"QUIXANO" not in result.data
    assert b"20190704" not in result.data
    assert dataset.EvaluatorName == ""
    assert dataset.ScanningSequence == "SE"
    assert dataset.ProcedureCodeSequence[0].PatientName == ""
    assert 0x0008123A not in dataset
    assert 0x00180000 not in dataset
    assert "BodyPartExamined" not in dataset
    assert result.cleaned.counts["private"] == 1
    assert result.cleaned.counts["unknown"] == 2


def test_subjects_are_the_same_in_every_file() -> None:
    first = clean(
        image(SOPInstanceUID="1.2.3.1", StudyDate="20190704", PatientID=f" {PATIENT_ID} ")
    )
    second = clean(image(SOPInstanceUID="1.2.3.2", StudyDate="20190714"))
    assert first.cleaned.subject == second.cleaned.subject
    assert first.cleaned.study_uid == second.cleaned.study_uid
    assert first.cleaned.instance_uid != second.cleaned.instance_uid
    assert clean(image()).data == clean(image()).data


def test_an_object_without_patient_id_is_keyed_on_its_study() -> None:
    first, second = (clean(image(PatientID=empty)) for empty in ("", "  "))
    assert first.cleaned.subject == second.cleaned.subject != clean(image()).cleaned.subject
    other = clean(image(PatientID="", StudyInstanceUID="1.2.3"))
    assert other.cleaned.subject != first.cleaned.subject


def test_patient_ids_are_read_in_their_character_set() -> None:
    for charset in ("ISO_IR 192", "ISO_IR 100"):
        source = image(SpecificCharacterSet=charset, PatientID="ÑANDÚ-7")
        assert clean(source).cleaned.subject == KEY.pseudonym("ÑANDÚ-7")


def test_originals_are_given_but_not_shown() -> None:
    cleaned = clean(image()).cleaned
    assert cleaned.original.patient_id == PATIENT_ID
    assert (cleaned.original.study_uid, cleaned.original.sop_uid) == (STUDY, INSTANCE)
    assert PATIENT_ID not in repr(cleaned)
    assert STUDY not in repr(cleaned)


class OnceOnly(io.BytesIO):
    """A source that fails when a byte is read twice."""

    furthest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert self.tell() >= self.furthest
        data = super().read(size)
        self.furthest = self.tell()
        return data


class Hashing:
    """A target that keeps nothing but a digest and the largest piece."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.largest = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.largest = max(self.largest, len(data))
        return len(data)


def test_the_source_is_read_once_and_copied_in_pieces() -> None:
    source = image(Rows=1024, Columns=2048, PixelData=bytes(4 * 1024 * 1024))
    source["PixelData"].VR = "OW"
    data, target = encode(source), Hashing()
    once = OnceOnly(data)
    cleaned = Deidentifier(RESEARCH, KEY).clean(once, target)
    assert once.furthest == len(data)
    assert target.largest <= 1024 * 1024
    assert target.digest.digest() == hashlib.sha256(clean(data).data).digest()
    assert cleaned.pixels is not None
    assert cleaned.pixels.length == 12 + 4 * 1024 * 1024


def test_the_header_can_be_read_whatever_was_kept() -> None:
    cleaned = clean(
        with_raw(
            element(0x00180022, "CS", b"far longer than a code string may be"),
            element(0x00180050, "DS", b"thick "),
            element(0x00080070, "LO", b"\xff\xfe"),
            SpecificCharacterSet="ISO_IR 192",
        )
    ).cleaned
    assert cleaned.header.ScanOptions == "far longer than a code string may be"
    assert "SliceThickness" not in cleaned.header
    assert "Manufacturer" not in cleaned.header
    assert "PixelData" not in cleaned.header


@pytest.mark.parametrize("prefix", [b"", b"DICM"])
@pytest.mark.parametrize("syntax", NATIVE)
def test_a_bare_data_set_is_dicom_too(syntax: str, prefix: bytes) -> None:
    data = encode(image(), syntax)
    start = 132 + 12 + struct.unpack_from("<L", data, 140)[0]
    result = clean(prefix + data[start:])
    assert result.dataset.PixelData == image().PixelData
    assert result.cleaned.transfer_syntax == syntax


def test_the_same_bytes_whether_sequences_have_lengths_or_not() -> None:
    source = image(ProcedureCodeSequence=[Dataset()])
    source.ProcedureCodeSequence[0].CodeValue = "1"
    plain = clean(source)
    source["ProcedureCodeSequence"].is_undefined_length = True
    source.ProcedureCodeSequence[0].is_undefined_length_sequence_item = True
    assert encode(source) != encode(image())
    assert clean(source).data == plain.data


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageType", ["DERIVED", "QUIXANO"]),
        ("SoftwareVersions", "v1 by Quixano"),
        ("FilterType", f"a{PATIENT_ID}b"),
        ("ContrastBolusRoute", "by la mancha general"),
    ],
)
def test_an_identifier_that_survives_is_found_and_named(keyword: str, value: Any) -> None:
    extra = {keyword: value, "InstitutionName": "La Mancha General"}
    with pytest.raises(Unclean, match=keyword) as caught:
        clean(image(**extra))
    assert caught.value.code == "identifier-survived"
    for secret in ("uixano", "QUIXANO", PATIENT_ID, "Mancha"):
        assert secret not in caught.value.sentence


def test_coincidences_are_not_survivors() -> None:
    clean(
        image(
            PatientName="Axial^Head",
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            BodyPartExamined="HEAD",
        )
    )
    clean(image(PatientName="Tos^Al", PatientID="1024", Rows=4, ReconstructionDiameter="1024"))
    clean(image(InstitutionName="TOSHIBA", Manufacturer="TOSHIBA_MEC"))
