"""The clinical table that goes with the phantoms: one row a patient, by original patient id."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from albufera.ingest.phantoms.people import Person, PhantomPatient

CLINICAL_FIELDS = (
    "patient_id", "age_at_diagnosis", "sex", "diagnosis_year", "diagnosis_code", "histology",
    "stage_t", "stage_n", "stage_m", "stage", "lesion_count", "largest_lesion_mm",
    "smoking_status", "pack_years", "egfr", "pdl1_percent", "treatment", "outcome",
    "follow_up_months",
)  # fmt: skip
"""Columns, in order. Codes: ICD-10 C34.x; TNM 8th edition for lung."""

_CODES = {"upper": "C34.1", "middle": "C34.2", "lower": "C34.3"}
_HISTOLOGY = ("adenocarcinoma", "adenocarcinoma", "squamous_cell_carcinoma", "small_cell_carcinoma")
_T_LIMITS = ((10.0, "T1a"), (20.0, "T1b"), (30.0, "T1c"), (40.0, "T2a"))

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
    largest = max(person.lesions, key=lambda lesion: lesion.sphere.diameter)
    histology = str(random.choice(_HISTOLOGY))
    t = next((t for limit, t in _T_LIMITS if largest.sphere.diameter <= limit), "T2b")
    n = str(random.choice(["N0", "N0", "N1", "N2"]))
    spread = {lesion.lobe.split()[0] for lesion in person.lesions} == {"left", "right"}
    stage = _stage(t, n, "M1a" if spread else "M0")
    smoking = str(random.choice(["current", "former", "former", "never"]))
    adeno = histology == "adenocarcinoma"
    small_cell = histology == "small_cell_carcinoma"
    return {
        "patient_id": person.patient_id,
        "age_at_diagnosis": person.age,
        "sex": {"F": "female", "M": "male"}[person.sex],
        "diagnosis_year": person.first_study.year,
        "diagnosis_code": _CODES[largest.lobe.split()[1]],
        "histology": histology,
        "stage_t": t,
        "stage_n": n,
        "stage_m": "M1a" if spread else "M0",
        "stage": stage,
        "lesion_count": len(person.lesions),
        "largest_lesion_mm": round(largest.sphere.diameter, 1),
        "smoking_status": smoking,
        "pack_years": 0 if smoking == "never" else int(random.integers(10, 61)),
        "egfr": str(random.choice(["mutated", "wild_type"])) if adeno else "not_tested",
        "pdl1_percent": None if small_cell else int(random.integers(0, 101)),
        "treatment": _treatment(stage, histology),
        "outcome": _outcome(person),
        "follow_up_months": _months(person),
    }


def _stage(t: str, n: str, m: str) -> str:
    """The stage group (TNM 8th edition, the groups that these phantoms reach)."""
    if m != "M0":
        return "IVA"
    if n == "N2":
        return "IIIA"
    if n == "N1":
        return "IIB"
    return {"T1a": "IA1", "T1b": "IA2", "T1c": "IA3", "T2a": "IB"}.get(t, "IIA")


def _treatment(stage: str, histology: str) -> str:
    if histology == "small_cell_carcinoma":
        return "chemotherapy"
    if stage.startswith("IV"):
        return "immunotherapy"
    return "chemoradiotherapy" if stage.startswith("III") else "surgery"


def _months(person: Person) -> float | None:
    if person.follow_up is None:
        return None
    return round((person.follow_up - person.first_study).days / 30.4, 1)


def _outcome(person: Person) -> str:
    if person.follow_up is None:
        return "alive"
    return "progression" if person.lesions[0].growth > 1 else "partial_response"
