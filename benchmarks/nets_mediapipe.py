"""MediaPipe's half of bench_nets, run in an environment of its own: its Python solutions as they come."""

from __future__ import annotations

from typing import Any

import mediapipe  # type: ignore[import-not-found]
import numpy as np
from numpy.typing import NDArray

from benchmarks.nets_timing import Looker, main


def load(name: str) -> Looker:
    """A detector, or a mesh that follows one face: its detector runs on the first picture only."""
    solutions = mediapipe.solutions
    if name.startswith("blazeface"):
        detector = solutions.face_detection.FaceDetection(
            min_detection_confidence=0.5, model_selection=int(name == "blazeface-full")
        )
        return Looker(detector.process, _boxes)
    mesh = solutions.face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=name == "facemesh-478")
    return Looker(mesh.process, _points)


def _boxes(answer: Any) -> NDArray[Any]:
    """(n, 4) xyxy as fractions of the picture, most confident first."""
    seen = [item.location_data.relative_bounding_box for item in answer.detections or []]
    return np.array([[box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height] for box in seen])


def _points(answer: Any) -> NDArray[Any]:
    """(p, 2) as fractions of the picture."""
    faces = answer.multi_face_landmarks or []
    return np.array([[point.x, point.y] for face in faces[:1] for point in face.landmark])


if __name__ == "__main__":
    main(load)
