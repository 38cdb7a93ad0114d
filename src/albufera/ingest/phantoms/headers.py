"""Headers as a hospital writes them: valid, and full of what must not leave it."""

import hashlib
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage

from albufera.ingest.phantoms.people import Person, age_on

_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, retired, still seen


@dataclass(frozen=True, slots=True)
class Visit:
    """A study to be written: everything its header says of the occasion."""

    person: Person
    ordinal: int
    day: date
    seed: int
    earlier_study_uid: str | None

    def uid(self, *parts: object) -> str:
        """A UID of this visit, the same for the same parts (PS3.5 §B.2: under 2.25)."""
        return derived_uid(self.seed, self.person.number, self.ordinal, *parts)

    def number(self, prefix: str) -> str:
        """A made-up number of the hospital's information system, at least nine characters."""
        digest = hashlib.sha256(f"{prefix}/{self.uid(prefix)}".encode()).digest()
        return f"{prefix}{int.from_bytes(digest[:4]) % 10**8:08d}"

    @property
    def accession(self) -> str:
        """The accession number."""
        return self.number("AC")


def derived_uid(*parts: object) -> str:
    """A UUID-derived UID that depends on the parts alone."""
    digest = hashlib.sha256("/".join(str(p) for p in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def study_header(visit: Visit) -> Dataset:
    """What all instances of a study share: patient, study and equipment modules."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    _patient(dataset, visit)
    _study(dataset, visit)
    _equipment(dataset, visit)
    _request(dataset, visit)
    _history(dataset, visit)
    _private(dataset, visit)
    return dataset


def planted(visit: Visit) -> list[str]:
    """The texts that ``study_header`` plants (see PhantomPatient.identifiers)."""
    person = visit.person
    names = [person.name, person.referring, person.performing, _operator(visit), _mother(visit)]
    return [
        *(part for name in names for part in name.split("^")),
        *(person.patient_id, person.national_id, f"{person.birth_date:%Y%m%d}"),
        *(person.address, person.phone, person.hospital.name, person.hospital.address),
        *(person.hospital.department, person.hospital.phone, person.device, person.station),
        *(visit.accession, *(visit.number(p) for p in ("ST", "RP", "SPS", "PPS", "ADM", "COL"))),
    ]


def _patient(dataset: Dataset, visit: Visit) -> None:
    person = visit.person
    dataset.PatientName = person.name
    dataset.PatientID = person.patient_id
    dataset.IssuerOfPatientID = person.hospital.name
    dataset.PatientBirthDate = f"{person.birth_date:%Y%m%d}"
    dataset.PatientSex = person.sex
    dataset.PatientAge = f"{age_on(person.birth_date, visit.day):03d}Y"
    dataset.PatientAddress = person.address
    dataset.PatientTelephoneNumbers = person.phone
    dataset.PatientMotherBirthName = _mother(visit)
    dataset.PatientComments = f"Avisar a {_plain(person.name)}, tel. {person.phone}"
    other = Dataset()
    other.PatientID = person.national_id
    other.IssuerOfPatientID = "Ministerio del Interior"
    other.TypeOfPatientID = "TEXT"
    dataset.OtherPatientIDsSequence = Sequence([other])


def _study(dataset: Dataset, visit: Visit) -> None:
    person = visit.person
    day, time = f"{visit.day:%Y%m%d}", f"{8 + visit.ordinal:02d}{15 + person.number % 40:02d}27"
    dataset.StudyInstanceUID = visit.uid("study")
    dataset.StudyID = visit.number("ST")
    dataset.AccessionNumber = visit.accession
    for kind in ("Study", "Series", "Acquisition", "Content", "InstanceCreation"):
        setattr(dataset, f"{kind}Date", day)
        setattr(dataset, f"{kind}Time", time)
    dataset.AcquisitionDateTime = f"{day}{time}.340000"
    dataset.StudyDescription = "CT Chest with contrast" if person.build.contrast else "CT Chest"
    dataset.ReferringPhysicianName = person.referring
    dataset.NameOfPhysiciansReadingStudy = person.performing
    dataset.PerformingPhysicianName = person.performing
    dataset.OperatorsName = _operator(visit)
    dataset.ReferringPhysicianIdentificationSequence = Sequence([_physician(visit)])
    dataset.AdmissionID = visit.number("ADM")
    if visit.earlier_study_uid:
        earlier = Dataset()
        earlier.ReferencedSOPClassUID = _STUDY_MANAGEMENT
        earlier.ReferencedSOPInstanceUID = visit.earlier_study_uid
        dataset.ReferencedStudySequence = Sequence([earlier])


def _physician(visit: Visit) -> Dataset:
    person, item = visit.person, Dataset()
    code = _code(visit.number("COL"), "99COLEGIADO", _plain(person.referring))
    item.PersonIdentificationCodeSequence = Sequence([code])
    item.PersonTelephoneNumbers = person.hospital.phone
    item.InstitutionName = person.hospital.name
    item.InstitutionAddress = person.hospital.address
    return item


def _equipment(dataset: Dataset, visit: Visit) -> None:
    person = visit.person
    dataset.Manufacturer = person.scanner.manufacturer
    dataset.ManufacturerModelName = person.model
    dataset.SoftwareVersions = person.scanner.software
    dataset.DeviceSerialNumber = person.device
    dataset.StationName = person.station
    dataset.InstitutionName = person.hospital.name
    dataset.InstitutionAddress = person.hospital.address
    dataset.InstitutionalDepartmentName = person.hospital.department


def _request(dataset: Dataset, visit: Visit) -> None:
    request = Dataset()
    request.RequestedProcedureID = visit.number("RP")
    request.ScheduledProcedureStepID = visit.number("SPS")
    request.RequestedProcedureDescription = "CT Chest"
    request.ReasonForTheRequestedProcedure = f"Nodule, seen by {_plain(visit.person.referring)}"
    request.RequestingPhysician = visit.person.referring
    request.RequestedProcedureCodeSequence = Sequence([_code("CTCHEST", "99LOCAL", "CT Chest")])
    dataset.RequestAttributesSequence = Sequence([request])
    dataset.RequestingPhysician = visit.person.referring
    dataset.PerformedProcedureStepID = visit.number("PPS")
    dataset.PerformedProcedureStepStartDate = f"{visit.day:%Y%m%d}"


def _history(dataset: Dataset, visit: Visit) -> None:
    """Texts and nested records in which names hide."""
    person = visit.person
    dataset.AdditionalPatientHistory = f"{_plain(person.name)}, ex-smoker, cough for six weeks."
    dataset.ImageComments = f"Reviewed with {_plain(person.performing)} {person.hospital.phone}"
    before = Dataset()
    before.PatientName = person.name
    before.PatientID = person.national_id
    change = Dataset()
    change.ModifiedAttributesSequence = Sequence([before])
    change.AttributeModificationDateTime = f"{visit.day:%Y%m%d}120000"
    change.ModifyingSystem = person.station
    change.SourceOfPreviousValues = person.hospital.name
    change.ReasonForTheAttributeModification = "CORRECT"
    dataset.OriginalAttributesSequence = Sequence([change])


def _private(dataset: Dataset, visit: Visit) -> None:
    """Private elements that repeat the patient, one of them inside a private sequence."""
    person = visit.person
    text = f"PatientName={person.name};PatientID={person.patient_id};Device={person.device};"
    block = dataset.private_block(
        person.scanner.private_group, person.scanner.private_creator, create=True
    )
    encoded = text.encode()
    block.add_new(0x10, "OB", b"SV10\4\3\2\1" + encoded + bytes(len(encoded) % 2))
    block.add_new(0x08, "LO", person.name)
    inner = Dataset()
    inner.PatientName = person.name
    inner.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0C, "LO", person.phone)
    block.add_new(0x20, "SQ", Sequence([inner]))


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _plain(name: str) -> str:
    surname, given = name.split("^")
    return f"{given} {surname}"


def _operator(visit: Visit) -> str:
    return ("Barrachina^Desamparados", "Pemberton^Gwendolyn", "Hallström^Birgitta")[
        visit.person.number % 3
    ]


def _mother(visit: Visit) -> str:
    return f"{('Albentosa', 'Fairweather', 'Grönlund')[visit.person.number % 3]}^Filomena"
