"""Fixtures that every test may use: databases, a wired node, and the parts that must be there."""

import fcntl
import importlib
import os
import pkgutil
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

import albufera
from albufera.kernel.database import Database
from tests.databases import database_url, new_sqlite, postgres_template

hypothesis.settings.register_profile("albufera", deadline=None, print_blob=True)
hypothesis.settings.load_profile("albufera")

RUN = "ALBUFERA_TEST_RUN"
ON_CI = os.environ.get("CI") == "true"
REAL_IMAGES = Path(
    os.environ.get("ALBUFERA_REAL_IMAGES")
    or Path(__file__).parents[2] / "shared" / "data" / "dicom"
)

for _module in pkgutil.walk_packages(albufera.__path__, "albufera."):
    if _module.name.rpartition(".")[2] in {"records", "outbox", "idempotency"}:
        importlib.import_module(_module.name)


def missing(what: str) -> None:
    """Skip a test whose component is missing; on CI that is a failure."""
    if ON_CI:
        pytest.fail(f"{what} is missing, and on CI it must be there")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def real_images() -> Path:
    """The folder of real images, where it is present."""
    if not REAL_IMAGES.is_dir():
        pytest.skip("the folder of real images is not present")
    return REAL_IMAGES


def _postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _as_ordinary_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as the account `postgres`."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """URL of a PostgreSQL server: `ALBUFERA_TEST_POSTGRES`, or one of our own for this run.

    Parallel workers share the one that the first of them starts; the run's end stops it.
    """
    given = os.environ.get("ALBUFERA_TEST_POSTGRES")
    if given:
        return given
    programs = _postgres_programs()
    if programs is None:
        missing("PostgreSQL")
        return ""
    folder = _server_folder()
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "started").exists():
            _start_postgres(programs, folder)
    return f"postgresql+psycopg://albufera@/postgres?host={folder}"


def pytest_configure(config: pytest.Config) -> None:
    """Name this run; parallel workers inherit the name."""
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = uuid.uuid4().hex[:12]


def _server_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"albufera-pg-{os.environ[RUN]}"


def _start_postgres(programs: Path, folder: Path) -> None:
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data, log = str(folder / "data"), str(folder / "log")
    init = [str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "albufera", "-E", "UTF8"]
    options = (
        f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off "
        "-c max_connections=300"
    )
    start = [str(programs / "pg_ctl"), "-D", data, "-o", options, "-w", "-t", "120", "-l", log]
    for command in ([*init, "--no-sync"], [*start, "start"]):
        subprocess.run(_as_ordinary_user(command), check=True, cwd="/", stdout=subprocess.DEVNULL)
    (folder / "started").write_text(str(programs))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the server of this run, when the process that began the run ends it."""
    folder = _server_folder()
    started = folder / "started"
    if hasattr(session.config, "workerinput") or not started.exists():
        return
    stop = [str(Path(started.read_text()) / "pg_ctl"), "-D", str(folder / "data")]
    command = _as_ordinary_user([*stop, "-m", "immediate", "stop"])
    subprocess.run(command, check=False, cwd="/", stdout=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)
    (folder.parent / f"{folder.name}.lock").unlink(missing_ok=True)


_counter = iter(range(1_000_000))


@contextmanager
def _postgres_database(server: str, template: str) -> Iterator[str]:
    name = f"t{os.getpid()}_{next(_counter)}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield database_url(server, name)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database."""
    with _postgres_database(postgres_server, "template0") as url:
        yield url


@pytest.fixture
def postgres_with_tables(postgres_server: str) -> Iterator[str]:
    """URL of a fresh PostgreSQL database with all tables, empty."""
    with _postgres_database(postgres_server, postgres_template(postgres_server)) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with all tables, empty: every test that takes it runs on both kinds."""
    if request.param == "sqlite":
        url = new_sqlite(tmp_path / "test.sqlite")
    else:
        url = request.getfixturevalue("postgres_with_tables")
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """An embedded database with all tables, for tests that are not about SQL."""
    database = Database(new_sqlite(tmp_path / "test.sqlite"))
    yield database
    database.close()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget the settings of whoever runs the tests."""

    def clean() -> None:
        for name in list(os.environ):
            if name.startswith("ALBUFERA_") and name not in {"ALBUFERA_REAL_IMAGES", RUN}:
                monkeypatch.delenv(name)

    clean()
    return clean
