"""Boxes in plain NumPy: `xyxy`, float32, half-open pixels of the stored picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ShapeError

__all__ = ["Boxes", "area", "as_boxes", "iou", "nms", "to_rotated"]

Boxes = NDArray[np.float32]


def as_boxes(values: object) -> Boxes:
    """Return an (n, 4) float32 array; an empty input gives (0, 4).

    Raises ShapeError if the last axis is not 4.

    >>> as_boxes([]).shape
    (0, 4)
    """
    boxes = np.asarray(values, dtype=np.float32)
    if boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes must be (n, 4) xyxy, got {boxes.shape}")
    return boxes


def area(xyxy: Boxes) -> NDArray[np.float32]:
    """Return (n,) areas in square pixels; a box turned inside out has area 0."""
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0)
    return np.asarray(size[:, 0] * size[:, 1], np.float32)


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Return the (n, m) intersection over union of every pair.

    >>> float(iou(as_boxes([[0, 0, 2, 2]]), as_boxes([[1, 0, 3, 2]]))[0, 0])
    0.3333333432674408
    """
    # Side by side, not stacked: a reduction over an axis of two costs more than the rest.
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    inner = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = area(a)
    union = area_a[:, None] + (area_a if b is a else area(b))[None, :] - inner
    return np.asarray(inner / np.maximum(union, 1e-9), np.float32)


def nms(xyxy: Boxes, confidence: NDArray[np.float32], iou_threshold: float = 0.3) -> NDArray[np.intp]:
    """Keep the best box of each overlapping group, most confident first.

    Ties go to the earlier row, so the result does not depend on the sort's mood.

    >>> nms(as_boxes([[0, 0, 9, 9], [1, 1, 9, 9]]), np.float32([.8, .9])).tolist()
    [1]
    """
    order = np.argsort(-confidence, kind="stable")
    overlap = iou(xyxy, xyxy) > iou_threshold
    keep: list[int] = []
    for row in order:
        if not overlap[row, keep].any():
            keep.append(int(row))
    return np.asarray(keep, np.intp)


def to_rotated(xyxy: Boxes, turns: int, width: int, height: int) -> Boxes:
    """Map boxes into a picture that is turned `turns` quarter turns anticlockwise, as np.rot90 does.

    width, height: of the picture before the turn.

    >>> to_rotated(as_boxes([[0, 0, 10, 20]]), 1, 100, 50).tolist()
    [[0.0, 90.0, 20.0, 100.0]]
    """
    x0, y0, x1, y1 = xyxy.T
    for _ in range(turns % 4):
        x0, y0, x1, y1 = y0, width - x1, y1, width - x0
        width, height = height, width
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.float32)
