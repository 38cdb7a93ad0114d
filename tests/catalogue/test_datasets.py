"""The life of datasets: drafts, versions, release, publication, invalidation, and who may."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from albufera.catalogue.builder import BUILD
from albufera.catalogue.lifecycle import MINT, TOMBSTONE
from albufera.catalogue.manifest import verify_manifest
from albufera.catalogue.model import (
    DATASET_LIFE,
    Dataset,
    DatasetState,
    ManifestDigest,
    Properties,
)
from albufera.catalogue.query.language import parse
from albufera.catalogue.records import dataset_series, datasets
from albufera.catalogue.selection import read_study_list, study_list
from albufera.catalogue.service import DatasetFilter
from albufera.governance.access import Terms
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS, SYSTEM, Actor
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import TaskQueue, TaskState, events, tasks
from albufera.kernel.pages import PageRequest
from albufera.kernel.policy import Columns
from albufera.kernel.unit_of_work import unit_of_work
from albufera.lake.backends.filesystem import FileSystemStore
from albufera.lake.layout import InstanceKey
from albufera.lake.records import series, studies
from tests.catalogue.lakes import Scan, cohort, fill, grow
from tests.nodes import Town, town

CT = "modality = CT"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as place:
        fill(place.node, "LUNG", cohort())
        fill(place.node, "BREAST", [Scan(subject="SUBJ-Z", study="2.25.9", uid="2.25.9.1")])
        yield place


def steward(place: Town, code: str = "LUNG") -> Actor:
    return place.people[code, Role.STEWARD]


def draft(place: Town, where: str = CT, name: str = "Lung CT") -> Dataset:
    made = place.node.drafts.create(steward(place), "LUNG", Properties(name), parse(where))
    assert made.state is DatasetState.CREATING
    place.drain()
    return shown(place, made.dataset_id)


def shown(place: Town, dataset_id: str) -> Dataset:
    return place.node.catalogue.show(steward(place), dataset_id).dataset


def released(place: Town, where: str = CT) -> Dataset:
    return place.node.lifecycle.release(steward(place), draft(place, where).dataset_id)


def manifest_of(place: Town, dataset: Dataset) -> bytes:
    _, stream = place.node.catalogue.manifest(steward(place), dataset.dataset_id)
    with stream:
        return stream.read()


def digest_of(dataset: Dataset) -> ManifestDigest:
    assert dataset.manifest is not None
    return dataset.manifest


def recorded(place: Town) -> list[str]:
    with place.node.database.read() as connection:
        query = sa.select(events.c.verb).order_by(events.c.sequence)
        return [v for v in connection.scalars(query) if v.startswith("dataset.")]


def task_states(place: Town, kind: str) -> list[str]:
    with place.node.database.read() as connection:
        return list(connection.scalars(sa.select(tasks.c.state).where(tasks.c.kind == kind)))


def test_a_draft_holds_what_its_filter_selects(place: Town) -> None:
    dataset = draft(place)
    assert dataset.state is DatasetState.READY
    assert (dataset.counts.subjects, dataset.counts.series, dataset.counts.images) == (8, 8, 24)
    document = json.loads(manifest_of(place, dataset))
    assert len(document["files"]) == 24
    assert document["root"] == digest_of(dataset).root
    assert document["totals"]["bytes"] == dataset.counts.byte_count
    assert document["dataset"] == {"id": dataset.dataset_id, "version": 1}
    assert all(file["path"].count("/") == 3 for file in document["files"])
    assert recorded(place) == ["dataset.created", "dataset.built"]


def test_aggregated_metadata_agree_with_the_lake(place: Town) -> None:
    told = place.node.catalogue.show(steward(place), draft(place, "all").dataset_id).aggregate
    assert (told["subjects"], told["series"], told["images"]) == (8, 16, 40)
    assert {v["value"]: v["subjects"] for v in told["sex"]} == {"F": 4, "M": 4}
    assert {v["value"]: v["series"] for v in told["modality"]} == {"CT": 8, "MR": 5, "PT": 3}
    assert (told["age"]["min"], told["age"]["max"]) == (35, 84)
    assert sum(band["subjects"] for band in told["age"]["bands"]) == 8
    assert sum(v["studies"] for v in told["year"]) == 8


def test_a_filter_never_reaches_another_project(place: Town) -> None:
    dataset = draft(place, "collection = main")
    with place.node.database.read() as connection:
        held = dataset_series.c.series_id == series.c.series_id
        projects = set(
            connection.scalars(sa.select(series.c.project_id).join(dataset_series, held))
        )
    assert projects == {dataset.project_id}
    with pytest.raises(Refusal) as caught:
        draft(place, "project = BREAST")
    assert caught.value.code == "nothing-selected"


def test_a_list_names_studies_by_id_or_uid_and_unknown_ones_are_reported(place: Town) -> None:
    with place.node.database.read() as connection:
        study_id = connection.scalar(
            sa.select(studies.c.study_id).where(studies.c.study_uid == "2.25.1001")
        )
    assert study_id is not None
    wanted = read_study_list(
        f"# two studies\nstudy_uid,note\n2.25.1000,x\n{study_id},y\n2.25.1000,z"
    )
    made = place.node.drafts.create(steward(place), "LUNG", Properties("Two"), wanted)
    place.drain()
    dataset = shown(place, made.dataset_id)
    assert (dataset.counts.studies, dataset.counts.series) == (2, 4)
    assert dataset.selection.study_count == 2
    # 2.25.9 exists, but in another project: unknown here
    for unknown in ("2.25.404", "2.25.9"):
        with pytest.raises(Refusal) as caught:
            place.node.drafts.create(
                steward(place), "LUNG", Properties("No"), study_list(["2.25.1000", unknown])
            )
        assert caught.value.code == "unknown-studies"
        assert unknown in caught.value.detail
        assert caught.value.facts["unknown"] == [unknown]


def test_a_study_list_says_what_is_wrong_with_it() -> None:
    assert read_study_list("2.25.1\n\n2.25.2\n").names == ("2.25.1", "2.25.2")
    assert read_study_list("id;x\n2.25.1").names == ("id;x", "2.25.1")
    for text in ("", "# nothing\n", "a,study\nb\n", "x" * 300, "a\x00b"):
        with pytest.raises(Refusal):
            read_study_list(text)


def test_later_instances_are_not_in_the_dataset(place: Town) -> None:
    dataset = released(place)
    before = manifest_of(place, dataset)
    grow(place.node, cohort()[0], 7)
    assert manifest_of(place, dataset) == before
    view = place.node.catalogue.view(dataset.dataset_id)
    assert len(list(view.rglob("*.dcm"))) == 24
    place.node.dataset_checks.request(steward(place), dataset.dataset_id)
    place.drain()
    verification = place.node.catalogue.show(steward(place), dataset.dataset_id).verification
    assert verification is not None
    assert verification.passed
    again = place.node.drafts.new_version(steward(place), dataset.dataset_id)
    place.drain()
    assert shown(place, again.dataset_id).counts.images == 28


def test_the_same_content_has_the_same_root_in_another_version(place: Town) -> None:
    first = released(place)
    second = place.node.drafts.new_version(steward(place), first.dataset_id)
    place.drain()
    second = shown(place, second.dataset_id)
    assert (second.version, second.previous_id) == (2, first.dataset_id)
    assert shown(place, first.dataset_id).next_id == second.dataset_id
    assert digest_of(second).root == digest_of(first).root
    assert digest_of(second).sha256 != digest_of(first).sha256
    with pytest.raises(Refusal) as caught:
        place.node.drafts.new_version(steward(place), first.dataset_id)
    assert caught.value.code == "conflict"
    versions = place.node.catalogue.show(steward(place), second.dataset_id).versions
    assert [item.version for item in versions] == [1, 2]


def test_the_whole_life(place: Town) -> None:
    dataset_id = released(place).dataset_id
    life, actor = place.node.lifecycle, steward(place)
    assert life.publish(actor, dataset_id).state is DatasetState.PUBLISHED
    assert len(task_states(place, MINT)) == 1
    gone = life.invalidate(actor, dataset_id, " Consent was withdrawn. ")
    assert (gone.state, gone.reason) == (DatasetState.INVALIDATED, "Consent was withdrawn.")
    assert len(task_states(place, TOMBSTONE)) == 1
    assert recorded(place)[-3:] == ["dataset.released", "dataset.published", "dataset.invalidated"]
    with pytest.raises(Refusal, match="invalidated"):
        place.node.catalogue.view(dataset_id)


def test_a_dataset_that_was_not_published_has_no_tombstone(place: Town) -> None:
    dataset = released(place)
    place.node.lifecycle.invalidate(steward(place), dataset.dataset_id, "A mistake.")
    assert task_states(place, TOMBSTONE) == []


@pytest.mark.parametrize("state", list(DatasetState))
@pytest.mark.parametrize(
    "verb", ["release", "publish", "invalidate", "cancel", "retry", "edit", "new-version", "verify"]
)
def test_no_verb_works_outside_its_states(place: Town, state: DatasetState, verb: str) -> None:
    dataset = draft(place)
    with place.node.database.write() as connection:
        connection.execute(datasets.update().values(state=state.value))
    node, actor, key = place.node, steward(place), dataset.dataset_id
    verbs: dict[str, Callable[[], object]] = {
        "release": lambda: node.lifecycle.release(actor, key),
        "publish": lambda: node.lifecycle.publish(actor, key),
        "invalidate": lambda: node.lifecycle.invalidate(actor, key, "why"),
        "cancel": lambda: node.drafts.cancel(actor, key),
        "retry": lambda: node.drafts.retry(actor, key),
        "edit": lambda: node.drafts.edit(actor, key, Properties("Other")),
        "new-version": lambda: node.drafts.new_version(actor, key),
        "verify": lambda: node.dataset_checks.request(actor, key),
    }
    opened = node.catalogue.show(actor, key)
    assert (verb in opened.allowed) == ((state, verb) in DATASET_LIFE.table)
    if (state, verb) in DATASET_LIFE.table:
        verbs[verb]()
        after = DATASET_LIFE.table[state, verb]
        assert node.catalogue.show(actor, key).dataset.state is after
    else:
        with pytest.raises(Refusal) as caught:
            verbs[verb]()
        assert caught.value.code == "wrong-state"
        assert node.catalogue.show(actor, key).dataset.state is state


def test_properties_are_edited_in_drafts_alone(place: Town) -> None:
    dataset = draft(place)
    told = Properties("Renamed", "More", "Why", "CC-BY-4.0", "a@b.example")
    assert place.node.drafts.edit(steward(place), dataset.dataset_id, told).properties == told
    assert place.node.catalogue.show(steward(place), dataset.dataset_id).editable
    place.node.lifecycle.release(steward(place), dataset.dataset_id)
    assert not place.node.catalogue.show(steward(place), dataset.dataset_id).editable


@pytest.mark.parametrize(
    "told",
    [
        Properties(""), Properties("   "), Properties("x" * 201), Properties("a\x00"),
        Properties("\ud800"), Properties("a", licence="any old words"),
        Properties("a", licence="javascript:alert(1)"), Properties("a", description="y" * 9000),
    ],
)  # fmt: skip
def test_properties_that_are_none_are_refused(place: Town, told: Properties) -> None:
    with pytest.raises(Refusal) as caught:
        place.node.drafts.create(steward(place), "LUNG", told, parse(CT))
    assert caught.value.code == "invalid-input"


def test_cancelling_leaves_nothing_and_retrying_makes_the_same(place: Town) -> None:
    dataset = draft(place)
    first = digest_of(dataset)
    manifests = place.node.home.manifests / dataset.dataset_id
    assert len(list(manifests.iterdir())) == 1
    cancelled = place.node.drafts.cancel(steward(place), dataset.dataset_id)
    assert (cancelled.state, cancelled.manifest) == (DatasetState.CANCELLED, None)
    assert not manifests.exists()
    with place.node.database.read() as connection:
        assert not connection.scalar(sa.select(sa.func.count()).select_from(dataset_series))
    place.node.drafts.retry(steward(place), dataset.dataset_id)
    place.drain()
    assert digest_of(shown(place, dataset.dataset_id)) == first


def test_cancelling_what_only_waits(place: Town) -> None:
    made = place.node.drafts.create(steward(place), "LUNG", Properties("No"), parse(CT))
    place.node.drafts.cancel(steward(place), made.dataset_id)
    place.drain()
    assert shown(place, made.dataset_id).state is DatasetState.CANCELLED
    assert task_states(place, BUILD) == [TaskState.CANCELLED]


def test_an_attempt_that_was_superseded_changes_nothing(place: Town) -> None:
    """A worker holds the first attempt; meanwhile it is cancelled and made again by another."""
    made = place.node.drafts.create(steward(place), "LUNG", Properties("Race"), parse(CT))
    queue = TaskQueue(place.node.database)
    stale = queue.claim("slow", [BUILD])
    assert stale is not None
    place.node.drafts.cancel(steward(place), made.dataset_id)
    place.node.drafts.retry(steward(place), made.dataset_id)
    place.drain()
    ready = shown(place, made.dataset_id)
    assert ready.state is DatasetState.READY
    handler = place.node.handlers[BUILD]
    assert handler.failed is not None
    assert handler.cancelled is not None
    handler.failed(stale, "too late")
    handler.cancelled(stale)
    handler.run(FakeContext(stale))  # type: ignore[arg-type]
    assert shown(place, made.dataset_id) == ready
    assert verify_manifest_of(place, ready) == digest_of(ready).root


class FakeContext:
    """A double of the worker's context: progress is not told to anybody."""

    def __init__(self, task: object) -> None:
        self.task = task

    def progress(self, done: int, total: int, note: str = "") -> None:
        pass


