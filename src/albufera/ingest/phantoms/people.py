"""The people who do not exist: names, numbers, hospitals, scanners and disease, all invented."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from albufera.ingest.phantoms.anatomy import Build, Sphere, lies_in_lung, vessel_tree

_SURNAMES = (
    "Ferrándiz", "Quintanilla", "Ashworth", "Lindqvist", "Moreau-Blanc", "Kowalczyk",
    "Bragança", "Steinmetz", "Papadakis", "Vandenberghe", "Oliveira", "Szymański",
    "Castellanos", "Ødegaard", "Rosenthal", "Benedetti",
)  # fmt: skip
_WOMEN = ("Amparo", "Henrietta", "Ingeborg", "Mathilde", "Katarzyna", "Eleftheria", "Rosalía")
_MEN = ("Bartolomé", "Frederick", "Torvald", "Anselme", "Zbigniew", "Aristides", "Joaquim")
_DOCTORS = ("Villarreal^Consuelo", "Whitcombe^Edmund", "Dahlgren^Sigrid", "Fontaine^Achille",
            "Nowakowska^Halina", "Theodorou^Nikos")  # fmt: skip
_STREETS = ("Calle de la Barraca", "Thornbury Lane", "Storgatan", "Rue des Tanneurs")
_CITIES = ("46011 València", "BS35 Alveston", "22224 Lund", "31000 Toulouse")


@dataclass(frozen=True, slots=True)
class Hospital:
    """Where a patient was seen; in the headers, and to be removed from them."""

    name: str
    address: str
    department: str
    phone: str


HOSPITALS = (
    Hospital("Hospital Marítim de Llevant", "Avinguda del Far 112, 46024 València",
             "Radiodiagnòstic Planta 2", "+34 961 555 204"),
    Hospital("Thornbury Royal Infirmary", "7 Chantry Road, Thornbury BS35 1HL",
             "Cross-Sectional Imaging", "+44 1454 555 731"),
    Hospital("Sankt Ansgars Sjukhus", "Klostergatan 19, 22222 Lund",
             "Bild och Funktion", "+46 46 555 818"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scanner:
    """A make of CT: how it names things, and how it stores values."""

    manufacturer: str
    models: tuple[str, ...]
    software: str
    soft_kernel: str
    sharp_kernel: str
    signed: bool
    private_creator: str
    private_group: int


SCANNERS = (
    Scanner("SIEMENS", ("SOMATOM Definition AS+", "SOMATOM Force"), "syngo CT VB10A",
            "I31f", "B70f", False, "SIEMENS CSA HEADER", 0x0029),
    Scanner("GE MEDICAL SYSTEMS", ("Revolution EVO", "Discovery CT750 HD"), "gmp_vct.42",
            "STANDARD", "LUNG", True, "GEMS_IDEN_01", 0x0009),
    Scanner("Philips", ("Ingenuity CT", "Brilliance 64"), "4.1.10", "B", "YC", False,
            "ELSCINT1", 0x01F1),
    Scanner("Canon Medical Systems", ("Aquilion ONE", "Aquilion Prime SP"), "V10.3SP0012",
            "FC08", "FC52", True, "PMTF INFORMATION DATA", 0x7005),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion at baseline, and how its diameter changed by the follow-up (1 is unchanged)."""

    sphere: Sphere
    lobe: str
    growth: float

    def at_follow_up(self) -> Sphere:
        """The sphere that the follow-up study shows."""
        s = self.sphere
        return Sphere(s.x, s.y, s.z, s.diameter * self.growth)


