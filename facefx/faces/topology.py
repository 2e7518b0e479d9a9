"""What the points of a face mesh are: named regions as outlines, and the triangles between points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ConfigError

__all__ = ["Topology", "topology", "topology_names"]

_POINTS = MappingProxyType({"mediapipe-468": 468, "mediapipe-478": 478})


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """The points of one kind of mesh.

    triangles: (n, 3) int32, read-only, all wound the same way; eyes and mouth are holes. regions:
    outlines as ordered loops of points, the first not repeated; left and right are the subject's.
    The irises exist with 478 points only: their four rim points are a region, their centres are
    point 473 (left) and 468 (right).

    Source: connection tables of MediaPipe 0.10.21, see facefx.faces.topology_build.
    """

    name: str
    points: int
    triangles: NDArray[np.int32]
    regions: Mapping[str, tuple[int, ...]]


def topology_names() -> tuple[str, ...]:
    """Every topology there is."""
    return tuple(_POINTS)


@cache
def topology(name: str) -> Topology:
    """Look a topology up by name; the same object each time.

    Raises ConfigError for a name that is unknown.

    >>> topology("mediapipe-468").triangles.shape
    (852, 3)
    """
    points = _POINTS.get(name)
    if points is None:
        raise ConfigError(f"topology {name!r} is unknown; expected one of {', '.join(_POINTS)}")
    text = files("facefx.faces").joinpath("data", "mediapipe_face.json").read_text(encoding="utf-8")
    tables = json.loads(text)
    triangles = np.array(tables["triangles"], np.int32)
    triangles.flags.writeable = False
    regions = {key: tuple(loop) for key, loop in tables["regions"].items() if max(loop) < points}
    return Topology(name, points, triangles, MappingProxyType(regions))