def verify_manifest_of(place: Town, dataset: Dataset) -> str:
    _, stream = place.node.catalogue.manifest(steward(place), dataset.dataset_id)
    with stream:
        return verify_manifest(stream).root


def test_a_selection_that_became_empty_fails_and_says_so(place: Town) -> None:
    made = place.node.drafts.create(steward(place), "LUNG", Properties("No"), parse(CT))
    with place.node.database.write() as connection:
        connection.execute(series.update().values(modality="XX"))
    place.drain()
    dataset = shown(place, made.dataset_id)
    assert dataset.state is DatasetState.FAILED
    assert "no series" in dataset.note
    with place.node.database.write() as connection:
        connection.execute(series.update().values(modality="CT"))
    place.node.drafts.retry(steward(place), made.dataset_id)
    place.drain()
    assert shown(place, made.dataset_id).state is DatasetState.READY


def test_the_identifier_is_set_once(place: Town) -> None:
    dataset = released(place)
    life = place.node.lifecycle
    with unit_of_work(place.node.database, SYSTEM) as work, pytest.raises(Refusal):
        life.set_pid(work, dataset.dataset_id, "albufera:x/1")
    life.publish(steward(place), dataset.dataset_id)
    for _ in range(2):
        with unit_of_work(place.node.database, SYSTEM) as work:
            life.set_pid(work, dataset.dataset_id, "albufera:x/1")
    with unit_of_work(place.node.database, SYSTEM) as work, pytest.raises(Refusal):
        life.set_pid(work, dataset.dataset_id, "albufera:x/2")
    assert shown(place, dataset.dataset_id).pid == "albufera:x/1"
    assert recorded(place).count("dataset.identified") == 1


