"""Pictures against independent computations, and against files that mean harm."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from albufera.lake.pictures import (
    PictureStudio,
    StudioBusy,
    Undrawable,
    frame_count,
    render,
    thumbnail,
)

BUNDLED = Path(pydicom.__file__).parent / "data"
ALL_BUNDLED = sorted(
    p for folder in ("test_files", "palettes", "charset_files")
    for p in (BUNDLED / folder).rglob("*") if p.is_file()
)  # fmt: skip


def bundled(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


def shown(png: bytes) -> npt.NDArray[np.uint8]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(Image.open(io.BytesIO(png)))


def image(pixels: npt.NDArray[Any], **elements: Any) -> Dataset:
    """A grey CT-like object that holds these pixels."""
    dataset = pydicom.dcmread(bundled("CT_small.dcm"))
    for keyword in ("PixelPaddingValue", "WindowCenter", "WindowWidth", "PixelSpacing"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.PixelData = pixels.tobytes()
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def saved(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path)
    return path


# --- grey --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("centre", "width"), [(40.0, 400.0), (-600.0, 1500.0), (0.0, 1.0)])
def test_window_is_the_standards_formula(centre: float, width: float) -> None:
    path = bundled("CT_small.dcm")
    dataset = pydicom.dcmread(path)
    stored = np.frombuffer(dataset.PixelData, "<i2").reshape(dataset.Rows, dataset.Columns)
    expected = np.empty(stored.shape)
    for place, value in np.ndenumerate(stored):  # PS3.3 C.11.2.1.2.1, as its pseudo-code says
        x = float(value) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        if x <= centre - 0.5 - (width - 1) / 2:
            expected[place] = 0
        elif x > centre - 0.5 + (width - 1) / 2:
            expected[place] = 255
        else:
            expected[place] = ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255
    difference = shown(render(path, window=(centre, width))) - expected
    assert np.abs(difference).max() <= 0.51


@pytest.mark.parametrize(
    ("function", "at"),
    [("LINEAR", 100.5), ("LINEAR_EXACT", 100.0), ("SIGMOID", 100.0)],
)
def test_window_functions_cross_the_middle_where_they_should(
    tmp_path: Path, function: str, at: float
) -> None:
    ramp = np.arange(0, 256, dtype=np.int16).reshape(16, 16)
    dataset = image(ramp, WindowCenter=[100, 7], WindowWidth=[101, 7], VOILUTFunction=function)
    drawn = shown(render(saved(dataset, tmp_path / "x"))).astype(float).ravel()
    exact = 255 / (1 + np.exp(-4 * (np.arange(256) - 100) / 101))
    if function == "SIGMOID":
        assert np.abs(drawn - exact).max() <= 0.51
    else:
        slope = 255 / (100 if function == "LINEAR" else 101)
        offset = at - 1 if function == "LINEAR" else at
        assert np.abs(drawn - np.clip((np.arange(256) - offset) * slope + 127.5, 0, 255)).max() < 1


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    pixels = np.array([[0, 500], [1000, 2000]], dtype=np.uint16)
    dataset = image(pixels, RescaleSlope=2, RescaleIntercept=-1000)
    drawn = shown(render(saved(dataset, tmp_path / "x"), window=(0, 2)))
    assert drawn.tolist() == [[0, 255], [255, 255]]


def test_monochrome1_is_the_inverse(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.int16).reshape(16, 16)
    plain = shown(render(saved(image(ramp), tmp_path / "x"), window=(100, 120)))
    inverse = image(ramp, PhotometricInterpretation="MONOCHROME1")
    drawn = shown(render(saved(inverse, tmp_path / "y"), window=(100, 120)))
    assert np.array_equal(drawn, 255 - plain)


def test_automatic_window_ignores_padding_and_outliers(tmp_path: Path) -> None:
    pixels = np.tile(np.arange(0, 1000, dtype=np.int16), 100).reshape(100, 1000)
    pixels[:, :300] = -2000
    pixels[0, 999] = 32000
    dataset = image(pixels, PixelPaddingValue=-2000)
    dataset["PixelPaddingValue"].VR = "SS"
    drawn = shown(render(saved(dataset, tmp_path / "x"), size=1000))
    assert (drawn[:, :300] == 0).all()
    assert 120 <= drawn[50, 650] <= 135
    assert drawn[50, 998] >= 254


def test_voi_lut_is_looked_up(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 10, 8]
    table.LUTData = [0, 100, 200, 255]
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "US"
    pixels = np.array([[0, 10, 11], [12, 13, 99]], dtype=np.uint16)
    dataset = image(pixels, VOILUTSequence=Sequence([table]))
    drawn = shown(render(saved(dataset, tmp_path / "x")))
    assert drawn.tolist() == [[0, 0, 100], [200, 255, 255]]


def test_modality_lut_with_a_negative_first_value(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4, 65534, 16]
    table.LUTData = [0, 10, 20, 30]
    table.ModalityLUTType = "US"
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "US"
    pixels = np.array([[-5, -2, -1], [0, 1, 9]], dtype=np.int16)
    dataset = image(pixels, ModalityLUTSequence=Sequence([table]))
    drawn = shown(render(saved(dataset, tmp_path / "x"), window=(15.5, 31)))
    assert drawn.tolist() == [[0, 0, 85], [170, 255, 255]]


def test_functional_groups_of_the_frame_come_first(tmp_path: Path) -> None:
    def group(intercept: float) -> Dataset:
        values, item = Dataset(), Dataset()
        values.RescaleIntercept, values.RescaleSlope, values.RescaleType = intercept, 1, "HU"
        item.PixelValueTransformationSequence = Sequence([values])
        return item

    frames = np.full((2, 4, 4), 10, dtype=np.int16)
    dataset = image(frames, NumberOfFrames=2)
    dataset.PerFrameFunctionalGroupsSequence = Sequence([group(0), group(1000)])
    path = saved(dataset, tmp_path / "x")
    assert shown(render(path, 0, (500, 100))).max() == 0
    assert shown(render(path, 1, (500, 100))).min() == 255


def test_flat_and_empty_ranges_are_drawn(tmp_path: Path) -> None:
    flat = image(np.full((8, 8), 7, dtype=np.int16))
    assert set(shown(render(saved(flat, tmp_path / "x"))).ravel()) == {128}
    senseless = image(np.eye(8, dtype=np.int16), WindowCenter="0", WindowWidth="-5")
    assert set(shown(render(saved(senseless, tmp_path / "y"))).ravel()) == {0, 255}


@pytest.mark.parametrize("window", [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, np.inf)])
def test_senseless_windows_are_refused(window: tuple[float, float]) -> None:
    with pytest.raises(Undrawable, match="width above 0"):
        render(bundled("CT_small.dcm"), window=window)


# --- colour, frames, size ----------------------------------------------------------------------


def test_rgb_is_copied() -> None:
    path = bundled("SC_rgb_small_odd.dcm")
    dataset = pydicom.dcmread(path)
    raw = np.frombuffer(dataset.PixelData, np.uint8)[: dataset.Rows * dataset.Columns * 3]
    assert dataset.PlanarConfiguration == 0
    assert np.array_equal(shown(render(path)), raw.reshape(dataset.Rows, dataset.Columns, 3))


def test_ybr_looks_like_its_rgb_twin() -> None:
    rgb = shown(render(bundled("SC_rgb_rle.dcm"))).astype(int)
    jpeg = shown(render(bundled("SC_rgb_jpeg_dcmtk.dcm"))).astype(int)
    assert np.abs(rgb - jpeg).mean() < 6


def test_palette_is_looked_up() -> None:
    path = bundled("examples_palette.dcm")
    dataset = pydicom.dcmread(path)
    assert dataset.PhotometricInterpretation == "PALETTE COLOR"
    stored = dataset.pixel_array
    red = np.frombuffer(dataset.RedPaletteColorLookupTableData, "<u2")
    blue = np.frombuffer(dataset.BluePaletteColorLookupTableData, "<u2")
    drawn = shown(render(path, size=4096))
    assert np.array_equal(drawn[..., 0], (red >> 8 if red.max() > 255 else red)[stored])
    assert np.array_equal(drawn[..., 2], (blue >> 8 if blue.max() > 255 else blue)[stored])


def test_each_frame_is_its_own(tmp_path: Path) -> None:
    frames = np.zeros((3, 4, 4), dtype=np.int16)
    frames[1], frames[2] = 100, 200
    path = saved(image(frames, NumberOfFrames=3), tmp_path / "x")
    assert frame_count(path) == 3
    assert [int(shown(render(path, n, (100.5, 201)))[0, 0]) for n in range(3)] == [0, 128, 255]
    assert shown(thumbnail(path)).max() == 128
    for absent in (-1, 3):
        with pytest.raises(Undrawable, match="There is no frame"):
            render(path, absent)


def test_size_bounds_the_longer_side(tmp_path: Path) -> None:
    path = saved(image(np.eye(200, 100, dtype=np.int16)), tmp_path / "x")
    assert shown(render(path, size=50)).shape == (50, 25)
    assert shown(render(path, size=4096)).shape == (200, 100)
    assert shown(thumbnail(path)).shape == (128, 64)
    assert shown(render(path, size=-3)).shape == (1, 1)


def test_pixels_are_made_square(tmp_path: Path) -> None:
    tall = image(np.eye(100, dtype=np.int16), PixelSpacing=[2.0, 1.0])
    assert shown(render(saved(tall, tmp_path / "x"))).shape == (200, 100)
    wide = image(np.eye(100, dtype=np.int16), PixelAspectRatio=[1, 2])
    assert shown(render(saved(wide, tmp_path / "y"))).shape == (100, 200)
    absurd = image(np.eye(100, dtype=np.int16), PixelSpacing=[1e9, 1e-9])
    assert shown(render(saved(absurd, tmp_path / "z"))).shape == (100, 100)


# --- files that mean harm ----------------------------------------------------------------------


def test_every_bundled_file_is_drawn_or_refused() -> None:
    outcomes: dict[str, str] = {}
    for path in ALL_BUNDLED:
        start = time.monotonic()
        try:
            shown(render(path, size=64))
            outcomes[path.name] = "drawn"
        except Undrawable as refusal:
            outcomes[path.name] = refusal.reason
        assert time.monotonic() - start < 10, path
    drawn = [name for name, outcome in outcomes.items() if outcome == "drawn"]
    assert len(ALL_BUNDLED) > 150
    assert all(o == "drawn" or o.endswith(".") for o in outcomes.values())
    assert len(drawn) >= 60
    assert "cannot be decoded here" in outcomes["MR_small_jpeg_ls_lossless.dcm"]
    assert "12-bit JPEG" in outcomes["JPGExtended.dcm"]
    assert "holds no image" in outcomes["rtplan.dcm"]


def test_dimension_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    dataset = image(np.zeros((2, 2), dtype=np.int16))
    dataset.Rows = dataset.Columns = 65535
    path = saved(dataset, tmp_path / "x")
    start = time.monotonic()
    with pytest.raises(Undrawable, match="too large"):
        render(path)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("rows", [0, 8000])
def test_declared_size_without_the_bytes(tmp_path: Path, rows: int) -> None:
    dataset = image(np.zeros((2, 2), dtype=np.int16))
    dataset.Rows = dataset.Columns = rows
    with pytest.raises(Undrawable):
        render(saved(dataset, tmp_path / "x"))


def test_codestream_bomb_in_a_small_image(tmp_path: Path) -> None:
    """A JPEG whose own header claims 65,500 × 65,500 pixels."""
    dataset = pydicom.dcmread(bundled("SC_rgb_jpeg_dcmtk.dcm"))
    data = bytearray(dataset.PixelData)
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = b"\xff\xdc\xff\xdc"
    dataset.PixelData = bytes(data)
    with pytest.raises(Undrawable):
        render(saved(dataset, tmp_path / "x"))


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm",
     "image_dfl.dcm", "MR_small_bigendian.dcm", "examples_palette.dcm"],
)  # fmt: skip
def test_truncation_anywhere_is_drawn_or_refused(tmp_path: Path, name: str) -> None:
    whole = bundled(name).read_bytes()
    for cut in [*range(0, len(whole), max(1, len(whole) // 40)), len(whole) - 1]:
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        try:
            shown(render(path, size=32))
        except Undrawable:
            continue
        assert cut > len(whole) // 2, "drawn from less than half of the file"


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm"])
def test_flipped_bytes_are_drawn_or_refused(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(3)
    whole = np.frombuffer(bundled(name).read_bytes(), np.uint8)
    for _ in range(60):
        damaged = whole.copy()
        places = random.integers(132, len(whole), 12)
        damaged[places] = random.integers(0, 256, 12)
        path = tmp_path / "damaged"
        path.write_bytes(damaged.tobytes())
        try:
            shown(render(path, size=32))
        except Undrawable:
            continue


def test_absent_and_non_dicom_files(tmp_path: Path) -> None:
    with pytest.raises(Undrawable, match="not there"):
        render(tmp_path / "absent")
    (tmp_path / "text").write_text("not an image " * 100)
    (tmp_path / "empty").touch()
    for name in ("text", "empty", "."):
        with pytest.raises(Undrawable):
            render(tmp_path / name)


# --- the studio --------------------------------------------------------------------------------


@pytest.fixture
def studio() -> Iterator[PictureStudio]:
    with PictureStudio(workers=2, timeout_seconds=20) as studio:
        yield studio


def _read_if_alive(path: Path) -> str:
    """What a thread's file says; nothing when the thread has ended meanwhile."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def children() -> set[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    if not listed.exists():
        pytest.skip("needs /proc/<pid>/task/<pid>/children")
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for pid in _read_if_alive(task / "children").split():
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(int(pid))
    return found


