"""Fixtures that every test may use: databases, a wired node, and the parts that must be there."""

import importlib
import os
import pkgutil
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

import albufera
from albufera.kernel.database import Database, metadata

hypothesis.settings.register_profile("albufera", deadline=None, print_blob=True)
hypothesis.settings.load_profile("albufera")

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
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server for this session: `ALBUFERA_TEST_POSTGRES`, or one of our own."""
    given = os.environ.get("ALBUFERA_TEST_POSTGRES")
    if given:
        yield given
        return
    programs = _postgres_programs()
    if programs is None:
        missing("PostgreSQL")
        return
    folder = Path(tempfile.mkdtemp(prefix="albufera-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = str(folder / "data")
    init = [str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "albufera", "-E", "UTF8"]
    subprocess.run(_as_ordinary_user(init), check=True, capture_output=True, cwd="/")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    start = [str(programs / "pg_ctl"), "-D", data, "-o", options, "-w", "-l"]
    log = str(folder / "log")
    subprocess.run(_as_ordinary_user([*start, log, "start"]), check=True, cwd="/",
                   stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        yield f"postgresql+psycopg://albufera@/postgres?host={folder}"
    finally:
        stop = [str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop"]
        subprocess.run(_as_ordinary_user(stop), check=False, cwd="/", stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


_counter = iter(range(1_000_000))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database."""
    name = f"t{os.getpid()}_{next(_counter)}"
    engine = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with all tables, empty: every test that takes it runs on both kinds."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.sqlite'}"
    else:
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """An embedded database with all tables, for tests that are not about SQL."""
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget the settings of whoever runs the tests."""

    def clean() -> None:
        for name in list(os.environ):
            if name.startswith("ALBUFERA_") and name != "ALBUFERA_REAL_IMAGES":
                monkeypatch.delenv(name)

    clean()
    return clean