# Verification


def instance_path(place: Town, scan: Scan, number: int) -> Path:
    with place.node.database.read() as connection:
        project_id = connection.scalar(
            sa.select(series.c.project_id).where(series.c.series_uid == scan.uid)
        )
    store = FileSystemStore(place.node.home.lake)
    return store.path(InstanceKey(str(project_id), scan.uid, f"{scan.uid}.{number}"))


def verify(place: Town, dataset: Dataset) -> dict[str, object]:
    place.node.dataset_checks.request(steward(place), dataset.dataset_id)
    place.drain()
    found = place.node.catalogue.show(steward(place), dataset.dataset_id).verification
    assert found is not None
    return {
        "passed": found.passed,
        "corrupt": found.corrupt,
        "missing": found.missing,
        "extra": found.extra,
        "paths": [problem["path"] for problem in found.problems],
    }


def test_verification_reads_every_byte_and_names_what_is_wrong(place: Town) -> None:
    dataset, scan = released(place), cohort()[0]
    assert verify(place, dataset)["passed"]
    corrupt, missing = instance_path(place, scan, 1), instance_path(place, scan, 2)
    content = corrupt.read_bytes()
    corrupt.chmod(0o600)
    corrupt.write_bytes(b"X" + content[1:])  # the same length
    missing.unlink()
    found = verify(place, dataset)
    assert (found["passed"], found["corrupt"], found["missing"]) == (False, 1, 1)
    assert [str(p).rpartition("/")[2] for p in found["paths"]] == [  # type: ignore[attr-defined]
        f"{scan.uid}.1.dcm", f"{scan.uid}.2.dcm"
    ]  # fmt: skip
    assert recorded(place).count("dataset.verified") == 2


