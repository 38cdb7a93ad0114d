"""A chest in Hounsfield units, slice by slice.

Coordinates are millimetres in the patient system (PS3.3 C.7.6.2.1.1): x to the left, y to the
back, z to the head; the origin lies between the lungs. ``level`` is 0 at the lowest slice (the
dome of the liver) and 1 at the highest (the apices of the lungs).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from albufera.ingest.phantoms.canvas import Canvas, Ellipse, Field, softened

Slice = npt.NDArray[np.int16]

AIR, LUNG, FAT, MUSCLE, SOFT, LIVER = -1000.0, -862.0, -104.0, 56.0, 40.0, 64.0
MARROW, CORTEX, DISC, CORD = 165.0, 620.0, 85.0, 30.0
OUTSIDE = -1024
_RIB_STEP, _RIB_SLOPE = 0.15, 0.62  # in units of level
_SPINE_Y = 58.0
_VESSELS, _RIGHT_SHARE = 420, 0.52


@dataclass(frozen=True, slots=True)
class Sphere:
    """A lesion: centre and diameter in millimetres."""

    x: float
    y: float
    z: float
    diameter: float


@dataclass(frozen=True, slots=True)
class Build:
    """How a body differs from the next: millimetres; ``contrast`` and ``noise`` in HU."""

    half_width: float
    half_depth: float
    fat: float
    contrast: float
    noise: float
    height: float
    vessels: npt.NDArray[np.float64]
    """Segments of lung vessels: from x, y, z to x, y, z, and radius (n × 7)."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How slices are made: pixels a side, pixel spacing and thickness in mm, blurring passes."""

    size: int
    spacing: float
    thickness: float
    softness: int


def vessel_tree(random: np.random.Generator, height: float) -> npt.NDArray[np.float64]:
    """Segments that run from each hilum outwards, tapering (see Build.vessels)."""
    count = _VESSELS
    side = np.where(random.random(count) < _RIGHT_SHARE, -1.0, 1.0)
    turn = random.uniform(-1.25, 1.25, count)
    reach = random.uniform(35, 92, count)
    rise = random.normal(0, 0.48, count) * height
    start = random.uniform(0, 0.45, count)
    end = np.stack([side * (22 + reach * np.cos(turn)), 4 + reach * np.sin(turn), rise], axis=1)
    hilum = np.stack([side * 24, np.full(count, 4.0), np.zeros(count)], axis=1)
    begin = hilum + (end - hilum) * start[:, None] + random.normal(0, 4, (count, 3))
    radius = random.uniform(0.9, 3.4, count) * (1.15 - start)
    return np.concatenate([begin, end, radius[:, None]], axis=1)


def axial_slice(
    acquisition: Acquisition,
    z: float,
    build: Build,
    lesions: Iterable[Sphere],
    random: np.random.Generator,
) -> Slice:
    """One slice in Hounsfield units (rows × columns)."""
    level = _level(z, build)
    canvas = Canvas(acquisition.size, acquisition.spacing, AIR)
    _wall(canvas, level, build)
    lungs = _lungs(canvas, level, build)
    canvas.hu += lungs * (_lung_density(canvas) - canvas.hu)
    _vessels(canvas, z, acquisition.thickness, build, lungs)
    for lesion in lesions:
        _lesion(canvas, z, acquisition.thickness, lesion)
    _ribs(canvas, level, build)
    _mediastinum(canvas, level, build)
    _abdomen(canvas, level, build)
    _spine(canvas, level)
    _table(canvas, build)
    return _acquired(canvas, build, acquisition, lungs, random)


def _level(z: float, build: Build) -> float:
    return min(1.0, max(0.0, 0.5 + z / build.height))


