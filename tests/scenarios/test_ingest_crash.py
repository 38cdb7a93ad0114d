"""Ingest killed at every named point, as by kill -9, then run again: the same lake in the end.

A child process takes a folder in and dies at a point; the lake it leaves is looked at (nothing
half-admitted), then the folder is taken in again and what the index and the disk hold is compared
with an undisturbed run under the same keys.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from albufera.bootstrap.node import local_operator, open_node
from albufera.governance.model import Role
from albufera.ingest.model import IngestState
from albufera.ingest.records import ingests
from albufera.kernel.crashes import ENVIRONMENT_VARIABLE
from albufera.kernel.database import Database
from albufera.kernel.outbox import tasks
from albufera.kernel.pages import PageRequest
from albufera.lake.records import series, studies, subjects, unpack
from albufera.settings import Settings
from tests.ingest.dicoms import ct, write, write_study
from tests.nodes import Town, town

FILES = 13
ROOT = Path(__file__).parents[2]
POINTS = (
    "ingest.staged:3",
    "ingest.sealed:1",
    "ingest.sealed:5",
    "ingest.admitted:1",
    "ingest.writing:1",
    "ingest.committed:1",
    "ingest.between:1",
    "ingest.held:1",
    "ingest.finishing:1",
    "lake.written:2",
    "lake.staged:4",
    "lake.renamed:1",
    "lake.admitted:1",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, an object that is quarantined, one that conflicts, and one that is refused."""
    top = write_study(tmp_path_factory.mktemp("crash") / "in", series=2, slices=4)
    write(top / "t0" / "conflict", ct(series="0", number=0, pixels=bytes(512)))
    marked = ct(series="7")
    marked.BurnedInAnnotation = "YES"
    write(top / "t1" / "marked", marked)
    (top / "t2.txt").write_text("not DICOM")
    write_study(top / "u", patient="HC-2", study="z", slices=2)
    return top


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that every run starts from, so that all share their keys."""
    home = tmp_path_factory.mktemp("template") / "home"
    with town(home, projects=("LUNG",)):
        pass
    return home


def take_again(home: Path, folder: Path) -> None:
    """Take the folder in, in this process."""
    node = open_node(Settings(home=home))
    try:
        actor = local_operator(node).actor()
        run = node.ingests.ingest_paths(actor, "LUNG", "main", [folder], lambda done, total: None)
        assert run.state is IngestState.FINISHED
        assert run.total == FILES
    finally:
        node.close()


def take_and_die(home: Path, folder: Path, crash_at: str) -> int:
    environment = {**os.environ, "PYTHONPATH": "src", ENVIRONMENT_VARIABLE: crash_at}
    done = subprocess.run(
        [sys.executable, "-m", "tests.ingest.child", str(home), str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.returncode


def index(home: Path) -> dict[str, Any]:
    """What the database says of the lake, in UIDs and digests alone."""
    database = Database(Settings(home=home).database_url)
    with database.read() as connection:
        rows = connection.execute(sa.select(series)).all()
        known = {
            "subjects": sorted(connection.scalars(sa.select(subjects.c.name))),
            "studies": sorted(connection.scalars(sa.select(studies.c.study_uid))),
            "series": {
                row.series_uid: {
                    item.instance_uid: (item.sha256, item.size) for item in unpack(row.instances)
                }
                for row in rows
            },
            "counts": {row.series_uid: (row.instance_count, row.byte_count) for row in rows},
        }
    database.close()
    return known


def disk(home: Path) -> dict[str, str]:
    """The digests of the objects that lie in the lake, and of the originals held back."""
    found = [*(home / "lake" / "series").rglob("*.dcm"), *(home / "quarantine").rglob("*.dcm")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def assert_nothing_half_admitted(home: Path) -> None:
    """No row without its file, and every file that has a row has that row's digest."""
    held = disk(home)
    for instances in index(home)["series"].values():
        for uid, (digest, _) in instances.items():
            assert held[f"{uid}.dcm"] == digest


@pytest.fixture(scope="module")
def undisturbed(template: Path, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    home = template.parent / "undisturbed"
    shutil.copytree(template, home)
    take_again(home, folder)
    assert sum(count for count, _ in index(home)["counts"].values()) == 10
    assert len(disk(home)) == 12
    return index(home), disk(home)


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again(
    template: Path,
    folder: Path,
    undisturbed: tuple[dict[str, Any], dict[str, str]],
    tmp_path: Path,
    point: str,
) -> None:
    home = tmp_path / "home"
    shutil.copytree(template, home)
    assert take_and_die(home, folder, point) == -signal.SIGKILL
    assert_nothing_half_admitted(home)
    take_again(home, folder)
    assert_nothing_half_admitted(home)
    assert (index(home), disk(home)) == undisturbed
    assert_staging_is_swept(home)


def assert_staging_is_swept(home: Path) -> None:
    node = open_node(Settings(home=home))
    try:
        node.lake.store.sweep(0)
    finally:
        node.close()
    assert list((home / "lake" / "staging").iterdir()) == []


@pytest.mark.parametrize("point", ["ingest.admitted:1", "ingest.committed:1", "ingest.finishing:1"])
def test_a_killed_worker_takes_its_upload_up_again(
    tmp_path: Path, folder: Path, point: str
) -> None:
    """The same run goes on under another worker, and no file ends twice."""
    home = tmp_path / "home"
    with town(home, projects=("LUNG",)) as place:
        actor = place.people["LUNG", Role.STEWARD]
        spool = place.node.ingests.open_spool(actor, "LUNG", "main")
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            spool.begin(path.name)
            spool.write(path.read_bytes())
        ingest = place.node.ingests.submit(actor, spool)
        killed = subprocess.run(
            [sys.executable, "-c", _WORK, str(home)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": "src", ENVIRONMENT_VARIABLE: point},
            capture_output=True, timeout=120,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL
        assert_nothing_half_admitted(home)
        _lapse_leases(place)
        place.drain()
        ended = place.node.ingests.show(actor, ingest.ingest_id).ingest
        assert ended.state is IngestState.FINISHED
        assert ended.total == FILES
        items = place.node.ingests.items(actor, ingest.ingest_id, None, PageRequest(limit=500))
        assert len({item.ordinal for item in items.items}) == FILES
        assert sum(count for count, _ in index(home)["counts"].values()) == 10
        assert list(place.node.home.uploads.iterdir()) == []


_WORK = """
import sys
from pathlib import Path
from albufera.bootstrap.node import local_operator, open_node
from albufera.settings import Settings
open_node(Settings(home=Path(sys.argv[1]))).worker().drain()
"""


def _lapse_leases(place: Town) -> None:
    """Let half a minute of silence go by."""
    with place.node.database.write() as connection:
        past: sa.ColumnElement[object] = sa.literal_column("'2020-01-01T00:00:00.000000Z'")
        connection.execute(tasks.update().values(lease_until=past))
        connection.execute(ingests.update().values(beat_at=past))
        assert connection.scalar(sa.select(ingests.c.state)) == IngestState.RUNNING.value