def test_verification_sees_a_row_too_many_and_a_row_too_few(place: Town) -> None:
    dataset = released(place)
    with place.node.database.write() as connection:
        first = connection.execute(
            dataset_series.select().order_by(dataset_series.c.folder)
        ).first()
        assert first is not None
        connection.execute(
            dataset_series.update()
            .where(dataset_series.c.series_id == first.series_id)
            .values(folder="SUBJ-000/forged/series/")
        )
    found = verify(place, dataset)
    assert (found["passed"], found["missing"], found["extra"]) == (False, 3, 1)


def test_verification_sees_another_manifest(place: Town) -> None:
    dataset = released(place)
    path = next((place.node.home.manifests / dataset.dataset_id).iterdir())
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content.replace(b'"version":1', b'"version":2'))
    assert not verify(place, dataset)["passed"]
    path.unlink()
    assert not verify(place, dataset)["passed"]
    path.write_bytes(content)
    assert verify(place, dataset)["passed"]


def test_verification_looks_into_the_view(place: Town) -> None:
    dataset = released(place)
    view = place.node.catalogue.view(dataset.dataset_id)
    assert verify(place, dataset)["passed"]
    view.chmod(0o755)
    (view / "intruder.dcm").write_bytes(b"x")
    assert verify(place, dataset)["paths"] == ["intruder.dcm"]