def _wall(canvas: Canvas, level: float, build: Build) -> None:
    wide = build.half_width * (1 + 0.05 * max(0.0, level - 0.5))
    canvas.paint(Ellipse(0, 0, wide, build.half_depth, power=2.5), 15)
    canvas.paint(Ellipse(0, 0, wide - 2, build.half_depth - 2, power=2.5), FAT)
    inner = Ellipse(0, 3, wide - build.fat, build.half_depth - build.fat * 0.8, power=2.5)
    canvas.paint(inner, MUSCLE)
    for side in (-1, 1):
        if level > 0.45:  # noqa: PLR2004  pectoral and scapular muscles lie in fat
            x, y = side * (wide - build.fat - 26), -build.half_depth * 0.55
            canvas.paint(Ellipse(x, y, 34, 5, side * 0.75), FAT)
            back = side * (wide - build.fat - 24)
            canvas.paint(Ellipse(back, build.half_depth * 0.5, 5, 30, side * 0.55), FAT)
            blade = Ellipse(back - side * 3, build.half_depth * 0.47, 3.4, 27, side * 0.5)
            _bone(canvas, blade, 1.6)
        canvas.paint(Ellipse(side * 30, build.half_depth - build.fat - 7, 4, 13, side * 0.9), FAT)


def _lungs(canvas: Canvas, level: float, build: Build) -> Field:
    """The share of each pixel that is lung."""
    taper = math.sqrt(max(0.08, 1 - (max(0.0, level - 0.4) / 0.68) ** 2))
    depth = (build.half_depth - build.fat - 15) * (0.62 + 0.38 * taper)
    width = (build.half_width - build.fat - 16) * 0.5 * (0.55 + 0.45 * taper)
    lungs = np.zeros_like(canvas.hu)
    for side, share in ((-1, 1.0), (1, 0.95)):
        x = side * (width * 0.98 + 13)
        shape = Ellipse(x, 4, width * share, depth * share, side * -0.1, 2.5)
        lungs = np.maximum(lungs, canvas.cover(shape))
    for shape in _hollows(level, build):
        lungs = lungs * (1 - canvas.cover(shape))
    return lungs


def _hollows(level: float, build: Build) -> list[Ellipse]:
    """What presses into the lungs: mediastinum, heart, spine, and below them the diaphragm."""
    heart = _heart(level)
    shapes = [
        Ellipse(3, -10, 30 + 5 * math.cos(level * 6), build.half_depth * 0.78),
        Ellipse(0, _SPINE_Y + 4, 27, 26),
    ]
    if heart is not None:
        shapes.append(Ellipse(heart.x, heart.y, heart.a + 3, heart.b + 3, heart.turn))
    return shapes + _domes(level, build)


def _heart(level: float) -> Ellipse | None:
    bulge = 1 - ((level - 0.2) / 0.36) ** 2
    if bulge <= 0.05:  # noqa: PLR2004
        return None
    size = math.sqrt(bulge)
    return Ellipse(20, -24, 60 * size, 45 * size, 0.5)


def _domes(level: float, build: Build) -> list[Ellipse]:
    """The right dome of the diaphragm (liver), and the lower left one (stomach, spleen)."""
    domes = []
    for x, y, top, a, b in ((-66.0, -4.0, 0.24, 62.0, 72.0), (70.0, 12.0, 0.15, 46.0, 52.0)):
        if level < top:
            size = math.sqrt(1 - (level / top) ** 2 * 0.97)
            room = build.half_width / 170
            domes.append(Ellipse(x * room, y, a * size * room, b * size))
    return domes


def _lung_density(canvas: Canvas) -> Field:
    """Air-filled in front, denser behind, where blood pools in a patient who lies."""
    return (LUNG + 0.45 * canvas.y + 0 * canvas.x).astype(np.float32)


def _vessels(canvas: Canvas, z: float, thickness: float, build: Build, lungs: Field) -> None:
    begin, end, radius = build.vessels[:, :3], build.vessels[:, 3:6], build.vessels[:, 6]
    drop = end[:, 2] - begin[:, 2]
    drop = np.where(np.abs(drop) < 1, 1.0, drop)
    along = (z - begin[:, 2]) / drop
    crossing = np.flatnonzero((along > 0) & (along < 1))
    for index in crossing:
        at = begin[index] + along[index] * (end[index] - begin[index])
        run = (end[index] - begin[index])[:2]
        slant = float(np.hypot(*run)) / abs(float(drop[index]))
        thin = max(0.55, float(radius[index]) * (1 - 0.75 * float(along[index])))
        long = min(22.0, thin + thickness * 0.5 * slant)
        turn = math.atan2(float(run[1]), float(run[0]))
        value = SOFT if long < 2 * thin else -120.0
        canvas.paint(Ellipse(float(at[0]), float(at[1]), long, thin, turn), value, lungs)


