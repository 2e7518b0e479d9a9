"""How a face's box moves: distance in its own sizes, speed along its chain of sightings."""

from __future__ import annotations

import math
from collections.abc import Callable

from facefx.faces.moment import Box, Sighting
from facefx.faces.policy import Clock

__all__ = [
    "Inward",
    "Speed",
    "apart",
    "backwards",
    "cost",
    "fit",
    "forwards",
    "grown",
    "lerp",
    "mean_size",
    "moved",
    "shifted",
    "side_motion",
    "velocity",
]

# A speed is taken over at least this time: boxes of adjacent frames jitter more than they move.
_SPEED_BASE_S = 0.12

Speed = tuple[float, float]
Inward = Callable[[Sighting], Sighting | None]


def mean_size(box: Box) -> float:
    """Side of the square of the same area, at least a pixel."""
    return math.sqrt(max(1.0, (box[2] - box[0]) * (box[3] - box[1])))


def moved(a: Box, b: Box) -> tuple[float, float]:
    """(distance of the centres in face sizes, ratio of the sizes ≥ 1)."""
    return _moved(a, b, mean_size(a), mean_size(b))


def apart(a: Sighting, b: Sighting) -> tuple[float, float]:
    """`moved` for two sightings, which know their sizes."""
    return _moved(a.xyxy, b.xyxy, a.size, b.size)


def _moved(a: Box, b: Box, size_a: float, size_b: float) -> tuple[float, float]:
    across, down = (b[0] + b[2] - a[0] - a[2]) / 2, (b[1] + b[3] - a[1] - a[3]) / 2
    distance = math.hypot(across, down) / ((size_a + size_b) / 2)
    return distance, size_a / size_b if size_a > size_b else size_b / size_a


def cost(a: Box, b: Box, distance_limit: float, ratio_limit: float) -> float | None:
    """How badly two boxes fit as one face; None beyond the limits."""
    return _cost(*moved(a, b), distance_limit, ratio_limit)


def fit(a: Sighting, b: Sighting, distance_limit: float, ratio_limit: float) -> float | None:
    """`cost` for two sightings, which know their sizes."""
    return _cost(*apart(a, b), distance_limit, ratio_limit)


def _cost(distance: float, ratio: float, distance_limit: float, ratio_limit: float) -> float | None:
    if distance > distance_limit or ratio > ratio_limit:
        return None
    return distance + math.log(ratio)


def velocity(sighting: Sighting, inward: Inward, clock: Clock, size: tuple[int, int]) -> Speed:
    """Pixels per second at a sighting, from its chain in one direction; zero where there is none.

    inward: to the previous or the next sighting. size: the picture's width and height. A side
    that the picture's edge cuts tells nothing about the motion, so the other one is taken there.
    """
    other = sighting
    base = clock.ticks(_SPEED_BASE_S)
    while abs(other.pts - sighting.pts) < base:
        further = inward(other)
        if further is None or not further.kept:
            break
        other = further
    if other is sighting:
        return 0.0, 0.0
    passed_s = clock.seconds(sighting.pts - other.pts)
    a, b = other.xyxy, sighting.xyxy
    across = side_motion(a[0], a[2], b[0], b[2], size[0])
    down = side_motion(a[1], a[3], b[1], b[3], size[1])
    return across / passed_s, down / passed_s


def side_motion(a_low: float, a_high: float, b_low: float, b_high: float, limit: int) -> float:
    """How far a box went along one axis from a to b; limit: the picture's size there."""
    margin = 0.03 * (b_high - b_low)
    low_cut, high_cut = b_low <= margin, b_high >= limit - margin
    if low_cut and not high_cut:
        return b_high - a_high
    if high_cut and not low_cut:
        return b_low - a_low
    return (b_low + b_high - a_low - a_high) / 2


def shifted(box: Box, speed: Speed, seconds: float) -> Box:
    """Where a box is so many seconds later at that speed."""
    dx, dy = speed[0] * seconds, speed[1] * seconds
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def backwards(sighting: Sighting) -> Sighting | None:
    """One step back along the chain."""
    return sighting.previous


def forwards(sighting: Sighting) -> Sighting | None:
    """One step on along the chain."""
    return sighting.next


def lerp(a: Box, b: Box, t: float) -> Box:
    """The box a share t of the way from a to b."""
    return (
        a[0] + (b[0] - a[0]) * t,
        a[1] + (b[1] - a[1]) * t,
        a[2] + (b[2] - a[2]) * t,
        a[3] + (b[3] - a[3]) * t,
    )


def grown(box: Box, scale: float) -> Box:
    """The box scaled about its own centre."""
    half_x, half_y = (box[2] - box[0]) * scale / 2, (box[3] - box[1]) * scale / 2
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y
