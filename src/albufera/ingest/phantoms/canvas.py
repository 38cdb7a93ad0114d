"""A slice being painted: soft-edged ellipses in millimetres on a grid of Hounsfield units."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Centre and half axes in millimetres; ``turn`` in radians; ``power`` 2 is an ellipse."""

    x: float
    y: float
    a: float
    b: float
    turn: float = 0.0
    power: float = 2.0

    def shrunk(self, by: float) -> "Ellipse":
        """The same, ``by`` millimetres further in (never less than a tenth of a millimetre)."""
        a, b = max(0.1, self.a - by), max(0.1, self.b - by)
        return Ellipse(self.x, self.y, a, b, self.turn, self.power)


class Canvas:
    """``size`` × ``size`` pixels, ``spacing`` mm apart, centred on the origin; x to the right."""

    def __init__(self, size: int, spacing: float, ground: float) -> None:
        self.size = size
        self.spacing = spacing
        self.hu: Field = np.full((size, size), ground, dtype=np.float32)
        line = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * spacing
        self.x: Field = line[None, :]
        self.y: Field = line[:, None]

    def paint(self, shape: Ellipse, value: float, within: Field | None = None) -> None:
        """Blends ``value`` in, in proportion to how much of each pixel the shape covers."""
        rows, columns = self._window(shape)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        cover = self._cover(shape, rows, columns)
        if within is not None:
            cover = cover * within[rows, columns]
        part = self.hu[rows, columns]
        part += cover * (np.float32(value) - part)

    def cover(self, shape: Ellipse) -> Field:
        """The share of every pixel that the shape covers, 0 to 1."""
        covered = np.zeros_like(self.hu)
        rows, columns = self._window(shape)
        if rows.start < rows.stop and columns.start < columns.stop:
            covered[rows, columns] = self._cover(shape, rows, columns)
        return covered

    def _window(self, shape: Ellipse) -> tuple[slice, slice]:
        reach = max(shape.a, shape.b) + 2 * self.spacing
        middle = (self.size - 1) / 2

        def span(centre: float) -> slice:
            low = math.floor((centre - reach) / self.spacing + middle)
            high = math.ceil((centre + reach) / self.spacing + middle)
            return slice(max(0, low), max(0, min(self.size, high + 1)))

        return span(shape.y), span(shape.x)

    def _cover(self, shape: Ellipse, rows: slice, columns: slice) -> Field:
        dx, dy = self.x[:, columns] - shape.x, self.y[rows] - shape.y
        cosine, sine = math.cos(shape.turn), math.sin(shape.turn)
        u = np.abs(dx * cosine + dy * sine) / shape.a
        v = np.abs(dy * cosine - dx * sine) / shape.b
        sum_of_powers = _raised(u, shape.power) + _raised(v, shape.power)
        # At the edge, where the sum is 1, its slope is power / half axis: this is the distance.
        depth = (1 - sum_of_powers) * (min(shape.a, shape.b) / (shape.power * self.spacing))
        covered: Field = np.clip(depth + 0.5, 0, 1).astype(np.float32)
        return covered


def _raised(value: npt.NDArray[Any], power: float) -> npt.NDArray[Any]:
    """``value ** power``; for the two powers in use everywhere without the slow function."""
    raised: npt.NDArray[Any]
    if power == 2.0:  # noqa: PLR2004
        raised = value * value
    elif power == 2.5:  # noqa: PLR2004
        raised = value * value * np.sqrt(value)
    else:
        raised = value ** np.float32(power)
    return raised


def softened(image: Field) -> Field:
    """The image blurred by the 3 × 3 binomial kernel, edges repeated."""
    padded = np.pad(image, 1, mode="edge")
    tall = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    blurred: Field = (tall[:, :-2] + 2 * tall[:, 1:-1] + tall[:, 2:]) / np.float32(16)
    return blurred