def _lesion(canvas: Canvas, z: float, thickness: float, lesion: Sphere) -> None:
    """A sphere with short spicules, averaged over the slice's thickness."""
    radius = lesion.diameter / 2
    reach = np.linspace(z - thickness / 2, z + thickness / 2, 5) - lesion.z
    share = np.zeros_like(canvas.hu)
    for offset in reach[np.abs(reach) < radius]:
        disc = math.sqrt(radius**2 - float(offset) ** 2)
        layer = canvas.cover(Ellipse(lesion.x, lesion.y, disc, disc * 0.94))
        for ray in range(11):
            turn = ray * 2.399 + lesion.x
            x = lesion.x + math.cos(turn) * disc * 0.85
            y = lesion.y + math.sin(turn) * disc * 0.85
            spicule = canvas.cover(Ellipse(x, y, disc * 0.4 + 1, 0.8, turn))
            layer = np.maximum(layer, spicule * 0.7)
        share += layer / len(reach)
    canvas.hu += share * (38 - np.minimum(canvas.hu, 38))


def _ribs(canvas: Canvas, level: float, build: Build) -> None:
    """Ribs fall from the spine to the front, so a slice cuts each at another angle."""
    a = build.half_width - build.fat - 10
    b = build.half_depth - build.fat * 0.8 - 9
    for number in range(-1, 12):
        fallen = (number * _RIB_STEP - level) / _RIB_SLOPE
        if not 0.04 < fallen < 0.93:  # noqa: PLR2004
            continue
        angle = math.pi / 2 - fallen * math.pi
        for side in (-1, 1):
            x, y = side * a * math.cos(angle), 3 + b * math.sin(angle)
            turn = math.atan2(b * math.cos(angle), -side * a * math.sin(angle))
            _bone(canvas, Ellipse(x, y, 13 + 5 * abs(math.sin(angle)), 4.6, turn), 1.5)
    front = -(build.half_depth - build.fat * 0.8 - 7)
    if 0.2 < level < 0.92:  # noqa: PLR2004
        _bone(canvas, Ellipse(0, front, 17 + 5 * (level > 0.75), 5.5, power=2.5), 1.4)  # noqa: PLR2004


def _bone(canvas: Canvas, shape: Ellipse, cortex: float) -> None:
    canvas.paint(shape, CORTEX)
    canvas.paint(shape.shrunk(cortex), MARROW)


def _mediastinum(canvas: Canvas, level: float, build: Build) -> None:
    blood = SOFT + build.contrast
    canvas.paint(Ellipse(3, -14, 25, build.half_depth * 0.58), -82)
    heart = _heart(level)
    if heart is not None:
        canvas.paint(Ellipse(heart.x, heart.y, heart.a + 3, heart.b + 3, heart.turn), -70)
        canvas.paint(heart, SOFT + 10 + 0.35 * build.contrast)
        for x, y, a, b in ((8, -10, 0.3, 0.42), (30, -20, 0.34, 0.36), (2, -40, 0.4, 0.26)):
            canvas.paint(Ellipse(x, y, heart.a * a, heart.b * b, 0.6), blood)
    if level > 0.46:  # noqa: PLR2004  the great vessels
        for shape in _great_vessels(level):
            canvas.paint(shape, blood)
    canvas.paint(Ellipse(24, 36, 12.5, 12), blood)
    canvas.paint(Ellipse(7, 34, 7, 5), 35)
    canvas.paint(Ellipse(7, 34, 2, 1.2), -300)
    _airways(canvas, level)


def _great_vessels(level: float) -> list[Ellipse]:
    if level > 0.86:  # noqa: PLR2004  branches of the arch
        return [Ellipse(x, -10 + abs(x) * 0.3, 6, 6) for x in (-18.0, -2.0, 15.0)]
    if level > 0.76:  # noqa: PLR2004  the arch
        return [Ellipse(10, 4, 14, 36, -0.35), Ellipse(-24, -14, 9, 8)]
    shapes = [Ellipse(-8, -22, 16, 15.5), Ellipse(-30, -12, 8.5, 9)]
    if level < 0.66:  # noqa: PLR2004  the pulmonary trunk and its right branch
        shapes += [Ellipse(22, -26, 13.5, 17, 0.5), Ellipse(-4, -1, 27, 7.5, -0.1)]
    return shapes


