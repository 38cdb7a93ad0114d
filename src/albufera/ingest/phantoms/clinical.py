"""The clinical table that goes with the phantoms: one row a patient, by original patient id."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from albufera.ingest.phantoms.people import Person, PhantomPatient

CLINICAL_FIELDS = (
    "patient_id", "diagnosis", "sex", "age_at_diagnosis", "diagnosis_date", "smoking_status",
    "pack_years", "t_stage", "n_stage", "m_stage", "tumour_diameter", "ecog", "egfr_mutation",
    "treatment", "survival_months", "deceased",
)  # fmt: skip
"""Columns, in order: the key, then the variables of the demonstration's lung e-form."""

_DIAGNOSES = ("adenocarcinoma", "adenocarcinoma", "squamous-cell-carcinoma", "small-cell-carcinoma")
_T_LIMITS = ((30.0, "T1"), (50.0, "T2"), (70.0, "T3"))
_OLDEST = 90

Row = dict[str, str | int | float | None]


def clinical_rows(patients: Iterable[PhantomPatient]) -> list[Row]:
    """One row for each patient, with the columns of CLINICAL_FIELDS; None is "not known"."""
    return [_row(patient.person) for patient in patients]


def write_clinical_csv(path: Path, patients: Iterable[PhantomPatient]) -> None:
    """The rows as UTF-8 CSV with a header; what is not known is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CLINICAL_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(clinical_rows(patients))


def _row(person: Person) -> Row:
    random = np.random.default_rng([*person.patient_id.encode(), 34])
    largest = max(lesion.sphere.diameter for lesion in person.lesions)
    diagnosis = str(random.choice(_DIAGNOSES))
    n = str(random.choice(["N0", "N0", "N1", "N2"]))
    spread = {lesion.lobe.split()[0] for lesion in person.lesions} == {"left", "right"}
    smoking = str(random.choice(["current", "former", "former", "never"]))
    return {
        "patient_id": person.patient_id,
        "diagnosis": diagnosis,
        "sex": {"F": "female", "M": "male"}[person.sex],
        "age_at_diagnosis": min(person.age, _OLDEST),
        "diagnosis_date": person.first_study.strftime("%Y-%m-%d"),
        "smoking_status": smoking,
        "pack_years": 0 if smoking == "never" else int(random.integers(10, 61)),
        "t_stage": next((t for limit, t in _T_LIMITS if largest <= limit), "T4"),
        "n_stage": n,
        "m_stage": "M1" if spread else "M0",
        "tumour_diameter": round(largest, 1),
        "ecog": int(random.integers(0, 3)),
        "egfr_mutation": _egfr(diagnosis, random),
        "treatment": _treatment(diagnosis, n, spread=spread),
        "survival_months": _months(person),
        "deceased": "false" if person.follow_up is not None else None,
    }


def _egfr(diagnosis: str, random: np.random.Generator) -> str | None:
    """Whether the mutation was found; None where it was not looked for."""
    if diagnosis != "adenocarcinoma":
        return None
    return "true" if random.random() < 0.5 else "false"  # noqa: PLR2004 - an even chance


def _treatment(diagnosis: str, n: str, *, spread: bool) -> str:
    if diagnosis == "small-cell-carcinoma":
        return "chemotherapy"
    if spread:
        return "immunotherapy"
    return "chemoradiotherapy" if n == "N2" else "surgery"


def _months(person: Person) -> float | None:
    if person.follow_up is None:
        return None
    return round((person.follow_up - person.first_study).days / 30.4, 1)