@dataclass(frozen=True, slots=True)
class PhantomSeries:
    """A written series: files in order of instance number, with their SOP instance UIDs."""

    uid: str
    description: str
    files: tuple[Path, ...]
    instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhantomStudy:
    """A written study."""

    uid: str
    day: date
    accession: str
    series: tuple[PhantomSeries, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Who is imaged, before anything is written."""

    number: int
    name: str
    patient_id: str
    national_id: str
    sex: str
    birth_date: date
    address: str
    phone: str
    hospital: Hospital
    scanner: Scanner
    model: str
    device: str
    station: str
    referring: str
    performing: str
    first_study: date
    follow_up: date | None
    build: Build
    lesions: tuple[Lesion, ...]

    @property
    def age(self) -> int:
        """Completed years at the first study."""
        return age_on(self.birth_date, self.first_study)


@dataclass(frozen=True, slots=True)
class PhantomPatient:
    """A person whose studies have been written.

    Attributes:
        identifiers: every planted text that must not survive de-identification, UTF-8 in the
            files: names, numbers, addresses, phones, birth date, institution, device, physicians.
        uids: every original study, series, instance and frame-of-reference UID.
        dates: the study dates as written (``YYYYMMDD``), which must be shifted.
    """

    person: Person
    studies: tuple[PhantomStudy, ...]
    identifiers: tuple[str, ...]
    uids: tuple[str, ...]
    dates: tuple[str, ...]

    @property
    def patient_id(self) -> str:
        """The original patient id, which the clinical table is keyed by."""
        return self.person.patient_id

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the patient."""
        return tuple(f for study in self.studies for series in study.series for f in series.files)


def age_on(birth: date, day: date) -> int:
    """Completed years."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def invent(number: int, seed: int, height: float) -> Person:
    """The ``number``-th person of the cohort of this seed; the chest is ``height`` mm high."""
    random = np.random.default_rng([seed, number])

    def digits(count: int) -> str:
        return "".join(str(d) for d in random.integers(0, 10, count))

    sex = "F" if (number + seed) % 2 else "M"
    given = (_WOMEN if sex == "F" else _MEN)[int(random.integers(7))]
    surname = _SURNAMES[(number + seed * 5) % len(_SURNAMES)]
    name = f"{surname}^{given}" if number < len(_SURNAMES) else f"{surname}-{number:04d}^{given}"
    first = date(2016, 1, 4) + timedelta(days=int(random.integers(0, 9 * 365)))
    age = _age(number, random)
    birth = first - timedelta(days=int(age * 365.25) + int(random.integers(20, 340)))
    scanner = SCANNERS[(number + seed) % len(SCANNERS)]
    build = _build(random, number, height)
    return Person(
        number=number,
        name=name,
        patient_id=f"NHC-{digits(3)}{number:04d}",
        national_id=f"{digits(8)}{'TRWAGMYFPDX'[int(random.integers(11))]}",
        sex=sex,
        birth_date=birth,
        address=f"{_STREETS[number % 4]} {random.integers(1, 200)}, {_CITIES[number % 4]}",
        phone=f"+34 6{digits(2)} {digits(3)} {digits(3)}",
        hospital=HOSPITALS[number % len(HOSPITALS)],
        scanner=scanner,
        model=scanner.models[int(random.integers(len(scanner.models)))],
        device=f"SN{digits(7)}",
        station=f"CTAWP{digits(5)}",
        referring=_DOCTORS[number % len(_DOCTORS)],
        performing=_DOCTORS[(number + 2) % len(_DOCTORS)],
        first_study=first,
        follow_up=None if number % 2 else first + timedelta(days=int(random.integers(80, 240))),
        build=build,
        lesions=_lesions(random, build),
    )


def _age(number: int, random: np.random.Generator) -> int:
    """38 to 93 years; the second person of a cohort is over 89, which de-identification minds."""
    return 91 if number == 1 else int(random.integers(38, 94))


def _build(random: np.random.Generator, number: int, height: float) -> Build:
    return Build(
        half_width=float(random.uniform(156, 174)),
        half_depth=float(random.uniform(112, 126)),
        fat=float(random.uniform(11, 24)),
        contrast=(135.0, 0.0, 95.0, 115.0)[number % 4],
        noise=float(random.uniform(9, 14)),
        height=height,
        vessels=vessel_tree(random, height),
    )


def _lesions(random: np.random.Generator, build: Build) -> tuple[Lesion, ...]:
    wanted = int(random.integers(1, 4))
    found: list[Lesion] = []
    while len(found) < wanted:
        side = -1 if random.random() < 0.55 else 1  # noqa: PLR2004  the right lung is larger
        sphere = Sphere(
            x=side * float(random.uniform(48, 105)),
            y=float(random.uniform(-55, 60)),
            z=float(random.uniform(-0.28, 0.34)) * build.height,
            diameter=float(random.uniform(9, 34) if not found else random.uniform(6, 14)),
        )
        if lies_in_lung(sphere, build) and not any(_touch(sphere, f.sphere) for f in found):
            growth = float(random.choice([0.55, 0.75, 1.25, 1.5]))
            found.append(Lesion(sphere, _lobe(sphere, build), found[0].growth if found else growth))
    return tuple(found)


def _touch(one: Sphere, other: Sphere) -> bool:
    apart = math.dist((one.x, one.y, one.z), (other.x, other.y, other.z))
    return apart < one.diameter + other.diameter


def _lobe(sphere: Sphere, build: Build) -> str:
    level = 0.5 + sphere.z / build.height
    side = "right" if sphere.x < 0 else "left"
    if level > 0.58 or (side == "left" and sphere.y < 0):  # noqa: PLR2004
        return f"{side} upper lobe"
    if side == "right" and sphere.y < 0:
        return "right middle lobe"
    return f"{side} lower lobe"