def _airways(canvas: Canvas, level: float) -> None:
    if level > 0.68:  # noqa: PLR2004  above the carina
        canvas.paint(Ellipse(-1, 14, 10.5, 9.5), 45)
        canvas.paint(Ellipse(-1, 14, 9, 8), AIR)
    elif level > 0.4:  # noqa: PLR2004  the main bronchi part
        apart = 8 + (0.68 - level) * 95
        for side in (-1, 1):
            at = Ellipse(side * apart, 15, 8, 6.4, side * 0.3)
            canvas.paint(at, 40)
            canvas.paint(at.shrunk(1.4), AIR)


def _abdomen(canvas: Canvas, level: float, build: Build) -> None:
    for dome, value in zip(_domes(level, build), (LIVER, 48.0), strict=False):
        canvas.paint(dome.shrunk(1.5), value + build.contrast * 0.25)
    if level < 0.1:  # noqa: PLR2004  gas in the stomach
        canvas.paint(Ellipse(66, -22, 20, 12), AIR)


def _spine(canvas: Canvas, level: float) -> None:
    y = _SPINE_Y
    disc = (level / 0.16) % 1 < 0.22  # noqa: PLR2004
    canvas.paint(Ellipse(0, y + 24, 40, 17, power=2.5), MUSCLE)
    body = Ellipse(0, y, 19, 16, power=2.5)
    canvas.paint(body, DISC if disc else CORTEX)
    if not disc:
        canvas.paint(body.shrunk(1.7), MARROW)
    for side in (-1, 1):
        _bone(canvas, Ellipse(side * 13, y + 19, 4.5, 8, side * 0.35), 1.6)
        _bone(canvas, Ellipse(side * 27, y + 25, 14, 4.2, side * 0.4), 1.5)
        canvas.paint(Ellipse(side * 9, y + 29, 9, 2.6, side * 0.75), CORTEX)
    _bone(canvas, Ellipse(0, y + 40, 3.2, 12), 1.4)
    canvas.paint(Ellipse(0, y + 22, 9, 7.5), -10)
    canvas.paint(Ellipse(0, y + 22, 5.5, 4.5), CORD)


def _table(canvas: Canvas, build: Build) -> None:
    outer = Ellipse(0, build.half_depth + 22, 205, 18, power=5)
    rim = canvas.cover(outer) - canvas.cover(outer.shrunk(3))
    in_air = canvas.hu < FAT - 300
    canvas.paint(outer.shrunk(3), -930, in_air.astype(np.float32))
    canvas.hu += np.clip(rim, 0, 1) * in_air * (-480 - canvas.hu)


def lies_in_lung(sphere: Sphere, build: Build) -> bool:
    """Whether the sphere, its margins too, is surrounded by lung."""
    canvas = Canvas(128, 3.0, AIR)
    reach = sphere.diameter / 2 + 3
    for z in (sphere.z - reach, sphere.z, sphere.z + reach):
        lungs = _lungs(canvas, _level(z, build), build)
        disc = canvas.cover(Ellipse(sphere.x, sphere.y, reach, reach))
        if float((disc * (1 - lungs)).sum()) > 0.02 * float(disc.sum()):
            return False
    return True


def _acquired(
    canvas: Canvas, build: Build, how: Acquisition, lungs: Field, random: np.random.Generator
) -> Slice:
    """What the scanner makes of it: blurred, noisy (more so in the middle), cut to a circle."""
    image = canvas.hu
    fine = random.standard_normal(image.shape, dtype=np.float32)
    coarse = np.repeat(np.repeat(fine[::4, ::4], 4, axis=0), 4, axis=1)
    coarse = softened(softened(coarse))[: how.size, : how.size]
    image = image + lungs * coarse * np.float32(26)
    for _ in range(how.softness):
        image, fine = softened(image), softened(fine) * np.float32(2.2)
    distance = np.hypot(canvas.x, canvas.y) / np.float32(how.size * how.spacing / 2)
    spread = (np.float32(1.25) - np.float32(0.6) * distance) * np.float32(build.noise)
    image = image + fine * spread.astype(np.float32)
    drawn = np.clip(np.rint(image), OUTSIDE + 1, 3071).astype(np.int16)
    drawn[distance > 1] = OUTSIDE
    return drawn
