"""Phantoms: generated chest CT studies with lesions and identifying headers.

Nobody is behind them. They give a demonstration something that looks like CT, and the tests of
de-identification something to remove: every planted identifier is listed.
"""

from albufera.ingest.phantoms.clinical import (
    CLINICAL_FIELDS,
    clinical_rows,
    write_clinical_csv,
)
from albufera.ingest.phantoms.cohort import write_cohort
from albufera.ingest.phantoms.people import Lesion, PhantomPatient

__all__ = [
    "CLINICAL_FIELDS",
    "Lesion",
    "PhantomPatient",
    "clinical_rows",
    "write_clinical_csv",
    "write_cohort",
]
