"""The charts of a dataset's page, from its aggregated metadata."""

from collections.abc import Mapping, Sequence
from typing import Any

from albufera.entrypoints.web.charts import (
    Chart,
    age_by_sex,
    bar_chart,
    stacked_bar,
    timeline_by_year,
)

NOT_STATED = "not stated"
SEXES = {"F": "Female", "M": "Male", "O": "Other"}


def charts_of(aggregate: Mapping[str, Any]) -> list[Chart]:
    """Return the charts, those without data left out."""
    made: list[Chart] = []
    age = aggregate.get("age") or {}
    if age.get("bands"):
        made.append(_ages(age["bands"]))
    if aggregate.get("sex"):
        made.append(stacked_bar("Sex", _sexes(aggregate["sex"]), unit="subjects", label="Sex"))
    for key, title in (("modality", "Modality"), ("bodyPart", "Body part")):
        if aggregate.get(key):
            made.append(bar_chart(title, _counts(aggregate[key], "series"), label=title))
    if aggregate.get("manufacturer"):
        made.append(_bars("Manufacturer", aggregate["manufacturer"], "series"))
    if aggregate.get("diagnosis"):
        made.append(_bars("Diagnosis", aggregate["diagnosis"], "subjects"))
    years = {int(v["value"]): int(v["studies"]) for v in aggregate.get("year", ()) if v["value"]}
    if years:
        made.append(timeline_by_year("Year of the study", years))
    return made


def _bars(title: str, values: Sequence[Mapping[str, Any]], unit: str) -> Chart:
    return bar_chart(title, _counts(values, unit), unit=unit, label=title)


def _ages(bands: Sequence[Mapping[str, Any]]) -> Chart:
    others = {sex for band in bands for sex in band["sex"]} - {"F", "M"}
    counts = {
        "Female": [int(band["sex"].get("F", 0)) for band in bands],
        "Male": [int(band["sex"].get("M", 0)) for band in bands],
    }
    if others:
        counts["Other or unknown"] = [
            sum(int(band["sex"].get(sex, 0)) for sex in others) for band in bands
        ]
    return age_by_sex("Age at the first study", [band["label"] for band in bands], counts)


def _sexes(values: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [(SEXES.get(v["value"], v["value"] or NOT_STATED), v["subjects"]) for v in values]


def _counts(values: Sequence[Mapping[str, Any]], unit: str) -> list[tuple[str, int]]:
    return [(str(v["value"] or NOT_STATED), int(v[unit])) for v in values]
