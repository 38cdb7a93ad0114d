"""De-identification of DICOM objects by PS3.15 Annex E, as ADR 004 decides.

cleaned = Deidentifier(RESEARCH, ProjectKey(secret)).clean(source, target)
"""

from albufera.ingest.deidentify.engine import Cleaned, Deidentifier
from albufera.ingest.deidentify.errors import (
    UNCLEAN,
    UNREADABLE,
    Rejection,
    Unclean,
    Unreadable,
)
from albufera.ingest.deidentify.facts import Original
from albufera.ingest.deidentify.keys import ProjectKey, normalise
from albufera.ingest.deidentify.part10 import looks_like_dicom
from albufera.ingest.deidentify.pixels import Pixels, Target
from albufera.ingest.deidentify.profile import BASIC, RESEARCH, Code, Option, Profile
from albufera.ingest.deidentify.table import EDITION, compare, shipped

__all__ = [
    "BASIC",
    "EDITION",
    "RESEARCH",
    "UNCLEAN",
    "UNREADABLE",
    "Cleaned",
    "Code",
    "Deidentifier",
    "Option",
    "Original",
    "Pixels",
    "Profile",
    "ProjectKey",
    "Rejection",
    "Target",
    "Unclean",
    "Unreadable",
    "compare",
    "looks_like_dicom",
    "normalise",
    "shipped",
]
