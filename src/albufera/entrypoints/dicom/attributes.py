"""Attributes of studies, series and instances in the DICOM JSON model (PS3.18 Annex F)."""

from typing import Any

from albufera.lake.model import Instance, Series, Study, StudySummary

Attributes = dict[str, dict[str, Any]]


def attribute(vr: str, *values: Any) -> dict[str, Any]:
    """An attribute; empty values and Nones give one without a value."""
    present = [value for value in values if value not in (None, "")]
    return {"vr": vr, "Value": present} if present else {"vr": vr}


def person(name: str) -> dict[str, Any]:
    """A person's name attribute."""
    return {"vr": "PN", "Value": [{"Alphabetic": name}]}


def study_attributes(summary: StudySummary, base: str) -> Attributes:
    """What a search for studies gives (PS3.18 Table 10.6.3-3)."""
    study = summary.study
    return {
        **_of_study(study),
        "00080061": attribute("CS", *summary.modalities),
        "00081190": attribute("UR", f"{base}/studies/{study.study_uid}"),
        "00201206": attribute("IS", summary.series_count),
        "00201208": attribute("IS", summary.instance_count),
    }


def series_attributes(series: Series, study: Study, base: str) -> Attributes:
    """What a search for series gives (PS3.18 Table 10.6.3-4), with those of the study."""
    url = f"{base}/studies/{series.study_uid}/series/{series.series_uid}"
    return {
        **_of_study(study),
        "00080060": attribute("CS", series.modality),
        "00080070": attribute("LO", series.manufacturer),
        "0008103E": attribute("LO", series.description),
        "00081090": attribute("LO", series.model),
        "00081190": attribute("UR", url),
        "00180015": attribute("CS", series.body_part),
        "0020000E": attribute("UI", series.series_uid),
        "00200011": attribute("IS", series.number),
        "00201209": attribute("IS", series.instance_count),
    }


def instance_attributes(instance: Instance, series: Series, study: Study, base: str) -> Attributes:
    """What a search for instances gives (PS3.18 Table 10.6.3-5), with those above it."""
    above = series_attributes(series, study, base)
    url = f"{above['00081190']['Value'][0]}/instances/{instance.instance_uid}"
    kept = {tag: instance.header[tag] for tag in _OF_INSTANCE if tag in instance.header}
    return {
        **above,
        **kept,
        "00080016": attribute("UI", instance.sop_class_uid),
        "00080018": attribute("UI", instance.instance_uid),
        "00081190": attribute("UR", url),
        "00083002": attribute("UI", instance.transfer_syntax_uid),
        "00200013": attribute("IS", instance.number),
    }


_OF_INSTANCE = ("00280008", "00280010", "00280011", "00280100")


def _of_study(study: Study) -> Attributes:
    return {
        "00080020": attribute("DA", study.date.replace("-", "")),
        "00080030": attribute("TM"),
        "00080050": attribute("SH"),
        "00080090": attribute("PN"),
        "00081030": attribute("LO", study.description),
        "00100010": person(study.subject),
        "00100020": attribute("LO", study.subject),
        "00100030": attribute("DA"),
        "00100040": attribute("CS", study.sex),
        "0020000D": attribute("UI", study.study_uid),
        "00200010": attribute("SH"),
    }
