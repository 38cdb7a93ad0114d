"""Which confidentiality profile is applied, with which of its options (PS3.15 §E.2, §E.3)."""

from dataclasses import dataclass
from enum import Enum

from albufera.ingest.deidentify.table import EDITION, Row


@dataclass(frozen=True, slots=True)
class Code:
    """A code of CID 7050 (De-identification Method), scheme DCM."""

    value: str
    meaning: str


BASIC_CODE = Code("113100", "Basic Application Confidentiality Profile")


class Option(Enum):
    """The options that the engine implements: the table's column, and the code recorded."""

    MODIFIED_DATES = "rtnLongModifDatesOpt"
    PATIENT_CHARACTERISTICS = "rtnPatCharsOpt"

    @property
    def code(self) -> Code:
        """The code that DeidentificationMethodCodeSequence carries for this option."""
        return OPTION_CODES[self]


OPTION_CODES = {
    Option.MODIFIED_DATES: Code(
        "113107", "Retain Longitudinal Temporal Information Modified Dates Option"
    ),
    Option.PATIENT_CHARACTERISTICS: Code("113108", "Retain Patient Characteristics Option"),
}


@dataclass(frozen=True, slots=True)
class Profile:
    """What is done to an object: the Basic Profile and the options applied with it.

    `admit_unstated_burned_in` names the kinds of object (`screening.RISKY_KINDS`: `SC`, `US`,
    `ES`, `XC`, `LABEL`, `SCREEN`) that are admitted although they do not state Burned In
    Annotation NO. It is empty unless a project knows that such objects of its own are clean.
    """

    name: str
    options: frozenset[Option] = frozenset()
    admit_unstated_burned_in: frozenset[str] = frozenset()
    edition: str = EDITION

    @property
    def codes(self) -> tuple[Code, ...]:
        """The codes recorded in the object, in ascending order."""
        options = sorted((option.code for option in self.options), key=lambda code: code.value)
        return (BASIC_CODE, *options)

    @property
    def temporal(self) -> str:
        """The value of Longitudinal Temporal Information Modified (0028,0303)."""
        return "MODIFIED" if Option.MODIFIED_DATES in self.options else "REMOVED"

    def retained(self, row: Row) -> tuple[Option, str] | None:
        """The applied option that overrides the row's Basic Profile code, with its K or C."""
        for option in Option:
            if option in self.options and option.value in row.options:
                return option, row.options[option.value]
        return None


BASIC = Profile("basic")
"""The Basic Profile alone: dates emptied or replaced, patient characteristics gone."""

RESEARCH = Profile("research", frozenset({Option.MODIFIED_DATES, Option.PATIENT_CHARACTERISTICS}))
"""The default of a project: dates shifted per subject; sex, age, size and weight retained."""
