"""The nets of a process: each is loaded once, however many segments use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from facefx.faces.detector import Detector, DetectorSpec, make_detector
from facefx.faces.landmarker import LandmarkerSpec, load_mesh
from facefx.faces.mesh import MeshNet

__all__ = ["Nets"]


class Nets:
    """Lends the nets that plans name, by their spec. For one thread; whoever made it closes it."""

    def __init__(self) -> None:
        self._detectors: dict[DetectorSpec, Detector] = {}
        self._meshes: dict[LandmarkerSpec, MeshNet] = {}

    def detector(self, spec: DetectorSpec) -> Detector:
        """The detector of this spec; it stays this object's to close.

        Raises WeightsMismatchError, ConfigError, ModelError.
        """
        if spec not in self._detectors:
            self._detectors[spec] = make_detector(spec)
        return self._detectors[spec]

    def mesh(self, spec: LandmarkerSpec) -> MeshNet:
        """The mesh net of this spec; closing what is lent lets go of nothing.

        Raises WeightsMismatchError, ConfigError, ModelError.
        """
        if spec not in self._meshes:
            self._meshes[spec] = load_mesh(spec)
        return _Lent(self._meshes[spec])

    def close(self) -> None:
        """Let every net go; safe to call twice."""
        closing: list[Callable[[], None]] = [detector.close for detector in self._detectors.values()]
        closing += [mesh.close for mesh in self._meshes.values()]
        self._detectors.clear()
        self._meshes.clear()
        for close in closing:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Lent:
    """A mesh net that outlives those who use it."""

    def __init__(self, net: MeshNet) -> None:
        self._net = net
        self.size = net.size

    def look(self, crops: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._net.look(crops)

    def close(self) -> None:
        """The net is whose it was."""
