"""Face Mesh as a function: crops in, landmarks and presence out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ModelError
from facefx.faces.topology import Topology
from facefx.models.session import Session

__all__ = ["FaceMesh", "MeshNet"]

Crop = NDArray[np.uint8]


class MeshNet(Protocol):
    """Sees the landmarks of one face in a crop around it."""

    size: int

    def look(self, crops: Sequence[Crop]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks (n, p, 3) in samples of the crop and the confidence (n,) that a face is there.

        crops: (size, size, 3) uint8 RGB each; an answer depends on its own crop only.
        """
        ...

    def close(self) -> None:
        """Let go of the net; safe to call twice."""
        ...


class FaceMesh:
    """Face Mesh, with 468 points or, by the attention net, 478. One thread at a time.

    Raises ModelError where the session's net is another one than the topology needs.

    Source: Kartynnik et al. 2019, arXiv 1907.06724; Grishchenko et al. 2020, arXiv 2006.10962; nets of
    MediaPipe 0.10.21.
    """

    def __init__(self, session: Session, topology: Topology) -> None:
        shape = session.inputs.get("image", ())
        size = shape[1] if len(shape) == 4 else None
        if not isinstance(size, int) or not {"landmarks", "score"} <= set(session.outputs):
            raise ModelError(
                f"net {session.name!r} is no face mesh: expected image (N, S, S, 3) to landmarks and score, "
                f"got {session.inputs} to {session.outputs}"
            )
        self.size = size
        self.points = topology.points
        self._topology = topology
        self._session: Session | None = session

    def look(self, crops: Sequence[Crop]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See MeshNet.look. One crop at a time: a net may round differently in company.

        Raises ModelError if the net fails or was closed.
        """
        if self._session is None:
            raise ModelError("a face mesh was asked to look after it was closed")
        answers = [self._session.run({"image": crop[None]}) for crop in crops]
        if not answers:
            return np.zeros((0, self._topology.points, 3), np.float32), np.zeros(0, np.float32)
        landmarks = np.concatenate([answer["landmarks"] for answer in answers])
        expected = (len(crops), self._topology.points, 3)
        if landmarks.shape != expected:
            raise ModelError(
                f"net {self._session.name!r} gave landmarks {landmarks.shape}, expected {expected} for "
                f"topology {self._topology.name!r}"
            )
        return landmarks, np.concatenate([answer["score"] for answer in answers])

    def close(self) -> None:
        """Let go of the net; safe to call twice."""
        self._session = None