def stall(seconds: float) -> bytes:
    time.sleep(seconds)
    return b"late"


def crash() -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return b"never"


def devour() -> bytes:
    try:
        return bytes(8 * 1024**3)
    except MemoryError:
        raise Undrawable("memory") from None


def test_studio_costs_nothing_until_asked() -> None:
    before = children()
    with PictureStudio() as studio:
        assert children() == before
        studio.thumbnail(bundled("CT_small.dcm"))
        assert len(children() - before) == 1
    assert children() == before


def test_studio_draws_what_render_draws(studio: PictureStudio) -> None:
    path = bundled("CT_small.dcm")
    assert studio.render(path, 0, (40, 400), 64) == render(path, 0, (40, 400), 64)
    assert studio.thumbnail(path) == thumbnail(path)
    assert studio.frame_count(path) == 1
    with pytest.raises(Undrawable, match="cannot be decoded here") as refused:
        studio.render(bundled("MR_small_jpeg_ls_lossless.dcm"))
    assert type(refused.value) is Undrawable


def test_studio_leaves_the_event_loop_free(studio: PictureStudio) -> None:
    async def page() -> tuple[list[bytes], int]:
        path = bundled("CT_small.dcm")
        wanted = [studio.render_async(path, size=64), studio.thumbnail_async(path)]
        drawing = asyncio.gather(*wanted)
        beats = 0
        while not drawing.done():
            await asyncio.sleep(0.01)
            beats += 1
        return await drawing, beats

    pictures, beats = asyncio.run(page())
    assert all(p.startswith(b"\x89PNG") for p in pictures)
    assert beats > 3


