"""YuNet at several scales: the default detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ModelError
from facefx.faces.glance import MOST_PLACES, TILE, Mosaic, places, tiles
from facefx.faces.merge import Sightings, gather, merge
from facefx.faces.picture import Upright, colour_planes, shrink_planes
from facefx.geometry import Boxes
from facefx.models.catalog import NetUse
from facefx.models.session import Session
from facefx.values import Detections, FrameBatch, Planes, StreamFormat

__all__ = ["YuNet", "default_scales", "look_sizes"]

KEYPOINTS = 5
_STEP = 32
_STRIDES = (8, 16, 32)
_MOST_SIZES = 16  # a stream asks for two or three; whoever looks at photos asks for any


def default_scales(long_side: float) -> tuple[int, int]:
    """The two long sides at which a picture is looked at, unless the plan names others.

    The fine one is 0.4 of the picture, but 512 at least and 1280 at most: a face of about 20 pixels
    is seen in 720p and in 1080p alike, and the look costs a fixed share of decoding and encoding.
    The coarse one is a quarter of it, for faces that fill the picture or are cut by its edge; a half
    finds hardly more of them, at four times the cost.

    >>> default_scales(1280), default_scales(1920), default_scales(352)
    ((512, 128), (768, 192), (512, 128))
    """
    fine = round(min(max(0.4 * long_side, 512), 1280))
    return fine, round(fine / 4)


def look_sizes(width: float, height: float, scales: Sequence[int] = ()) -> tuple[tuple[int, int], ...]:
    """The net's inputs for a picture, largest first: (width, height), multiples of 32, each once.

    scales: long sides; none: default_scales. A picture is never enlarged: where it is smaller than
    the largest scale, all scales shrink with it, so that the second look stays the coarser one. Each
    side goes to the nearest multiple, at least one: a face may stand up to a few percent wider or
    narrower, which costs less than computing a padded edge.

    >>> look_sizes(1280, 720), look_sizes(352, 288)
    (((512, 288), (128, 64)), ((352, 288), (96, 64)))
    """
    long_side = max(width, height)
    scales = sorted(scales or default_scales(long_side), reverse=True)
    fit = min(1.0, long_side / scales[0])
    sizes = [
        (_multiple(width * side * fit / long_side), _multiple(height * side * fit / long_side))
        for side in scales
    ]
    return tuple(dict.fromkeys(sizes))


def _multiple(pixels: float) -> int:
    return max(_STEP, round(pixels / _STEP) * _STEP)


@dataclass(frozen=True, slots=True)
class _Geometry:
    """How the pictures of one stream are looked at.

    sizes: of a whole look. coarse: half the finest of them, between two whole looks, for what comes
    into the picture.
    """

    upright: Upright
    sizes: tuple[tuple[int, int], ...]
    coarse: tuple[int, int]

    @staticmethod
    def of(format: StreamFormat, scales: Sequence[int]) -> _Geometry:
        upright = Upright(format)
        sizes = look_sizes(upright.width, upright.height, scales)
        return _Geometry(upright, sizes, (_multiple(sizes[0][0] / 2), _multiple(sizes[0][1] / 2)))


class YuNet:
    """YuNet-n looking at each picture at several sizes, merged.

    scales: long sides in pixels of the upright picture; none: chosen by its size, see default_scales.
    threshold: the lowest confidence that is reported. One thread at a time: buffers are kept.

    Source: Wu et al. 2023, YuNet; the read-out is that of the net's published post-processing.
    """

    name = "yunet"

    def __init__(
        self, session: Session, nets: tuple[NetUse, ...], scales: Sequence[int], threshold: float
    ) -> None:
        self.nets = nets
        self.scales = tuple(scales)
        self.threshold = threshold
        self._session: Session | None = session
        self._buffers: dict[tuple[int, int], NDArray[np.float32]] = {}
        self._cells: dict[tuple[int, int], NDArray[np.float32]] = {}
        self._last: _Geometry | None = None

    def detect(self, batch: FrameBatch, frames: Sequence[int]) -> Detections:
        """Look at the frames at these positions of the batch.

        Boxes in pixels of the stored picture; they may reach beyond its edges, as faces do.

        Raises ModelError if the net fails.
        """
        geometry = self._geometry(batch.format)
        found = [self._look(batch.view(frame), geometry) for frame in frames]
        return gather(frames, found, KEYPOINTS)

    def glance(self, batch: FrameBatch, frame: int, expected: Boxes, *, whole: bool) -> Detections:
        """Look closely where faces are expected, and, if `whole`, at all of the picture coarsely.

        Raises ModelError if the net fails.
        """
        return self._close_look(batch, frame, places(expected), whole)

    def inspect(self, batch: FrameBatch, frame: int, regions: Boxes) -> Detections:
        """Look at regions as finely as a whole look would, and at all of the picture coarsely.

        Raises ModelError if the net fails.
        """
        geometry = self._geometry(batch.format)
        finest = geometry.sizes[0][0] / geometry.upright.width
        return self._close_look(batch, frame, tiles(regions, TILE / finest), whole=True)

    def _close_look(self, batch: FrameBatch, frame: int, spots: Boxes, whole: bool) -> Detections:
        geometry, planes = self._geometry(batch.format), batch.view(frame)
        if len(spots) > MOST_PLACES:
            return gather([frame], [self._look(planes, geometry)], KEYPOINTS)
        parts = [self._look_at(planes, geometry.upright, *geometry.coarse)[0]] if whole else []
        if len(spots):
            mosaic = Mosaic(planes, geometry.upright, spots)
            # Merged first: crops do not overlap, and a face is then mapped once, not forty times.
            parts.append(mosaic.to_stored(merge(self._run(mosaic.picture[None]))))
        seen = merge(Sightings.join(parts)) if parts else Sightings.none(KEYPOINTS)
        return gather([frame], [seen], KEYPOINTS)

    def close(self) -> None:
        """Let go of the net; safe to call twice."""
        self._session = None
        self._buffers.clear()
        self._cells.clear()

    def _look(self, planes: Planes, geometry: _Geometry) -> Sightings:
        parts: list[Sightings] = []
        for width, height in geometry.sizes:
            # The next, smaller size is made from this one: cheaper than starting from the frame again.
            seen, planes = self._look_at(planes, geometry.upright, width, height)
            parts.append(seen)
        return merge(Sightings.join(parts))

    def _geometry(self, format: StreamFormat) -> _Geometry:
        """What the last stream's format says about sizes, kept: a stream asks for the same every time."""
        if self._last is None or self._last.upright.format is not format:
            self._last = _Geometry.of(format, self.scales)
        return self._last

    def _look_at(self, planes: Planes, upright: Upright, width: int, height: int) -> tuple[Sightings, Planes]:
        """Look at the whole picture at one size; also give its planes at that size."""
        small = shrink_planes(planes, *upright.stored_size(width, height))
        buffer = self._buffer(*small[0].shape)
        picture = upright.turn(colour_planes(small, upright.format.color, buffer))
        seen = self._run(picture[None])
        boxes = upright.boxes_to_stored(seen.xyxy, width, height)
        points = upright.points_to_stored(seen.keypoints, width, height)
        return Sightings(boxes, seen.confidence, points), small

    def _buffer(self, height: int, width: int) -> NDArray[np.float32]:
        """One picture's buffer per size, kept: a stream asks for the same two again and again."""
        if (height, width) not in self._buffers:
            _make_room(self._buffers)
            self._buffers[height, width] = np.empty((3, height, width), np.float32)
        return self._buffers[height, width]

    def _run(self, picture: NDArray[np.float32]) -> Sightings:
        if self._session is None:
            raise ModelError("detector yunet was asked to look after it was closed")
        out = self._session.run({"input": picture})
        size = picture.shape[3], picture.shape[2]
        if size not in self._cells:
            _make_room(self._cells)
            self._cells[size] = _cells(*size)
        return _read(out, self._cells[size], self.threshold)


