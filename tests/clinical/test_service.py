"""Loading tables: what is stored, what is reported, and who may; on both databases."""

import io
from collections.abc import Collection
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from albufera.clinical import loading, records
from albufera.clinical.facts import counts_of, data_dictionary, diagnoses_of, records_of
from albufera.clinical.model import LoadReport, Problem
from albufera.clinical.service import ClinicalService
from albufera.governance.model import Role
from albufera.governance.policy import TablePolicy
from albufera.governance.projects import ProjectService
from albufera.identity.records import users
from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events
from albufera.kernel.pages import PageRequest
from tests.clinical.forms import EVERY_TYPE, as_bytes


class ReadableNames:
    """A double: pseudonyms that a test can read, a fixed shift of ten weeks."""

    def is_pseudonym(self, text: str) -> bool:
        return text.startswith("SUBJ-")

    def pseudonym(self, project_id: str, original: str) -> str:
        return f"SUBJ-{sum(original.encode()) % 10**6}"

    def day_shift(self, project_id: str, original: str) -> int:
        return -70


class NoImages:
    """A double: a lake that knows one subject."""

    def known(self, connection: Connection, project_id: str, names: Collection[str]) -> set[str]:
        return {"SUBJ-KNOWN"} & set(names)


@dataclass
class Clinic:
    """A service with two projects, and their stewards."""

    service: ClinicalService
    database: Database
    steward: Actor
    stranger: Actor
    researcher: Actor
    project_id: str

    def load(self, table: str | bytes, key: str = "", actor: Actor | None = None) -> LoadReport:
        content = table if isinstance(table, bytes) else table.encode()
        return self.service.load(actor or self.steward, "LUNG", io.BytesIO(content), key)

    def stored(self) -> dict[str, dict[str, object]]:
        page = self.service.records(self.steward, "LUNG", PageRequest(None, 500))
        return {record.subject: dict(record.values) for record in page.items}

    def table(self, table: sa.Table) -> list[tuple[object, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(table.select())]


@pytest.fixture
def clinic(database: Database) -> Clinic:
    policy = TablePolicy()
    projects = ProjectService(database, policy)
    service = ClinicalService(database, policy, projects, ReadableNames(), NoImages())
    people = {}
    for code in ("LUNG", "BREAST"):
        projects.create(SYSTEM, code)
        for role in (Role.STEWARD, Role.RESEARCHER):
            name = f"{code.lower()}.{role.value}"
            with database.write() as connection:
                connection.execute(
                    users.insert().values(
                        user_id=f"us-{name}", username=name, name=name, email="", organisation="",
                        password_hash="", is_operator=False, disabled=False, created_at=clock.now(),
                    )
                )  # fmt: skip
            projects.give_role(SYSTEM, code, name, role)
            people[name] = Actor(f"us-{name}", name)
    lung = projects.show(SYSTEM, "LUNG").project_id
    made = Clinic(service, database, people["lung.steward"], people["breast.steward"],
                  people["lung.researcher"], lung)  # fmt: skip
    service.define_form(made.steward, "LUNG", as_bytes(EVERY_TYPE))
    return made


def places(problems: Collection[Problem]) -> list[tuple[int | None, str]]:
    return [(problem.row, problem.column) for problem in problems]


def test_good_rows_are_stored_and_bad_ones_reported_by_row_and_column(clinic: Clinic) -> None:
    report = clinic.load(
        "patient_id,diagnosis,age,dose,smoker,ecog,seen,note\n"
        "MRN-1,adenocarcinoma,63,1.5,yes,1,2020-03-11,stable\n"
        "MRN-2,sarcoma,163,x,perhaps,9,1/1/2020,ok\n"
        "MRN-3,carcinoid,,,,,,\n"
    )
    assert (report.rows, report.new, report.rejected) == (3, 2, 1)
    columns = ["diagnosis", "age", "dose", "smoker", "ecog", "seen"]
    assert places(report.errors) == [(3, column) for column in columns]
    first, second = (ReadableNames().pseudonym("", f"MRN-{n}") for n in (1, 3))
    assert clinic.stored() == {
        first: {
            "diagnosis": "adenocarcinoma", "age": 63, "dose": 1.5, "smoker": True, "ecog": 1,
            "seen": "2020-01-01", "note": "stable",
        },
        second: {"diagnosis": "carcinoid"},
    }  # fmt: skip


def test_the_original_identifier_is_nowhere(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    report = clinic.load(
        "patient_id,age,diagnosis\nMRN-4711,x,carcinoid\nMRN-4712,50,carcinoid\nMRN-4712,51,carcinoid\n"
    )
    everything = repr(report) + caplog.text
    for table in (records.clinical_records, records.clinical_values, events):
        everything += repr(clinic.table(table))
    assert "MRN-47" not in everything
    assert report.rejected == 2
    assert "row 3 is about the same subject" in report.errors[-1].message


def test_the_same_table_again_changes_nothing(clinic: Clinic) -> None:
    table = "subject;diagnosis;age\nSUBJ-A;carcinoid;50\nSUBJ-B;adenocarcinoma;51\n"
    assert clinic.load(table).new == 2
    before = clinic.table(records.clinical_records)
    again = clinic.load(table)
    assert (again.new, again.updated, again.unchanged) == (0, 0, 2)
    assert clinic.table(records.clinical_records) == before
    written = [row for row in clinic.table(events) if "clinical.records-written" in row]
    assert len(written) == 1


def test_a_corrected_row_updates_and_other_columns_stay(clinic: Clinic) -> None:
    clinic.load("subject,diagnosis,age,note\nSUBJ-A,carcinoid,50,x\n")
    report = clinic.load("subject,age\nsubj-a,51\n")
    assert (report.updated, report.unchanged) == (1, 0)
    assert clinic.stored() == {"SUBJ-A": {"diagnosis": "carcinoid", "age": 51, "note": "x"}}
    clinic.load("subject,note\nSUBJ-A,\n")
    assert clinic.stored() == {"SUBJ-A": {"diagnosis": "carcinoid", "age": 51}}
    values = [row[2] for row in clinic.table(records.clinical_values)]
    assert sorted(map(str, values)) == ["age", "diagnosis"]


def test_a_required_value_must_be_there(clinic: Clinic) -> None:
    report = clinic.load("subject,age\nSUBJ-A,50\n")
    assert places(report.errors) == [(2, "diagnosis")]
    assert clinic.stored() == {}
    clinic.load("subject,diagnosis\nSUBJ-A,carcinoid\n")
    emptied = clinic.load("subject,diagnosis\nSUBJ-A,\n")
    assert places(emptied.errors) == [(2, "diagnosis")]
    assert clinic.stored() == {"SUBJ-A": {"diagnosis": "carcinoid"}}


def test_unknown_subjects_are_warned_of_and_kept(clinic: Clinic) -> None:
    report = clinic.load("subject,diagnosis\nSUBJ-KNOWN,carcinoid\nSUBJ-NEW,carcinoid\n")
    assert (report.new, report.unknown_subjects) == (2, 1)
    assert places(report.warnings) == [(3, "")]


def test_columns_of_no_variable_are_not_read(clinic: Clinic) -> None:
    report = clinic.load("subject,Diagnosis,surname\nSUBJ-A,carcinoid,Doe\n")
    assert report.new == 1
    assert places(report.warnings)[0] == (1, "surname")
    assert "Doe" not in repr(report)


def test_a_date_of_a_pseudonymous_row_is_refused_unless_declared(clinic: Clinic) -> None:
    report = clinic.load(
        "subject,diagnosis,seen,moved\nSUBJ-A,carcinoid,2020-03-11,2020-03-11\n"
        "SUBJ-B,carcinoid,,2020-03-11\n"
    )
    assert places(report.errors) == [(2, "seen")]
    assert clinic.stored() == {"SUBJ-B": {"diagnosis": "carcinoid", "moved": "2020-03-11"}}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("MRN-1,carcinoid\nMRN-2,carcinoid\n", ""),
        ("id,diagnosis\n1,carcinoid\n", ""),
        ("subject,patient_id,diagnosis\n1,1,carcinoid\n", ""),
        ("subject,diagnosis,diagnosis\n1,carcinoid,carcinoid\n", ""),
        ("subject,height\n1,2\n", ""),
        ("subject,diagnosis\n1,carcinoid\n", "case"),
    ],
)
def test_a_table_without_usable_columns_is_refused_without_repeating_it(
    clinic: Clinic, table: str, key: str
) -> None:
    with pytest.raises(Refusal) as caught:
        clinic.load(table, key)
    assert caught.value.code == "table-refused"
    assert "MRN" not in str(caught.value)


