"""BlazeFace in square tiles: the detector that ships with the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ModelError
from facefx.faces.merge import Sightings, gather, merge
from facefx.faces.picture import Upright, colour_planes, shrink_planes
from facefx.geometry import Boxes
from facefx.models.catalog import NetUse
from facefx.models.session import Session
from facefx.values import Detections, FrameBatch, Planes

__all__ = ["BlazeFace", "look_at_squares", "tiles"]

KEYPOINTS = 6
# Share of a tile's side that the next one overlaps, at least: a face up to that large is whole in one.
_OVERLAP = 0.5

Tile = tuple[float, float, float]  # left, top, side


def tiles(width: float, height: float, percents: Sequence[int]) -> list[Tile]:
    """Squares that cover a picture: (left, top, side) each, sides in percent of the short side.

    They are spread evenly from edge to edge and overlap by half of their side at least, so that a
    face is whole in one of them wherever it stands. The net looks at 192 pixels a square: it finds
    nothing under a twentieth of the side, which is why a whole picture is too coarse.

    >>> tiles(1280, 720, (100,))
    [(0.0, 0.0, 720.0), (280.0, 0.0, 720.0), (560.0, 0.0, 720.0)]
    """
    found: list[Tile] = []
    for percent in sorted(set(percents), reverse=True):
        side = min(width, height) * percent / 100
        found += [(x, y, side) for y in _spread(height, side) for x in _spread(width, side)]
    return found


def _spread(length: float, side: float) -> list[float]:
    if length <= side:
        return [0.0]
    steps = int(np.ceil((length - side) / (side * (1 - _OVERLAP))))
    return [float(start) for start in np.linspace(0, length - side, steps + 1)]


def look_at_squares(session: Session, squares: NDArray[np.uint8], threshold: float) -> list[Sightings]:
    """Run BlazeFace on (n, S, S, 3) uint8 RGB squares: for each what was seen, as fractions of the square.

    threshold: the lowest confidence that takes part in MediaPipe's weighted suppression.

    Raises ModelError if the squares have another size than the net's.
    """
    out = session.run({"image": squares, "threshold": np.array([threshold], np.float32)})
    found = []
    for boxes, keypoints, scores in zip(out["boxes"], out["keypoints"], out["scores"], strict=True):
        real = scores > 0
        found.append(Sightings(boxes[real], scores[real], keypoints[real]))
    return found


class BlazeFace:
    """BlazeFace in overlapping square tiles, merged across them.

    percents: tile sides in percent of the picture's short side. threshold: the lowest confidence
    that is reported. One thread at a time.

    Source: Bazarevsky et al. 2019, BlazeFace; nets and constants of MediaPipe 0.10.21.
    """

    def __init__(
        self,
        session: Session,
        nets: tuple[NetUse, ...],
        percents: Sequence[int],
        threshold: float,
        *,
        name: str,
    ) -> None:
        self.name = name
        self.nets = nets
        self.percents = tuple(percents)
        self.threshold = threshold
        shape = session.inputs.get("image", ())
        size = shape[1] if len(shape) == 4 else None
        if not isinstance(size, int):
            raise ModelError(
                f"net {session.name!r} is no BlazeFace: expected image (N, S, S, 3), got {session.inputs}"
            )
        self._size = size
        self._session: Session | None = session

    def detect(self, batch: FrameBatch, frames: Sequence[int]) -> Detections:
        """Look at the frames at these positions of the batch.

        Boxes in pixels of the stored picture; they may reach beyond its edges, as faces do.

        Raises ModelError if the net fails.
        """
        upright = Upright(batch.format)
        found = [self._look(batch.view(frame), upright) for frame in frames]
        return gather(frames, found, KEYPOINTS)

    def glance(self, batch: FrameBatch, frame: int, expected: Boxes, *, whole: bool) -> Detections:
        """Look at the whole picture: tiles of it cost no more than close looks would."""
        return self.detect(batch, [frame])

    def inspect(self, batch: FrameBatch, frame: int, regions: Boxes) -> Detections:
        """Look at the whole picture, for the same reason."""
        return self.detect(batch, [frame])

    def close(self) -> None:
        """Let go of the net; safe to call twice."""
        self._session = None

    def _look(self, planes: Planes, upright: Upright) -> Sightings:
        if self._session is None:
            raise ModelError(f"detector {self.name} was asked to look after it was closed")
        places = tiles(upright.width, upright.height, self.percents)
        squares = np.concatenate([self._square(planes, upright, tile) for tile in places])
        parts = []
        for (left, top, side), seen in zip(
            places, look_at_squares(self._session, squares, self.threshold), strict=True
        ):
            origin = np.array([left, top], np.float32)
            boxes = seen.xyxy * np.float32(side) + np.tile(origin, 2)
            points = seen.keypoints * np.float32(side) + origin
            parts.append(
                Sightings(
                    upright.boxes_to_stored(boxes, upright.width, upright.height),
                    seen.confidence,
                    upright.points_to_stored(points, upright.width, upright.height),
                )
            )
        return merge(Sightings.join(parts))

    def _square(self, planes: Planes, upright: Upright, tile: Tile) -> NDArray[np.uint8]:
        """One tile as (1, S, S, 3) RGB, cut from the planes where they lie."""
        left, top, side = tile
        box = np.array([[left, top, left + side, top + side]], np.float32)
        stored = upright.boxes_to_stored(box, upright.width, upright.height)[0]
        parts = tuple(_cut(plane, stored, upright) for plane in planes)
        picture = upright.turn(
            colour_planes(shrink_planes(parts, self._size, self._size), upright.format.color)
        )
        return np.asarray(np.clip(np.rint(picture[::-1]), 0, 255), np.uint8).transpose(1, 2, 0)[None]


def _cut(plane: NDArray[Any], stored: NDArray[np.float32], upright: Upright) -> NDArray[Any]:
    """The part of a plane under a box of the stored picture, to the nearest sample."""
    rows, columns = plane.shape[:2]
    scale = np.array([columns / upright.format.width, rows / upright.format.height] * 2)
    x0, y0, x1, y1 = np.rint(stored * scale).astype(int)
    return plane[max(y0, 0) : max(y1, y0 + 1), max(x0, 0) : max(x1, x0 + 1)]
