"""The adapters between domains: names by the project's key, the lake's subjects, clinical facts."""

import io
from pathlib import Path

import sqlalchemy as sa

from albufera.bootstrap.adapters import ClinicalOfSubjects, KeyedSubjectNames, LakeSubjects
from albufera.clinical.forms import demonstration_form
from albufera.clinical.records import clinical_records
from albufera.governance.model import Role
from albufera.ingest.deidentify.keys import ProjectKey
from tests.catalogue.lakes import cohort, fill
from tests.nodes import town

TABLE = b"""patient_id,age_at_diagnosis,sex,diagnosis,ecog
MRN-1,50,male,carcinoid,0
MRN-2,60,female,carcinoid,
MRN-3,70,female,adenocarcinoma,1
"""


def test_names_are_those_that_images_get(tmp_path: Path) -> None:
    with town(tmp_path / "home") as made:
        project = made.node.projects.show(made.operator, "LUNG").project_id
        names, key = (
            KeyedSubjectNames(made.node.home),
            ProjectKey(made.node.home.project_secret(project)),
        )
        assert names.pseudonym(project, " MRN-1 ") == key.pseudonym("MRN-1")
        assert names.day_shift(project, "MRN-1") == key.day_shift("MRN-1")
        assert names.is_pseudonym(key.pseudonym("MRN-1"))
        assert not any(names.is_pseudonym(text) for text in ("MRN-1", "SUBJ-1", "", "SUBJ-0" * 9))


def test_the_lake_tells_its_subjects_however_many_are_asked_for(tmp_path: Path) -> None:
    with town(tmp_path / "home") as made:
        fill(made.node, "LUNG", cohort(3))
        wanted = [f"SUBJ-{n:03d}" for n in range(1200)]
        with made.node.database.read() as connection:
            project = made.node.projects.show(made.operator, "LUNG").project_id
            other = made.node.projects.show(made.operator, "BREAST").project_id
            known = LakeSubjects().known(connection, project, wanted)
            assert known == {"SUBJ-000", "SUBJ-001", "SUBJ-002"}
            assert LakeSubjects().known(connection, other, wanted) == set()


def test_clinical_facts_of_the_subjects_asked_for(tmp_path: Path) -> None:
    facts = ClinicalOfSubjects()
    with town(tmp_path / "home") as made:
        steward = made.people["LUNG", Role.STEWARD]
        project = made.node.projects.show(made.operator, "LUNG").project_id
        names = sa.select(clinical_records.c.subject_name)
        with made.node.database.read() as connection:
            assert facts.data_dictionary(connection, project) == []
            assert list(facts.flattened(connection, project, names)) == []
        made.node.clinical.define_form(steward, "LUNG", demonstration_form())
        made.node.clinical.load(steward, "LUNG", io.BytesIO(TABLE))
        absent = made.node.clinical.names.pseudonym(project, "MRN-3")
        some = names.where(clinical_records.c.subject_name != absent)
        with made.node.database.read() as connection:
            columns = facts.data_dictionary(connection, project)
            assert [column.name for column in columns][:3] == [
                "diagnosis",
                "sex",
                "age_at_diagnosis",
            ]
            assert columns[0].type == "text"
            assert columns[0].values is not None
            assert columns[0].values["carcinoid"] == "Carcinoid tumour"
            rows = list(facts.flattened(connection, project, some))
            assert [name for name, _ in rows] == sorted(name for name, _ in rows)
            assert list(rows[0][1])[:3] == ["diagnosis", "sex", "age_at_diagnosis"]
            assert absent not in dict(facts.eforms(connection, project, some))
            assert facts.diagnoses(connection, project, some) == [("Carcinoid tumour", 2)]
            assert facts.diagnoses(connection, project, names) == [
                ("Carcinoid tumour", 2),
                ("Adenocarcinoma", 1),
            ]
