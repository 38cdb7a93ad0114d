"""De-identification against plain pydicom (which cleans nothing) and against the bare disk.

`albufera bench deidentify` writes phantom CT files of 0.5 MB, then times, on one core and on the
same files: the streaming engine; pydicom reading and writing; the engine into the lake (SHA-256 and
fsync); and the limit, a bare copy with SHA-256 and fsync.
"""

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom

from albufera.ingest.deidentify import RESEARCH, Deidentifier, ProjectKey
from albufera.ingest.phantoms import write_cohort
from albufera.lake.backends.filesystem import FileSystemStore
from albufera.lake.layout import InstanceKey

ROUNDS = 3


def main() -> None:
    """Run the benchmark and print its table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        patients = write_cohort(root / "in", patients=3, slices=40, size=512, seed=11)
        files = [Path(path) for patient in patients for path in patient.files]
        size = sum(path.stat().st_size for path in files)
        print(f"{len(files)} files, {size / len(files) / 1e6:.2f} MB each, one core\n")
        engine = Deidentifier(RESEARCH, ProjectKey(b"benchmark secret, 16+ bytes"))
        rates = {
            "de-identify (in memory)": _rate(files, lambda path: _clean(engine, path)),
            "pydicom read and write (in memory)": _rate(files, _read_and_write),
            "de-identify into the lake": _rate_of_lake(files, engine, root),
            "limit: copy, SHA-256, fsync": _rate(files, lambda path: _bare_copy(path, root)),
        }
    print(f"{'what':38} {'files/s':>9} {'MB/s':>8}")
    for name, rate in rates.items():
        print(f"{name:38} {rate:9.0f} {rate * size / len(files) / 1e6:8.0f}")
    clean, peer, lake, limit = rates.values()
    print(f"\nde-identify / pydicom read+write: {clean / peer:.2f} ×")
    print(f"into the lake / bare copy limit:  {lake / limit:.2f} ×")


def _rate(files: Sequence[Path], work: Callable[[Path], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for path in files:
            work(path)
        best = min(best, time.perf_counter() - begin)
    return len(files) / best


def _clean(engine: Deidentifier, path: Path) -> None:
    with path.open("rb") as source:
        engine.clean(source, io.BytesIO())


def _read_and_write(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.save_as(io.BytesIO())


def _bare_copy(path: Path, root: Path) -> None:
    digest = hashlib.sha256()
    target = root / "copy.dcm"
    with path.open("rb") as source, target.open("wb") as sink:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())


def _rate_of_lake(files: Sequence[Path], engine: Deidentifier, root: Path) -> float:
    best = float("inf")
    for round_number in range(ROUNDS):
        store = FileSystemStore(root / f"lake{round_number}")
        begin = time.perf_counter()
        with store.stage("bench") as staging:
            pairs = []
            for number, path in enumerate(files):
                with path.open("rb") as source, staging.write(f"f{number}") as sink:
                    cleaned = engine.clean(source, sink)
                    staged = sink.seal()
                key = InstanceKey("bench", cleaned.series_uid, cleaned.instance_uid)
                pairs.append((staged, key))
            store.admit_all(pairs)
        best = min(best, time.perf_counter() - begin)
    return len(files) / best


if __name__ == "__main__":
    main()
