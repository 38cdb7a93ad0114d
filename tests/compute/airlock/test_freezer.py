"""Frozen copies: exactly the chosen files, and nothing from elsewhere."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from albufera.compute.airlock.freezer import Altered, Freezer
from albufera.compute.airlock.model import MAX_FILES
from albufera.kernel.errors import Refusal
from tests.compute.airlock.samples import DICOM

LIMIT = 1024 * 1024


@pytest.fixture
def freezer(tmp_path: Path) -> Freezer:
    (tmp_path / "airlock").mkdir()
    return Freezer(tmp_path / "airlock", LIMIT)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    (folder / "tables").mkdir(parents=True)
    (folder / "report.txt").write_text("0.93")
    (folder / "tables" / "a.csv").write_text("x,y\n1,2\n")
    (folder / "tables" / "b.csv").write_text("x,y\n3,4\n")
    (tmp_path / "secret").write_text("the patient's name")
    return folder


def frozen(freezer: Freezer, outputs: Path, *paths: str) -> list[str]:
    return [file.path for file in freezer.freeze("eg-1", outputs, paths)]


def refused(freezer: Freezer, outputs: Path, *paths: str) -> str:
    with pytest.raises(Refusal) as refusal:
        freezer.freeze("eg-1", outputs, paths)
    assert list(freezer.root.iterdir()) == []
    return refusal.value.code


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["report.txt"], ["report.txt"]),
        (["/outputs/report.txt"], ["report.txt"]),
        (["./report.txt", "report.txt", ".//report.txt"], ["report.txt"]),
        (["tables"], ["tables/a.csv", "tables/b.csv"]),
        (["tables/", "tables/a.csv"], ["tables/a.csv", "tables/b.csv"]),
        (["/outputs/tables/"], ["tables/a.csv", "tables/b.csv"]),
        (["."], ["report.txt", "tables/a.csv", "tables/b.csv"]),
        (["/outputs"], ["report.txt", "tables/a.csv", "tables/b.csv"]),
    ],
)
def test_files_and_folders_are_named_as_people_name_them(
    freezer: Freezer, outputs: Path, paths: list[str], wanted: list[str]
) -> None:
    assert frozen(freezer, outputs, *paths) == wanted


def test_a_frozen_file_is_what_was_there_whatever_happens_later(
    freezer: Freezer, outputs: Path
) -> None:
    (file,) = freezer.freeze("eg-1", outputs, ["report.txt"])
    with (outputs / "report.txt").open("r+") as same_file:
        same_file.write("9.99")
    assert freezer.path("eg-1", file).read_text() == "0.93"
    (outputs / "report.txt").unlink()
    assert b"".join(freezer.read("eg-1", file)) == b"0.93"
    assert (file.size, file.sha256) == (4, hashlib.sha256(b"0.93").hexdigest())
    assert stat.S_IMODE(freezer.path("eg-1", file).stat().st_mode) == 0o400


def test_a_frozen_file_that_was_changed_does_not_leave(freezer: Freezer, outputs: Path) -> None:
    (file,) = freezer.freeze("eg-1", outputs, ["report.txt"])
    path = freezer.path("eg-1", file)
    path.chmod(0o600)
    path.write_text("9.99")
    with pytest.raises(Altered):
        list(freezer.read("eg-1", file))


def test_two_files_of_one_content_are_two_files(freezer: Freezer, outputs: Path) -> None:
    (outputs / "same.txt").write_text("0.93")
    files = freezer.freeze("eg-1", outputs, ["report.txt", "same.txt"])
    assert [file.path for file in files] == ["report.txt", "same.txt"]
    assert [b"".join(freezer.read("eg-1", file)) for file in files] == [b"0.93"] * 2


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nothing", "not-found"),
        ("../secret", "invalid-input"),
        ("tables/../../secret", "invalid-input"),
        ("/etc/passwd", "invalid-input"),
        ("/outputs/../secret", "invalid-input"),
        ("/outputs//etc/passwd", "invalid-input"),
        ("//outputs/report.txt", "invalid-input"),
        ("a\0b", "invalid-input"),
        ("a\nb", "invalid-input"),
        ("\udcff", "invalid-input"),
        ("x" * 300, "not-found"),
        ("x/" * 4000 + "x", "not-found"),
        ("empty", "not-found"),
    ],
)
def test_what_is_not_a_file_of_the_outputs_is_refused(
    freezer: Freezer, outputs: Path, path: str, code: str
) -> None:
    (outputs / "empty").mkdir()
    assert refused(freezer, outputs, path) == code


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "..", "/", "report.txt"])
def test_a_link_never_leaves(freezer: Freezer, outputs: Path, target: str) -> None:
    (outputs / "link").symlink_to(target)
    assert refused(freezer, outputs, "link") == "not-found"
    assert refused(freezer, outputs, "link/secret") == "not-found"
    assert "link" not in frozen(freezer, outputs, ".")


def test_a_file_swapped_for_a_link_after_it_was_chosen(
    freezer: Freezer, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = freezer._choose

    def choose(*arguments: object) -> object:
        chosen = real(*arguments)  # type: ignore[arg-type]
        (outputs / "report.txt").unlink()
        (outputs / "report.txt").symlink_to(tmp_path / "secret")
        return chosen

    monkeypatch.setattr(freezer, "_choose", choose)
    assert refused(freezer, outputs, "report.txt") == "not-found"


def test_a_folder_swapped_for_a_link_after_it_was_chosen(
    freezer: Freezer, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "a.csv").write_text("pixels")
    real = freezer._choose

    def choose(*arguments: object) -> object:
        chosen = real(*arguments)  # type: ignore[arg-type]
        (outputs / "tables").rename(tmp_path / "moved")
        (outputs / "tables").symlink_to(tmp_path / "lake")
        return chosen

    monkeypatch.setattr(freezer, "_choose", choose)
    assert refused(freezer, outputs, "tables") == "not-found"


def test_a_hard_link_to_a_file_elsewhere_never_leaves(
    freezer: Freezer, outputs: Path, tmp_path: Path
) -> None:
    os.link(tmp_path / "secret", outputs / "mine.txt")
    assert refused(freezer, outputs, "mine.txt") == "unfit-file"
    assert refused(freezer, outputs, ".") == "unfit-file"


def test_pipes_are_not_waited_for(freezer: Freezer, outputs: Path) -> None:
    os.mkfifo(outputs / "pipe")
    assert refused(freezer, outputs, "pipe") == "not-found"
    assert "pipe" not in frozen(freezer, outputs, ".")


@pytest.mark.parametrize("name", [b"a\nb.txt", b"\xff.txt", b"\x1b[2J", "a\u202eb".encode()])
def test_names_that_a_reviewer_could_not_read_stay(
    freezer: Freezer, outputs: Path, name: bytes
) -> None:
    Path(os.fsdecode(os.fsencode(outputs / "tables") + b"/" + name)).write_text("")
    assert refused(freezer, outputs, "tables") == "unfit-file"
    assert refused(freezer, outputs, "tables/" + os.fsdecode(name)) == "invalid-input"
    assert frozen(freezer, outputs, "report.txt") == ["report.txt"]


def test_the_number_of_files_is_bounded(freezer: Freezer, outputs: Path) -> None:
    (outputs / "many").mkdir()
    for n in range(MAX_FILES):
        (outputs / "many" / str(n)).write_text("")
    assert len(frozen(freezer, outputs, "many")) == MAX_FILES
    freezer.discard("eg-1")
    assert refused(freezer, outputs, "many", "report.txt") == "egress-too-large"


def test_the_size_is_bounded_also_for_files_with_holes(freezer: Freezer, outputs: Path) -> None:
    for name, size in (("a", LIMIT // 2), ("b", LIMIT // 2 + 1), ("hole", 2**40)):
        with (outputs / name).open("wb") as file:
            file.truncate(size)
    assert refused(freezer, outputs, "a", "b") == "egress-too-large"
    assert refused(freezer, outputs, "hole") == "egress-too-large"
    assert frozen(freezer, outputs, "a") == ["a"]


def test_a_file_that_grows_while_it_is_copied_is_cut_off(
    freezer: Freezer, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = freezer._choose

    def choose(*arguments: object) -> object:
        chosen = real(*arguments)  # type: ignore[arg-type]
        with (outputs / "report.txt").open("ab") as file:
            file.truncate(2**40)
        return chosen

    monkeypatch.setattr(freezer, "_choose", choose)
    assert refused(freezer, outputs, "report.txt") == "egress-too-large"


def test_a_folder_that_cannot_be_listed_whole_is_refused(freezer: Freezer, outputs: Path) -> None:
    deep = outputs.joinpath("deep", *["d"] * 40)
    deep.mkdir(parents=True)
    assert refused(freezer, outputs, ".") == "egress-too-large"


def test_findings_go_with_the_files(freezer: Freezer, outputs: Path) -> None:
    (outputs / "report.txt").write_bytes(DICOM)
    (file,) = freezer.freeze("eg-1", outputs, ["report.txt"])
    assert (file.kind, [finding.code for finding in file.findings]) == ("dicom", ["is-dicom"])