def test_the_key_column_can_be_named(clinic: Clinic) -> None:
    assert clinic.load("Case ID,diagnosis\nSUBJ-A,carcinoid\n", "case_id").new == 1


def test_more_than_one_batch(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "BATCH", 3)
    table = "subject,diagnosis,age\n" + "".join(
        f"SUBJ-{n},carcinoid,{n % 95}\n" for n in range(100)
    )
    report = clinic.load(table)
    assert (report.rows, report.new, report.rejected) == (100, 96, 4)
    again = clinic.load(table)
    assert (again.unchanged, again.rejected) == (96, 4)


def test_reports_are_bounded_and_counts_are_not(clinic: Clinic) -> None:
    table = "subject,diagnosis\n" + "".join(f"SUBJ-{n},x\n" for n in range(1200))
    report = clinic.load(table)
    assert (len(report.errors), report.error_count, report.rejected) == (1000, 1200, 1200)


def test_forms_have_versions_and_records_keep_theirs(clinic: Clinic) -> None:
    clinic.load("subject,diagnosis,age\nSUBJ-A,carcinoid,50\nSUBJ-B,adenocarcinoma,60\n")
    same = clinic.service.define_form(clinic.steward, "LUNG", as_bytes(EVERY_TYPE))
    assert same.version == 1
    narrower = {**EVERY_TYPE, "properties": {**EVERY_TYPE["properties"]}}
    narrower["properties"]["age"] = {"type": "integer", "title": "Age", "maximum": 55}
    assert clinic.service.define_form(clinic.steward, "LUNG", as_bytes(narrower)).version == 2
    assert clinic.service.form(clinic.steward, "LUNG", 1).digest == same.digest
    report = clinic.load("subject,ecog\nSUBJ-A,1\nSUBJ-B,1\n")
    assert (report.updated, places(report.errors)) == (1, [(3, "age")])
    page = clinic.service.records(clinic.steward, "LUNG", PageRequest())
    assert {r.subject: r.form_version for r in page.items} == {"SUBJ-A": 2, "SUBJ-B": 1}


