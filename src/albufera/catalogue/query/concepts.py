"""What a filter may speak of, as data. The help texts and the documentation are made of this."""

from dataclasses import dataclass
from enum import StrEnum


class ConceptType(StrEnum):
    """What sort of values a concept has, and so which comparisons it knows."""

    CODE = "code"
    TEXT = "text"
    IDENTIFIER = "identifier"
    INTEGER = "integer"
    NUMBER = "number"


@dataclass(frozen=True)
class Concept:
    """Something a series, its study or its subject has."""

    key: str
    type: ConceptType
    sentence: str
    example: str

    @property
    def is_number(self) -> bool:
        """Whether values are compared as numbers."""
        return self.type in {ConceptType.INTEGER, ConceptType.NUMBER}


_C = ConceptType
CONCEPTS: dict[str, Concept] = {
    concept.key: concept
    for concept in (
        Concept("modality", _C.CODE, "Modality of the series (PS3.3 §C.7.3.1.1.1).", "CT"),
        Concept("body_part", _C.CODE, "Body Part Examined of the series.", "CHEST"),
        Concept("sex", _C.CODE, "Sex of the subject: M, F or O.", "F"),
        Concept("age", _C.INTEGER, "Age in years at the study; 90 stands for 90 and over.", "50"),
        Concept("year", _C.INTEGER, "Year of the study, after the subject's date shift.", "2019"),
        Concept("manufacturer", _C.TEXT, "Manufacturer of the equipment.", "SIEMENS"),
        Concept("model", _C.TEXT, "Model name of the equipment.", "Biograph"),
        Concept("description", _C.TEXT, "Description of the series.", "axial"),
        Concept("study_description", _C.TEXT, "Description of the study.", "thorax"),
        Concept("slice_thickness", _C.NUMBER, "Slice thickness in millimetres.", "2.5"),
        Concept("rows", _C.INTEGER, "Rows of the images, in pixels.", "512"),
        Concept("columns", _C.INTEGER, "Columns of the images, in pixels.", "512"),
        Concept("images", _C.INTEGER, "Number of images in the series.", "100"),
        Concept("project", _C.CODE, "Code of the project.", "LUNG"),
        Concept("collection", _C.IDENTIFIER, "Code of the collection.", "main"),
        Concept("subject", _C.IDENTIFIER, "Pseudonym of the subject.", "S-4K2M"),
        Concept("study", _C.IDENTIFIER, "Identifier of the study in this node.", "st-01…"),
        Concept("study_uid", _C.IDENTIFIER, "Study Instance UID, as de-identified.", "2.25.1"),
        Concept("series", _C.IDENTIFIER, "Identifier of the series in this node.", "se-01…"),
        Concept("series_uid", _C.IDENTIFIER, "Series Instance UID, as de-identified.", "2.25.2"),
    )
}
"""Every concept by its key."""