def test_late_picture_is_stopped_and_its_neighbour_is_not() -> None:
    with PictureStudio(workers=2, timeout_seconds=1.5) as studio:
        studio.thumbnail(bundled("CT_small.dcm"))
        stuck = studio._submit(stall, 600)
        neighbours = [studio._submit(thumbnail, bundled("CT_small.dcm")) for _ in range(5)]
        assert all(n.result().startswith(b"\x89PNG") for n in neighbours)
        with pytest.raises(Undrawable, match="longer than"):
            stuck.result()
        assert len(children()) <= 2
        assert studio.thumbnail(bundled("CT_small.dcm"))


def test_crashed_decoder_is_replaced(studio: PictureStudio) -> None:
    for _ in range(2):
        with pytest.raises(Undrawable, match="crashed"):
            studio._submit(crash).result()
        assert studio.thumbnail(bundled("CT_small.dcm"))


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is not enforced elsewhere")
def test_memory_of_a_worker_is_bounded(studio: PictureStudio) -> None:
    with pytest.raises(Undrawable, match="memory"):
        studio._submit(devour).result()
    assert studio.thumbnail(bundled("CT_small.dcm"))


def test_too_many_waiting_are_turned_away() -> None:
    with PictureStudio(workers=1, waiting=3) as studio:
        held = [studio._submit(stall, 0.2) for _ in range(3)]
        with pytest.raises(StudioBusy, match="ask again"):
            studio.thumbnail(bundled("CT_small.dcm"))
        assert [h.result() for h in held] == [b"late"] * 3
        assert studio.thumbnail(bundled("CT_small.dcm"))