# The view for jobs


def test_the_view_holds_exactly_the_dataset(place: Town) -> None:
    dataset = released(place)
    view = place.node.catalogue.view(dataset.dataset_id)
    files = {str(p.relative_to(view)) for p in view.rglob("*") if p.is_file()}
    listed = {file["path"] for file in json.loads(manifest_of(place, dataset))["files"]}
    documents = {
        "index.json", "eforms.json", "manifest.json", "clinical.csv", "clinical.parquet",
        "clinical.dictionary.json",
    }  # fmt: skip
    assert files == listed | documents
    assert (view / "manifest.json").read_bytes() == manifest_of(place, dataset)
    assert not any("MR" in name or "PT" in name for name in listed)
    index = json.loads((view / "index.json").read_text())
    assert len(index) == 8
    assert set(index[0]) == {"studyId", "studyName", "subjectName", "path", "series", "url"}
    for study in index:
        for item in study["series"]:
            assert (view / study["path"] / item["folderName"]).is_dir()
            assert item["tags"][0] == "CT"
    assert json.loads((view / "eforms.json").read_text()) == []
    assert (view / "clinical.csv").read_text() == "subjectName\n"
    assert all(not p.stat().st_mode & 0o222 for p in [view, *view.rglob("*")])


def test_a_view_is_built_once(place: Town) -> None:
    dataset = released(place)
    first = place.node.catalogue.view(dataset.dataset_id)
    made = first.stat().st_ino
    assert place.node.catalogue.view(dataset.dataset_id).stat().st_ino == made
    assert [p.name for p in place.node.home.views.iterdir()] == [dataset.dataset_id]


def test_a_view_of_an_incomplete_lake_is_not_built(place: Town) -> None:
    dataset = released(place)
    instance_path(place, cohort()[0], 1).unlink()
    with pytest.raises(Exception, match="holds no instance"):
        place.node.catalogue.view(dataset.dataset_id)
    assert list(place.node.home.views.iterdir()) == []


def test_drafts_have_no_view(place: Town) -> None:
    with pytest.raises(Refusal) as caught:
        place.node.catalogue.view(draft(place).dataset_id)
    assert caught.value.code == "dataset-not-usable"


# Who may see what


def names(place: Town, actor: Actor) -> set[str]:
    page = place.node.catalogue.list(actor, DatasetFilter(), PageRequest(None, 100))
    return {item.name for item in page.items}


def test_another_project_sees_nothing_before_publication(place: Town) -> None:
    dataset = released(place)
    for role in Role:
        stranger = place.people["BREAST", role]
        assert names(place, stranger) == set()
        with pytest.raises(Refusal) as caught:
            place.node.catalogue.show(stranger, dataset.dataset_id)
        assert caught.value.code == "dataset-not-found"
    assert names(place, ANONYMOUS) == set()
    place.node.lifecycle.publish(steward(place), dataset.dataset_id)
    assert names(place, ANONYMOUS) == {"Lung CT"}
    opened = place.node.catalogue.show(ANONYMOUS, dataset.dataset_id)
    assert opened.allowed == ("view",)
    for refused in (place.node.catalogue.manifest,):
        with pytest.raises(Refusal):
            refused(ANONYMOUS, dataset.dataset_id)


