"""`albufera verify` and `dataset cite`: a stranger checks a citation, with no node."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner, Result

from albufera.entrypoints.cli.main import main
from albufera.entrypoints.cli.verify import _plain
from albufera.entrypoints.node_app import create_node_app
from tests.nodes import Town, town
from tests.publication.library import PROPERTIES, publish


@dataclass
class Papers:
    """A citation bundle, a copy of the dataset's folder, and the node they are of."""

    town: Town
    dataset_id: str
    bundle: Path
    folder: Path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Papers]:
    """A published dataset, its bundle and its view."""
    root = tmp_path_factory.mktemp("verify")
    with town(root / "home") as made:
        dataset_id = publish(made)
        bundle = root / "bundle.json"
        bundle.write_text(json.dumps(made.node.publication.citation(dataset_id)))
        yield Papers(made, dataset_id, bundle, made.node.catalogue.view(dataset_id))


@pytest.fixture
def papers(source: Papers, tmp_path: Path) -> Papers:
    """The same, with a folder of its own to spoil."""
    folder = tmp_path / "folder"
    shutil.copytree(source.folder, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return Papers(source.town, source.dataset_id, source.bundle, folder)


def run(*arguments: object, home: Path | None = None) -> Result:
    """Run the command with a home that is not there, unless one is given."""
    where = home or Path("/nonexistent/home")
    return CliRunner().invoke(main, ["--home", str(where), *map(str, arguments)])


def spoiled(papers: Papers) -> Path:
    return next(path for path in sorted(papers.folder.rglob("*.dcm")))


def test_a_bundle_is_verified_without_node_and_home(papers: Papers) -> None:
    result = run("verify", papers.bundle)
    assert result.exit_code == 0, result.output
    assert "Proven:" in result.output
    assert "Compare SHA256:" in result.output
    assert "give the folder" in result.output


def test_the_files_are_compared_too(papers: Papers) -> None:
    result = run("--json", "verify", papers.bundle, papers.folder)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["folder"]["files"] == 100
    assert found["folder"]["root"] == found["root"]


def test_a_changed_file_is_noticed(papers: Papers) -> None:
    path = spoiled(papers)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    result = run("verify", papers.bundle, papers.folder)
    assert result.exit_code == 1
    assert "1 files changed" in result.output
    assert path.name in result.output


def test_a_missing_file_is_noticed(papers: Papers) -> None:
    spoiled(papers).unlink()
    assert run("verify", papers.bundle, papers.folder).exit_code == 1


def test_an_added_file_is_noticed(papers: Papers) -> None:
    (spoiled(papers).parent / "more.dcm").write_bytes(b"x")
    assert run("verify", papers.bundle, papers.folder).exit_code == 1


def test_a_renamed_file_is_noticed(papers: Papers) -> None:
    path = spoiled(papers)
    path.rename(path.with_name("other.dcm"))
    assert run("verify", papers.bundle, papers.folder).exit_code == 1


def test_a_folder_without_or_with_another_manifest_is_refused(papers: Papers) -> None:
    manifest = papers.folder / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"version":1', '"version":2'))
    assert run("verify", papers.bundle, papers.folder).exit_code == 1
    manifest.write_text("{}")
    assert run("verify", papers.bundle, papers.folder).exit_code == 1
    manifest.unlink()
    assert run("verify", papers.bundle, papers.folder).exit_code == 1


def test_keys_can_be_pinned(papers: Papers) -> None:
    node = papers.town.node
    good = run(
        "--json", "verify", papers.bundle, "--key", node.publication.key.vkey,
        "--log-key", node.trace.key.vkey,
    )  # fmt: skip
    assert good.exit_code == 0
    assert json.loads(good.stdout)["trusted"] is True
    bad = run("verify", papers.bundle, "--key", node.trace.key.vkey)
    assert bad.exit_code == 1
    assert "citation-invalid" in bad.output


def test_a_changed_bundle_exits_with_1_and_says_why(papers: Papers, tmp_path: Path) -> None:
    changed = tmp_path / "changed.json"
    changed.write_text(papers.bundle.read_text().replace("Lung CT", "Lung MR"))
    result = run("--json", "verify", changed)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert json.loads(result.stderr)["error"]["code"] == "citation-invalid"


def test_bad_usage_exits_with_2(tmp_path: Path) -> None:
    assert run("verify").exit_code == 2
    assert run("verify", tmp_path / "none.json").exit_code == 2
    assert run("verify", tmp_path).exit_code == 2


def test_cite_prints_the_sentence_or_writes_the_bundle(papers: Papers, tmp_path: Path) -> None:
    home = papers.town.node.settings.home
    said = run("dataset", "cite", papers.dataset_id, home=home)
    assert said.exit_code == 0, said.output
    assert "[Data set]" in said.stdout
    target = tmp_path / "my.json"
    assert run("dataset", "cite", PROPERTIES.name, "--output", target, home=home).exit_code == 0
    assert run("verify", target).exit_code == 0


@pytest.fixture
def address(source: Papers) -> Iterator[str]:
    """The address at which the node is really served."""
    app = create_node_app(source.town.node)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_a_citations_address_is_enough(papers: Papers, address: str) -> None:
    identifier = papers.town.node.publication.show(papers.dataset_id).identifier
    for path in (f"id/{identifier}", f"datasets/{papers.dataset_id}?format=json"):
        result = run("verify", f"{address}/{path}", papers.folder)
        assert result.exit_code == 0, result.output
    gone = run("verify", f"{address}/id/albufera:node/none")
    assert gone.exit_code == 1
    assert "error: unavailable" in gone.output


def test_a_hostile_bundle_steers_no_terminal(papers: Papers) -> None:
    assert _plain("\x1b]0;owned\x07\u202eok") == "�]0;owned��ok"
