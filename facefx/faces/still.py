"""Face Mesh on a single RGB picture, by MediaPipe's own path: detection → square → landmarks.

Videos and photos go through FaceLandmarker.process, which needs no RGB frame; this is the same code
behind an RGB picture, for comparison with MediaPipe and for pictures that are RGB already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facefx.faces.crop import warp
from facefx.faces.mesh import MeshNet
from facefx.faces.mesh_track import PRESENT
from facefx.faces.roi import Roi
from facefx.geometry import Boxes

__all__ = ["mesh_at", "mesh_static"]

Points = NDArray[np.float64]
Picture = NDArray[np.uint8]


def mesh_at(net: MeshNet, picture: Picture, roi: Roi) -> Points | None:
    """The (p, 3) landmarks in one square of an RGB picture, in its pixels; None where no face is there.

    Called again with Roi.of_landmarks of what it gave, it is MediaPipe's tracking mode.
    """
    landmarks, scores = net.look([warp(picture, roi.matrix(net.size), net.size)])
    return roi.to_picture(landmarks[0], net.size) if scores[0] >= PRESENT else None


def mesh_static(
    net: MeshNet, picture: Picture, xyxy: Boxes, keypoints: NDArray[np.float32]
) -> Sequence[Points | None]:
    """Landmarks for each box that a detector saw, in pixels, as MediaPipe's static mode has them.

    keypoints: (n, k ≥ 2, 2), the subject's right eye first, then the left, as BlazeFace orders them.
    """
    rois = [
        Roi.of_detection((box[0], box[1], box[2], box[3]), points[0], points[1])
        for box, points in zip(np.asarray(xyxy, float).tolist(), keypoints, strict=True)
    ]
    return [mesh_at(net, picture, roi) for roi in rois]