def test_a_researcher_sees_drafts_never_and_series_with_a_grant_alone(place: Town) -> None:
    researcher = place.people["LUNG", Role.RESEARCHER]
    dataset = draft(place)
    assert names(place, researcher) == set()
    place.node.lifecycle.release(steward(place), dataset.dataset_id)
    assert names(place, researcher) == {"Lung CT"}
    page = PageRequest(None, 100)
    with pytest.raises(Refusal) as caught:
        place.node.catalogue.series(researcher, dataset.dataset_id, page)
    assert caught.value.code == "forbidden"
    assert visible_series(place, researcher) == set()
    member = place.people["LUNG", Role.COMMITTEE_MEMBER]
    grant = place.node.access.grant(member, dataset.dataset_id, "lung.researcher", Terms())
    held = place.node.catalogue.series(researcher, dataset.dataset_id, page).items
    assert {item.modality for item in held} == {"CT"}
    # exactly the dataset: not the neighbouring series of the same studies
    assert visible_series(place, researcher) == {item.series_id for item in held}
    place.node.access.revoke(member, grant.grant_id)
    assert visible_series(place, researcher) == set()


def test_invalidation_ends_what_a_grant_reaches(place: Town) -> None:
    researcher = place.people["LUNG", Role.RESEARCHER]
    dataset = released(place)
    member = place.people["LUNG", Role.COMMITTEE_MEMBER]
    place.node.access.grant(member, dataset.dataset_id, "lung.researcher", Terms())
    assert len(visible_series(place, researcher)) == 8
    place.node.lifecycle.invalidate(steward(place), dataset.dataset_id, "Withdrawn.")
    assert visible_series(place, researcher) == set()


def test_a_grant_does_not_reach_what_a_series_grew_by_since(place: Town) -> None:
    researcher = place.people["LUNG", Role.RESEARCHER]
    dataset = released(place)
    member = place.people["LUNG", Role.COMMITTEE_MEMBER]
    place.node.access.grant(member, dataset.dataset_id, "lung.researcher", Terms())
    before = visible_series(place, researcher)
    grown = next(scan for scan in cohort() if scan.modality == "CT")
    grow(place.node, grown, grown.images + 2)
    after = visible_series(place, researcher)
    assert len(after) == len(before) - 1
    assert after < before


def visible_series(place: Town, actor: Actor) -> set[str]:
    columns = Columns(id=series.c.series_id, project_id=series.c.project_id)
    condition = place.node.policy.which(actor, "series.view", columns)
    with place.node.database.read() as connection:
        return set(connection.scalars(sa.select(series.c.series_id).where(condition)))


def test_counts_and_facets_stay_within_ones_projects(place: Town) -> None:
    for code, wanted in (("LUNG", 16), ("BREAST", 1)):
        for role in Role:
            found = place.node.cohorts.explore(place.people[code, role], parse("all"), {})
            assert found.counts.series == wanted
            assert [v.value for v in found.facets["project"]] == [code]
    assert place.node.cohorts.count(ANONYMOUS, parse("all")).series == 0
    assert place.node.cohorts.count(place.operator, parse("all")).series == 17


def test_a_facets_own_choice_does_not_narrow_its_counts(place: Town) -> None:
    chosen = {"modality": ["CT"], "age_band": ["30", "40"]}
    found = place.node.cohorts.explore(steward(place), parse("all"), chosen)
    assert {v.value for v in found.facets["modality"]} == {"CT", "MR", "PT"}
    assert found.counts.series == 3
    assert {v.value for v in found.facets["age_band"]} == {"30", "40", "50", "60", "70", "80"}
    for wrong in ({"year": ["now"]}, {"age_band": ["-1"]}, {"modality": ["\x00"]}):
        with pytest.raises(Refusal):
            place.node.cohorts.explore(steward(place), parse("all"), wrong)


def test_lists_are_keyset_pages(place: Town) -> None:
    for number in range(5):
        place.node.drafts.create(steward(place), "LUNG", Properties(f"D{number}"), parse(CT))
    seen: list[str] = []
    after: str | None = None
    while True:
        page = place.node.catalogue.list(steward(place), DatasetFilter(), PageRequest(after, 2))
        seen += [item.name for item in page.items]
        after = page.next_after
        if after is None:
            break
    assert seen == ["D4", "D3", "D2", "D1", "D0"]
    text = DatasetFilter(text="d3")
    assert [
        d.name for d in place.node.catalogue.list(steward(place), text, PageRequest()).items
    ] == ["D3"]
