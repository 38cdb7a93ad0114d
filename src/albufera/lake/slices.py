"""The order in which the pictures of a series are scrolled through."""

from collections.abc import Sequence
from typing import Any

from albufera.lake.model import Instance, Slice

POSITION, ORIENTATION, FRAMES = "00200032", "00200037", "00280008"
_MAX_FRAMES = 100_000


def in_order(instances: Sequence[Instance]) -> list[Instance]:
    """Instances along the normal of their planes (PS3.3 §C.7.6.2.1.1), so that neighbours in the
    body are neighbours in the list; where that is not stated for all, by Instance Number."""
    heights = [_height(instance.header) for instance in instances]
    stated = all(height is not None for height in heights)
    keys = {
        item.instance_uid: (round(height, 3) if stated and height is not None else 0.0)
        for item, height in zip(instances, heights, strict=True)
    }
    return sorted(
        instances,
        key=lambda item: (keys[item.instance_uid], item.number or 0, item.instance_uid),
    )


def slices_of(instances: Sequence[Instance]) -> tuple[Slice, ...]:
    """The pictures of a series in scrolling order: every frame of every instance."""
    return tuple(
        Slice(instance.instance_uid, frame)
        for instance in in_order(instances)
        for frame in range(frame_count(instance))
    )


def frame_count(instance: Instance) -> int:
    """Number of Frames (PS3.3 §C.7.6.6), 1 when it is not stated."""
    value = _values(instance.header, FRAMES)
    count = value[0] if value and isinstance(value[0], int) else 1
    return min(max(count, 1), _MAX_FRAMES)


def _height(header: dict[str, Any]) -> float | None:
    position, orientation = _values(header, POSITION), _values(header, ORIENTATION)
    if len(position) != 3 or len(orientation) != 6:  # noqa: PLR2004 - a point, two directions
        return None
    if not all(isinstance(number, int | float) for number in (*position, *orientation)):
        return None
    (ax, ay, az), (bx, by, bz) = orientation[:3], orientation[3:]
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    return float(sum(p * n for p, n in zip(position, normal, strict=True)))


def _values(header: dict[str, Any], tag: str) -> list[Any]:
    values = header.get(tag, {}).get("Value", [])
    return values if isinstance(values, list) else []
