"""The canonical manifest: what is written is read back, and whatever is changed is seen."""

import hashlib
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.catalogue.folder_check import Findings, names_differ, verify_folder
from albufera.catalogue.manifest import (
    Entry,
    ManifestError,
    ManifestReader,
    ManifestWriter,
    prove_file,
    verify_manifest,
)
from albufera.kernel.canonical import canonical_bytes
from albufera.kernel.errors import Refusal
from albufera.kernel.merkle import ProofError

NAMES = st.text("ab-._/é\"'", min_size=1, max_size=6)


def is_path(text: str) -> bool:
    return all(part not in ("", ".", "..") for part in text.split("/"))


PATHS = st.lists(NAMES.filter(is_path), unique=True, max_size=12)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entries_of(paths: list[str]) -> list[Entry]:
    return [Entry(p, len(p), digest_of(p)) for p in sorted(paths, key=str.encode)]


def written(entries: list[Entry]) -> bytes:
    out = io.BytesIO()
    writer = ManifestWriter(out, "ds-01", 1)
    for entry in entries:
        writer.add(entry)
    told = writer.finish()
    data = out.getvalue()
    assert (told.size, told.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


@given(PATHS)
def test_what_is_written_is_canonical_and_read_back(paths: list[str]) -> None:
    entries = entries_of(paths)
    data = written(entries)
    assert canonical_bytes(json.loads(data)) == data
    reader = ManifestReader(io.BytesIO(data))
    assert list(reader) == entries
    summary = reader.summary
    assert (summary.dataset_id, summary.version, summary.files) == ("ds-01", 1, len(entries))
    assert summary.sha256 == hashlib.sha256(data).hexdigest()


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as docs/manifest.md tells it to a stranger."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    both = naive_root(leaves[:split]) + naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + both).digest()


@given(PATHS)
def test_the_root_is_the_one_that_the_documentation_describes(paths: list[str]) -> None:
    document = json.loads(written(entries_of(paths)))
    leaves = [
        json.dumps([f["path"], f["size"], f["sha256"]], separators=(",", ":"), ensure_ascii=False)
        for f in document["files"]
    ]
    assert naive_root([leaf.encode() for leaf in leaves]).hex() == document["root"]


BASE = entries_of(["a/1.dcm", "a/2.dcm", "b/1.dcm", "b/2.dcm", "b/3.dcm"])


@pytest.mark.parametrize(
    "change",
    [
        lambda e: [Entry("a/9.dcm", e[0].size, e[0].sha256), *e[1:]],  # renamed
        lambda e: [*e[1:], Entry("c/1.dcm", e[0].size, e[0].sha256)],  # moved
        lambda e: [*e, Entry("c/1.dcm", 1, digest_of("x"))],  # added
        lambda e: e[1:],  # removed
        lambda e: [Entry(e[0].path, e[0].size + e[1].size, e[0].sha256), *e[2:]],  # merged
        lambda e: [Entry(e[0].path, e[0].size, digest_of("other")), *e[1:]],  # changed
        lambda e: [Entry(e[0].path, e[0].size + 1, e[0].sha256), *e[1:]],  # another size
        lambda e: [Entry(e[0].path, e[0].size, e[1].sha256), *e[1:]],  # exchanged
    ],
)
def test_every_kind_of_change_gives_another_root(change: object) -> None:
    changed = sorted(change(BASE), key=lambda e: e.path.encode())  # type: ignore[operator]
    assert json.loads(written(changed))["root"] != json.loads(written(BASE))["root"]


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_no_byte_of_a_manifest_can_be_changed(place: int, byte: int) -> None:
    data = bytearray(written(BASE))
    place %= len(data)
    if data[place] == byte:
        return
    data[place] = byte
    dataset_itself = data.index(b'"files"')
    if place < dataset_itself:
        return  # the dataset's id and version are bound by the manifest's SHA-256
    with pytest.raises(ManifestError):
        verify_manifest(io.BytesIO(bytes(data)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d + b" ",
        lambda d: d[:-1],
        lambda d: d[: len(d) // 2],
        lambda d: b"",
        lambda d: d.replace(b'"path"', b' "path"', 1),
        lambda d: d.replace(b"a/1.dcm", b"../a.dcm", 1),
        lambda d: d.replace(b"a/1.dcm", b"a\\/1.dcm", 1),
        lambda d: d.replace(b"a/1.dcm", b"\\u0061/1.dcm", 1),
        lambda d: d.replace(b'"files":5', b'"files":6', 1),
        lambda d: d.replace(b"manifest/1", b"manifest/2", 1),
        lambda d: json.dumps(json.loads(d), indent=1).encode(),
    ],
)
def test_what_is_not_canonical_or_contradicts_itself_is_refused(spoil: object) -> None:
    with pytest.raises(ManifestError):
        verify_manifest(io.BytesIO(spoil(written(BASE))))  # type: ignore[operator]


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/../b", "./a", "a\\b", "a\x00", "a\nb", "a/"])
def test_paths_that_leave_the_folder_are_not_written(path: str) -> None:
    with pytest.raises(ManifestError):
        ManifestWriter(io.BytesIO(), "ds-01", 1).add(Entry(path, 1, "0" * 64))


def test_entries_out_of_order_are_not_written() -> None:
    writer = ManifestWriter(io.BytesIO(), "ds-01", 1)
    writer.add(Entry("b", 1, "0" * 64))
    for path in ("a", "b"):
        with pytest.raises(ManifestError, match="out of order"):
            writer.add(Entry(path, 1, "0" * 64))


@given(st.integers(1, 40), st.data())
def test_one_file_is_proved_by_the_root_alone(count: int, data: st.DataObject) -> None:
    entries = entries_of([f"s/{n:03d}.dcm" for n in range(count)])
    manifest = written(entries)
    wanted = entries[data.draw(st.integers(0, count - 1))]
    proof = prove_file(lambda: io.BytesIO(manifest), wanted.path)
    assert proof.root == json.loads(manifest)["root"]
    proof.verify()
    forged = type(proof)(
        Entry(wanted.path, wanted.size + 1, wanted.sha256),
        proof.index, proof.files, proof.root, proof.path,
    )  # fmt: skip
    with pytest.raises(ProofError):
        forged.verify()


def test_a_file_that_is_not_listed_has_no_proof() -> None:
    manifest = written(BASE)
    with pytest.raises(Refusal, match="no file"):
        prove_file(lambda: io.BytesIO(manifest), "a/3.dcm")


def test_reading_and_writing_take_the_same_memory_for_any_length(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"

    def peak(count: int) -> int:
        tracemalloc.start()
        with path.open("wb") as out:
            writer = ManifestWriter(out, "ds-01", 1)
            for n in range(count):
                writer.add(Entry(f"subject/study/series/{n:08d}.dcm", n, "ab" * 32))
            writer.finish()
        with path.open("rb") as stream:
            assert verify_manifest(stream).files == count
        return tracemalloc.get_traced_memory()[1]

    try:
        small = peak(2_000)
        tracemalloc.stop()
        assert peak(20_000) < small + 300_000
    finally:
        tracemalloc.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for entry in BASE:
        (tmp_path / "copy" / entry.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / entry.path).write_text(entry.path)
    (tmp_path / "copy" / "index.json").write_text("[]")
    return tmp_path / "copy"


def check(folder: Path) -> tuple[bool, Findings]:
    manifest = written(BASE)
    summary, root, findings = verify_folder(io.BytesIO(manifest), folder)
    return root == summary.root, findings


def test_a_true_copy_is_proved(folder: Path) -> None:
    same, findings = check(folder)
    assert same
    assert findings.clean


def test_a_changed_file_is_named(folder: Path) -> None:
    (folder / "b/2.dcm").write_text("b/2.dcX")
    same, findings = check(folder)
    assert not same
    assert [p["path"] for p in findings.problems] == ["b/2.dcm"]
    assert findings.corrupt == 1


def test_missing_moved_and_additional_files_are_named(folder: Path) -> None:
    (folder / "a/1.dcm").rename(folder / "a/3.dcm")
    (folder / "zz").mkdir()
    (folder / "zz/more.dcm").write_text("more")
    (folder / "b/index.json").write_text("not at the top")
    same, findings = check(folder)
    assert not same
    assert [(p["kind"], p["path"]) for p in findings.problems] == [
        ("missing", "a/1.dcm"), ("extra", "a/3.dcm"), ("extra", "b/index.json"),
        ("extra", "zz/more.dcm"),
    ]  # fmt: skip


def test_a_link_or_a_directory_in_a_files_place_is_no_file(folder: Path) -> None:
    (folder / "a/1.dcm").rename(folder.parent / "elsewhere")
    (folder / "a/1.dcm").symlink_to(folder.parent / "elsewhere")
    (folder / "b/1.dcm").unlink()
    (folder / "b/1.dcm").mkdir()
    (folder / "b/1.dcm/inside").write_text("x")
    same, findings = check(folder)
    assert not same
    assert (findings.corrupt, findings.missing, findings.extra) == (1, 1, 1)


def test_names_alone_can_be_compared(folder: Path) -> None:
    findings = Findings()
    names_differ(io.BytesIO(written(BASE)), folder, findings)
    assert findings.clean
    (folder / "b/3.dcm").unlink()
    (folder / "b/4.dcm").write_text("")
    names_differ(io.BytesIO(written(BASE)), folder, findings)
    assert [p["path"] for p in findings.problems] == ["b/3.dcm", "b/4.dcm"]