def _make_room(kept: dict[tuple[int, int], NDArray[np.float32]]) -> None:
    """Let go of what was made first where as many sizes are kept as may."""
    while len(kept) >= _MOST_SIZES:
        del kept[next(iter(kept))]


def _read(out: dict[str, NDArray[np.float32]], cells: NDArray[np.float32], threshold: float) -> Sightings:
    """Read the grids of all strides: the cells whose sqrt(cls · obj) reaches the threshold.

    cells: (n, 3), see _cells.
    """
    square = _joined(out, "cls") * _joined(out, "obj")
    found = np.flatnonzero(square >= threshold * threshold)
    if not len(found):
        return Sightings.none(KEYPOINTS)
    place = cells[found]
    corner, stride = place[:, :2], place[:, 2:]
    box = _joined(out, "bbox")[found]
    centre = (corner + box[:, :2]) * stride
    half = np.exp(box[:, 2:]) * (stride / 2)
    xyxy = np.empty((len(found), 4), np.float32)
    np.subtract(centre, half, out=xyxy[:, :2])
    np.add(centre, half, out=xyxy[:, 2:])
    points = _joined(out, "kps")[found].reshape(-1, KEYPOINTS, 2)
    points += corner[:, None]
    points *= stride[:, None]
    return Sightings(xyxy, np.sqrt(square[found, 0]), points)


def _joined(out: dict[str, NDArray[np.float32]], head: str) -> NDArray[np.float32]:
    """One head's (n, k) rows of all strides; one pass over all is cheaper than three."""
    return np.concatenate([out[f"{head}_{stride}"][0] for stride in _STRIDES])


def _cells(width: int, height: int) -> NDArray[np.float32]:
    """Where each cell of the net's grids is, in strides, and its stride: (n, 3) x, y, stride."""
    parts = []
    for stride in _STRIDES:
        rows, columns = np.indices((height // stride, width // stride))
        parts.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(parts, dtype=np.float32)
