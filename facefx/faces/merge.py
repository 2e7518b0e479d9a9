"""Many sightings of one face, at several scales or in several tiles, become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facefx.geometry import Boxes, iou
from facefx.values import Detections

__all__ = ["Sightings", "gather", "merge"]

# How much more a surer sighting says about where the face is: its confidence to this power. Measured
# against truth boxes, 1 pulls boxes towards the coarse scale and the surest alone makes them jitter.
_SURENESS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Boxes of one picture before they are merged: (m, 4), (m,), (m, k, 2) in one frame of reference."""

    xyxy: Boxes
    confidence: NDArray[np.float32]
    keypoints: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.confidence)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Sightings:
        """The rows that an index array or a mask picks."""
        return Sightings(self.xyxy[rows], self.confidence[rows], self.keypoints[rows])

    @staticmethod
    def none(keypoints: int) -> Sightings:
        """Nothing seen."""
        return Sightings(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, keypoints, 2), np.float32)
        )

    @staticmethod
    def join(parts: Sequence[Sightings]) -> Sightings:
        """All parts, in order; at least one."""
        if len(parts) == 1:
            return parts[0]
        return Sightings(
            np.concatenate([part.xyxy for part in parts]),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.keypoints for part in parts]),
        )


def merge(seen: Sightings, *, iou_threshold: float = 0.3) -> Sightings:
    """Merge sightings of the same face, surest first: one row a face, most confident first.

    A sighting joins the surest remaining one that it overlaps by iou_threshold, and the members are
    averaged, the surer ones counting more; the result keeps the surest one's confidence. A small box
    inside a much larger one stays a face of its own: it may be one, and a face too many is the lesser
    harm.

    Source: the weighted non-maximum suppression of BlazeFace (Bazarevsky et al. 2019, §3.4).
    """
    if not len(seen):
        return seen
    seen = seen.take(np.argsort(-seen.confidence, kind="stable"))
    overlap = iou(seen.xyxy, seen.xyxy) > iou_threshold
    np.fill_diagonal(overlap, True)
    free = np.ones(len(seen), bool)
    tops: list[int] = []
    members: list[NDArray[np.bool_]] = []
    while free[top := int(free.argmax())]:  # the surest that is left
        tops.append(top)
        members.append(free & overlap[top])
        free ^= members[-1]
    weight = np.array(members) * seen.confidence**_SURENESS
    weight /= weight.sum(axis=1, keepdims=True)
    xyxy, points = weight @ seen.xyxy, weight @ seen.keypoints.reshape(len(seen), -1)
    shape = (len(tops), *seen.keypoints.shape[1:])
    return Sightings(xyxy.astype(np.float32), seen.confidence[tops], points.astype(np.float32).reshape(shape))


def gather(frames: Sequence[int], found: Sequence[Sightings], keypoints: int) -> Detections:
    """Put the sightings of several frames into one table, in the order of the frames asked for."""
    if not sum(len(seen) for seen in found):
        return Detections.empty(keypoints)
    rows = Sightings.join(found)
    position = np.repeat(np.asarray(frames, np.int64), [len(seen) for seen in found])
    return Detections(position, rows.xyxy, rows.confidence, rows.keypoints)
