"""The mesh of each face from frame to frame: where to look, what to believe, when to begin anew."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.faces.crop import Cropper
from facefx.faces.mesh import MeshNet
from facefx.faces.one_euro import OneEuro
from facefx.faces.policy import Clock
from facefx.faces.roi import Roi, bounds
from facefx.values import FrameBatch, Planes

__all__ = [
    "GAP_S",
    "SAME_FACE",
    "Box",
    "FaceFrame",
    "Last",
    "MeshStats",
    "MeshTracks",
    "Missing",
    "Points",
    "Restart",
    "Sight",
]

Box = tuple[float, float, float, float]
Points = NDArray[np.float64]

# Source: mediapipe/modules/face_landmark/face_landmark_cpu.pbtxt, min_score_thresh.
PRESENT = 0.5
# Landmarks that share less than this with their face's box belong to somebody else, or to nobody.
SAME_FACE = 0.3
# Two meshes that share more than this are one face twice.
_ONE_FACE = 0.6
# A face not met for longer is met anew.
GAP_S = 0.5
# A net is nearly as sure of a head that hangs down and draws an upright mesh on it: on stills it gives
# 1 - 1e-6 at most to those, and more than that to 19 in 20 upright ones. Those that are tilted get it at a
# second look or a third.
_UPRIGHT, _DOUBTS = 1 - 1e-6, 2
_TURNS = (0.0, math.pi / 2, -math.pi / 2, math.pi)
_EIGHTH = math.pi / 4
# How often all turns are tried while nothing is seen.
_SEARCH_S = 0.25
# A mesh found at a box is looked at again from where it lies, until its square moves by less than this
# share of its side: on stills each look halves the distance to where it comes to rest, from 1.1 % of the
# face's size to 0.2 % after two.
_SETTLED, _SETTLING = 0.01, 4


class Restart(StrEnum):
    """Why a face that was followed was looked for at its box again."""

    LOST = "lost"  # the net saw no face where it was
    DRIFTED = "drifted"  # the mesh left the box


class Missing(StrEnum):
    """Why a row has no landmarks."""

    NO_FACE = "no_face"  # the net's score: too small, turned away or covered
    ELSEWHERE = "elsewhere"  # the mesh lies beside the box
    DOUBLE = "double"  # another row has the same mesh, and fits it better
    NO_BOX = "no_box"  # the box is empty


@dataclass(slots=True)
class MeshStats:
    """Counts over all frames so far. starts: faces met for the first time, or after half a second.

    between: how many of the meshed were taken from a line between two looks.
    """

    faces: int = 0
    meshed: int = 0
    between: int = 0
    starts: int = 0
    net_runs: int = 0
    restarts: Counter[Restart] = field(default_factory=Counter)
    missing: Counter[Missing] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "faces": self.faces,
            "meshed": self.meshed,
            "between": self.between,
            "starts": self.starts,
            "net_runs": self.net_runs,
            "restarts": {reason.value: self.restarts[reason] for reason in Restart},
            "missing": {reason.value: self.missing[reason] for reason in Missing},
        }


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """One frame of a batch and the boxes of its faces by track_id, in pixels of the upright picture."""

    pts: int
    batch: FrameBatch
    position: int
    boxes: Mapping[int, Box]

    @cached_property
    def planes(self) -> Planes:
        """Of the whole frame; a frame that nobody looks at is not asked for any."""
        return self.batch.view(self.position)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A mesh in the upright picture. roi: where to look next. fit: how much its box and the face's share.

    looked: by the net; False where it was taken from a line between two that were.
    """

    points: Points
    roi: Roi
    box: Box
    fit: float
    score: float
    looked: bool = True

    @staticmethod
    def of(points: Points, box: Box, score: float, *, looked: bool = True) -> Sight:
        """What landmarks say of where the face is. box: the face's, by its detector."""
        own = bounds(points)
        return Sight(points, Roi.of_landmarks(points, own), own, overlap(own, box), score, looked)

    @property
    def size(self) -> float:
        """The longer side of its box, in pixels; at least one."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1], 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Last:
    """A face in the last frame that has it: pts, mesh, and its pixels where they were kept."""

    pts: int
    sight: Sight
    glimpse: NDArray[np.uint8] | None


@dataclass(slots=True)
class _Track:
    """What is remembered of one face: where to look next, what smooths it, and when that was fed.

    met: pts of the last frame that has the face. sight: its mesh there, not smoothed; glimpse: its pixels
    there, where it was asked for. roll: how the head was turned when it was last seen. searched: the cell
    of pts in which every turn was tried last.
    """

    met: int
    sight: Sight | None = None
    glimpse: NDArray[np.uint8] | None = None
    roi: Roi | None = None
    roll: float | None = None
    filter: OneEuro | None = None
    fed: int = 0
    searched: int | None = None


class MeshTracks:
    """Follows the meshes of one stream's faces; everything in pixels of the upright picture.

    smoothing: (min_cutoff, beta) of the One-Euro filter, or None. The net stays the caller's to close.
    """

    def __init__(
        self, net: MeshNet, cropper: Cropper, clock: Clock, smoothing: tuple[float, float] | None
    ) -> None:
        self.stats = MeshStats()
        self._net = net
        self._cropper = cropper
        self._clock = clock
        self._smoothing = smoothing
        self._gap = clock.ticks(GAP_S)
        self._search = max(1, clock.ticks(_SEARCH_S))
        self._tracks: dict[int, _Track] = {}
        self._now: int | None = None

    def __len__(self) -> int:
        """How many faces are remembered."""
        return len(self._tracks)

    def seconds(self, ticks: int) -> float:
        """What so many ticks of the stream last."""
        return self._clock.seconds(ticks)

    def clear(self) -> None:
        """Forget everybody."""
        self._tracks.clear()

    def advance(self, pts: int) -> None:
        """A frame comes: forget who was not met for a while, and everybody where time runs backwards."""
        if self._now is not None and pts <= self._now:
            self._tracks.clear()
        self._now = pts
        for track_id in [key for key, track in self._tracks.items() if pts - track.met > self._gap]:
            del self._tracks[track_id]

    def last(self, track_id: int) -> Last | None:
        """What is known of a face in the last frame that has it; None where that had no mesh."""
        track = self._tracks.get(track_id)
        if track is None or track.sight is None:
            return None
        return Last(track.met, track.sight, track.glimpse)

    def keep_glimpse(self, frame: FaceFrame) -> None:
        """Remember the pixels of the faces that were just seen in a frame, to compare later ones with."""
        for track_id in frame.boxes:
            track = self._tracks[track_id]
            if track.sight is not None:
                track.glimpse = self.glimpse(frame.planes, track.sight.box)

    def glimpse(self, planes: Planes, box: Box) -> NDArray[np.uint8]:
        """What lies within a box, in miniature; see Cropper.glimpse."""
        return self._cropper.glimpse(planes[0], box)

    def look(
        self, frame: FaceFrame, known: Mapping[int, Sight] | None = None, *, anew: bool = False
    ) -> list[Points | None]:
        """The landmarks of one frame's faces, in the order of its boxes; `advance` announced the frame.

        known: meshes by track_id that need no look. anew: see `afresh`.

        Raises ModelError if the net fails.
        """
        known = known or {}
        self.stats.faces += len(frame.boxes)
        sights: list[Sight | None] = []
        for track_id, box in frame.boxes.items():
            if track_id not in self._tracks:
                self.stats.starts += 1
                self._tracks[track_id] = _Track(frame.pts)
            track = self._tracks[track_id]
            track.met = frame.pts
            sights.append(known.get(track_id) or self._find(frame.planes, track, box, anew))
        for i in _doubles(sights):
            self.stats.missing[Missing.DOUBLE] += 1
            sights[i] = None
        return [
            self._conclude(self._tracks[track_id], frame.pts, sight)
            for track_id, sight in zip(frame.boxes, sights, strict=True)
        ]

    def _find(self, planes: Planes, track: _Track, box: Box, anew: bool) -> Sight | None:
        """One face: where it was, else at its box."""
        if not (box[2] - box[0] >= 1 and box[3] - box[1] >= 1):
            self.stats.missing[Missing.NO_BOX] += 1
            return None
        if track.roi is not None:
            sight = self.afresh(planes, track.roi.roll, box) if anew else None
            if sight is None or sight.fit < SAME_FACE:
                sight = self.see(planes, track.roi, box)
            if sight is not None and sight.fit >= SAME_FACE:
                return sight
            self.stats.restarts[Restart.LOST if sight is None else Restart.DRIFTED] += 1
            track.filter = None
        return self._start(planes, track, box)

    def _start(self, planes: Planes, track: _Track, box: Box) -> Sight | None:
        """Look at the box, then again where the mesh says that the face is."""
        sight = self._settled(planes, self._at_box(planes, track, box), box)
        if sight is None:
            self.stats.missing[Missing.NO_FACE] += 1
        elif sight.fit < SAME_FACE:
            self.stats.missing[Missing.ELSEWHERE] += 1
            sight = None
        return sight

    def _settled(self, planes: Planes, sight: Sight | None, box: Box) -> Sight | None:
        """Look at a face again from where its mesh lies, until it lies still; None where that loses it."""
        for _ in range(_SETTLING):
            if sight is None:
                break
            before, sight = sight.roi, self.see(planes, sight.roi, box)
            if sight is not None and before.is_near(sight.roi, _SETTLED):
                break
        return sight

    def afresh(self, planes: Planes, roll: float, box: Box) -> Sight | None:
        """Look at a face that is followed as if it were met here, for its box and about its roll.

        Where a net looks depends on where it looked before, so two workers that began at different frames
        may never quite meet. Here they do.

        Raises ModelError if the net fails.
        """
        turned = round(roll / _EIGHTH) * _EIGHTH
        return self._settled(planes, self.see(planes, Roi.around(box, turned), box), box)

    def _at_box(self, planes: Planes, track: _Track, box: Box) -> Sight | None:
        """Look at a box, which does not say how the head is turned.

        As it was turned last, or else upright. Where that is not enough every turn is tried, and the
        surest wins; in a face that is seen no better, once in a cell of pts, so that every worker
        tries in the same frames.
        """
        sight = self._at_turn(planes, box, track.roll or 0.0)
        if sight is not None and (track.roll is not None or sight.score >= _UPRIGHT):
            return sight
        cell = track.met // self._search
        if cell == track.searched:
            return None
        track.searched = cell
        turns = _TURNS[1:] if track.roll is None else _TURNS
        sights = [sight, *(self._at_turn(planes, box, turn) for turn in turns)]
        return max((s for s in sights if s is not None), key=lambda s: s.score, default=None)

    def _at_turn(self, planes: Planes, box: Box, roll: float) -> Sight | None:
        """Look at a box for a head that is turned so; while that is not sure, again as the mesh lies.

        A head that is tilted is seen for sure after a look or two, one that was taken for another never is.
        """
        sight = self.see(planes, Roi.around(box, roll), box)
        for _ in range(_DOUBTS):
            if sight is None or sight.score >= _UPRIGHT:
                break
            again = self.see(planes, sight.roi, box)
            if again is None or sight.roi.is_near(again.roi, _SETTLED):
                break
            sight = again
        return sight

    def see(self, planes: Planes, roi: Roi, box: Box) -> Sight | None:
        """Run the net once; None where it says that there is no face.

        Raises ModelError if the net fails.
        """
        landmarks, scores = self._net.look([self._cropper.crop(planes, roi)])
        self.stats.net_runs += 1
        if not scores[0] >= PRESENT:
            return None
        return Sight.of(roi.to_picture(landmarks[0], self._net.size), box, float(scores[0]))

    def _conclude(self, track: _Track, pts: int, sight: Sight | None) -> Points | None:
        """Remember where to look next, and smooth."""
        track.sight, track.glimpse = sight, None
        if sight is None:
            track.roi = track.filter = None
            return None
        self.stats.meshed += 1
        self.stats.between += not sight.looked
        track.roi, track.roll = sight.roi.snapped(), sight.roi.roll
        if self._smoothing is None:
            return sight.points
        if track.filter is None:
            track.filter = OneEuro(*self._smoothing)
        passed, track.fed = pts - track.fed, pts
        return track.filter.step(sight.points, self._clock.seconds(passed), sight.size)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, in plain numbers: for one pair arrays cost ten times as much."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inner = width * height
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def _doubles(sights: Sequence[Sight | None]) -> set[int]:
    """Which sights are the same mesh as one that fits its box better; the earlier one wins a draw."""
    seen = [(i, sight) for i, sight in enumerate(sights) if sight is not None]
    kept: list[Box] = []
    doubles = set()
    for i, sight in sorted(seen, key=lambda pair: -pair[1].fit):
        if any(overlap(sight.box, other) > _ONE_FACE for other in kept):
            doubles.add(i)
        else:
            kept.append(sight.box)
    return doubles