def test_the_order_of_the_variables_is_kept(clinic: Clinic) -> None:
    names = [v.name for v in clinic.service.form(clinic.steward, "LUNG").variables]
    assert names == list(EVERY_TYPE["properties"])


def test_records_come_in_pages(clinic: Clinic) -> None:
    clinic.load("subject,diagnosis\n" + "".join(f"SUBJ-{n},carcinoid\n" for n in range(5)))
    first = clinic.service.records(clinic.steward, "LUNG", PageRequest(None, 3))
    second = clinic.service.records(clinic.steward, "LUNG", PageRequest(first.next_after, 3))
    assert [r.subject for r in (*first.items, *second.items)] == [f"SUBJ-{n}" for n in range(5)]
    assert second.next_after is None


def test_completeness_and_facts_are_counted_by_sql(clinic: Clinic) -> None:
    clinic.load(
        "subject,diagnosis,age\nSUBJ-A,carcinoid,50\nSUBJ-B,carcinoid,\nSUBJ-C,adenocarcinoma,1\n"
    )
    complete = {
        c.variable: (c.filled, c.records)
        for c in clinic.service.completeness(clinic.steward, "LUNG")
    }
    assert complete["diagnosis"] == (3, 3)
    assert complete["age"] == (2, 3)
    assert complete["dose"] == (0, 3)
    table = records.clinical_records
    some = sa.select(table.c.subject_name).where(table.c.subject_name != "SUBJ-B")
    with clinic.database.read() as connection:
        assert diagnoses_of(connection, clinic.project_id, some) == {
            "Carcinoid tumour": 1,
            "adenocarcinoma": 1,
        }
        assert counts_of(connection, clinic.project_id, "age", some) == {"1": 1, "50": 1}
        names = [r.subject for r in records_of(connection, clinic.project_id, some)]
        assert names == ["SUBJ-A", "SUBJ-C"]
        values = records.clinical_values
        over = sa.select(values.c.subject_name).where(
            values.c.variable == "age", values.c.number_value > 10
        )
        assert list(connection.scalars(over)) == ["SUBJ-A"]
    form = clinic.service.form(clinic.steward, "LUNG")
    assert data_dictionary(form)[0]["code"] == {"system": "http://loinc.org", "code": "31205-8"}