def test_closing_ends_what_is_under_way() -> None:
    before = children()
    studio = PictureStudio(workers=1)
    studio.thumbnail(bundled("CT_small.dcm"))
    held = [studio._submit(stall, 600) for _ in range(3)]
    time.sleep(0.2)
    start = time.monotonic()
    studio.close()
    studio.close()
    assert time.monotonic() - start < 5
    for future in held:
        with pytest.raises(StudioBusy):
            future.result()
    with pytest.raises(StudioBusy):
        studio.thumbnail(bundled("CT_small.dcm"))
    assert children() == before


ORPHANING = """
import os, signal, sys
from pathlib import Path
from albufera.lake.pictures import PictureStudio
if __name__ == "__main__":
    studio = PictureStudio(workers=1)
    studio.thumbnail(Path(sys.argv[1]))
    print(studio._all[0]._worker, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_die_with_a_killed_server(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(ORPHANING)
    output = tmp_path / "worker"  # a file: the worker inherits the descriptor and would hold a pipe
    with output.open("w") as out:
        subprocess.run(
            [sys.executable, str(script), str(bundled("CT_small.dcm"))], stdout=out, timeout=60
        )
    worker = Path("/proc") / output.read_text().strip()
    assert worker.name.isdigit()
    for _ in range(100):
        if not worker.exists() or "State:\tZ" in (worker / "status").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived the server by ten seconds")