def test_events_hold_counts_and_digests_only(clinic: Clinic) -> None:
    clinic.load("subject,diagnosis,note\nSUBJ-A,carcinoid,remark\nSUBJ-B,x,remark\n")
    told = [row for row in clinic.table(events) if "clinical" in repr(row)]
    text = repr(told)
    assert "clinical.form-defined" in text
    assert "clinical.records-written" in text
    assert "clinical.table-loaded" in text
    assert not any(word in text for word in ("SUBJ-", "carcinoid", "remark"))


def test_another_project_sees_and_does_nothing(clinic: Clinic) -> None:
    clinic.load("subject,diagnosis\nSUBJ-A,carcinoid\n")
    service, stranger = clinic.service, clinic.stranger
    attempts = (
        lambda: service.form(stranger, "LUNG"),
        lambda: service.records(stranger, "LUNG", PageRequest()),
        lambda: service.completeness(stranger, "LUNG"),
        lambda: service.allowed(stranger, "LUNG"),
        lambda: service.define_form(stranger, "LUNG", as_bytes(EVERY_TYPE)),
        lambda: clinic.load("subject,diagnosis\nSUBJ-A,carcinoid\n", actor=stranger),
    )
    for attempt in attempts:
        with pytest.raises(Refusal) as caught:
            attempt()
        assert caught.value.code == "project-not-found"


def test_a_researcher_reads_the_form_and_no_record(clinic: Clinic) -> None:
    assert clinic.service.form(clinic.researcher, "LUNG").version == 1
    assert clinic.service.allowed(clinic.researcher, "LUNG") == ("view-form",)
    for attempt in (
        lambda: clinic.service.records(clinic.researcher, "LUNG", PageRequest()),
        lambda: clinic.load("subject,diagnosis\nSUBJ-A,carcinoid\n", actor=clinic.researcher),
        lambda: clinic.service.define_form(clinic.researcher, "LUNG", as_bytes(EVERY_TYPE)),
    ):
        with pytest.raises(Refusal) as caught:
            attempt()
        assert caught.value.code == "forbidden"


def test_a_project_without_form_takes_no_table(clinic: Clinic) -> None:
    with pytest.raises(Refusal) as caught:
        clinic.service.load(clinic.stranger, "BREAST", io.BytesIO(b"subject,a\n"))
    assert caught.value.code == "form-not-found"


HEADER = b"subject,diagnosis,age,dose,smoker,ecog,seen,moved,note\n"
WORDS = st.sampled_from(
    ["SUBJ-A", "x", "carcinoid", "50", "1.5", "true", "2020-01-01", "", ",", '"', "\n", "\0", "é"]
)


@given(st.binary(max_size=200) | st.lists(WORDS, max_size=60).map(lambda w: ",".join(w).encode()))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_give_a_report(clinic: Clinic, content: bytes) -> None:
    report = clinic.load(HEADER + content)
    parts = report.new + report.updated + report.unchanged + report.rejected
    assert report.rows == parts
    assert report.rejected <= report.error_count
