"""Which mesh net is used, and the stage that gives every face of a stream its landmarks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ConfigError, ShapeError, WeightsMismatchError
from facefx.faces.crop import Cropper
from facefx.faces.mesh import FaceMesh, MeshNet
from facefx.faces.mesh_track import MeshStats, MeshTracks
from facefx.faces.policy import Clock
from facefx.faces.topology import Topology, topology
from facefx.models.catalog import LicencePolicy, check_licence, get_card
from facefx.models.store import find_weights, load_session
from facefx.values import Faces, FrameBatch, Planes, StreamFormat

__all__ = [
    "SMOOTHING",
    "FaceLandmarker",
    "LandmarkerSpec",
    "MeshStats",
    "choose_landmarker",
    "landmarker_names",
]

_log = logging.getLogger("facefx.faces")

_TOPOLOGIES = MappingProxyType({"facemesh-468": "mediapipe-468", "facemesh-478": "mediapipe-478"})
_DEFAULT = "facemesh-468"
# A still held for 60 frames under noise of 4 levels: 0.41 of the net's own jitter, which is 0.2 % of the
# face's size. The fastest tenth of four clips of turning heads: 0.5 % of the face's size behind the net.
SMOOTHING = (0.5, 80.0)
_STEP = 64  # landmarks are multiples of 1/64 pixel


@dataclass(frozen=True, slots=True)
class LandmarkerSpec:
    """The landmarker that a plan fixes: plain values, so that a worker elsewhere makes the same one.

    name, net: as in the catalog. sha256: of the net's file. smoothing: (min_cutoff in Hz, beta) of
    the One-Euro filter, or None for landmarks as the net gives them. reason: why this one was chosen.
    """

    name: str
    net: str
    sha256: str
    topology: str
    device: str = "cpu"
    smoothing: tuple[float, float] | None = SMOOTHING
    reason: str = ""


def landmarker_names() -> tuple[str, ...]:
    """What may be asked for by name, besides "auto"."""
    return tuple(_TOPOLOGIES)


def choose_landmarker(
    wanted: str = "auto", device: str = "cpu", *, policy: LicencePolicy = "any"
) -> LandmarkerSpec:
    """Fix the landmarker when the plan is made, with the reason.

    "auto" is facemesh-468; facemesh-478 sees lips, eyes and irises more finely at about twice the cost.
    device: "cpu", "cuda:N", or "auto", which is resolved here: a plan has no "auto" left in it.

    Raises ConfigError for an unknown name; WeightsMissingError, WeightsMismatchError, LicenceError,
    ModelError.
    """
    if wanted != "auto" and wanted not in _TOPOLOGIES:
        raise ConfigError(f"landmarker {wanted!r} is unknown; expected auto, {', '.join(_TOPOLOGIES)}")
    name = _DEFAULT if wanted == "auto" else wanted
    reason = "the default; it is the cheapest" if wanted == "auto" else "asked for by name"
    card = get_card(name)
    check_licence(card, policy)
    find_weights(card)
    if device == "auto":
        device = "cuda:0" if "CUDA" in load_session(card, device="auto").provider else "cpu"
    spec = LandmarkerSpec(name, card.name, card.sha256, _TOPOLOGIES[name], device, reason=reason)
    _log.info("landmarker chosen", extra={"landmarker": name, "reason": reason, "device": device})
    return spec


class FaceLandmarker:
    """Gives the faces of one stream their landmarks, batch after batch in presentation order.

    A face is followed by its track_id: the net looks where its landmarks were in the frame before.
    The first time, after a loss, and where landmarks and box disagree it looks at the box instead.
    Results do not depend on how frames are batched; a worker that begins two seconds early comes to
    the same landmarks within a few hundredths of a pixel. Remembered are the faces of the last half
    second. One thread at a time.

    net: another net than the spec's, which is then not loaded.

    Raises WeightsMismatchError where this installation's catalog names another file than the spec;
    ConfigError, ModelError.
    """

    def __init__(self, spec: LandmarkerSpec, format: StreamFormat, *, net: MeshNet | None = None) -> None:
        self.spec = spec
        self._topology = topology(spec.topology)
        self._net = net or _load(spec, self._topology)
        cropper = Cropper(format, self._net.size)
        self._placement = cropper.placement
        self._tracks = MeshTracks(self._net, cropper, Clock(format.time_base), spec.smoothing)

    @property
    def stats(self) -> MeshStats:
        """What was done so far, and why some rows have no landmarks."""
        return self._tracks.stats

    def process(self, batch: FrameBatch, faces: Faces) -> Faces:
        """Return the same rows with landmarks, NaN where the net sees no face.

        batch: the frames that the rows of `faces` point to; a track_id comes once a frame.

        Raises ShapeError if the rows do not fit the batch, ModelError if the net fails.
        """
        if len(faces) and not 0 <= int(faces.frame.min()) <= int(faces.frame.max()) < len(batch):
            raise ShapeError(
                f"faces must point to the {len(batch)} frames of their batch, got {faces.frame.tolist()}"
            )
        landmarks = np.full((len(faces), self._topology.points, 3), np.nan, np.float32)
        for position, pts in enumerate(batch.pts.tolist()):
            self._tracks.advance(pts)
            rows = np.flatnonzero(faces.frame == position).tolist()
            if rows:
                self._fill(landmarks, rows, batch.view(position), pts, faces)
        return faces.with_landmarks(landmarks, self._topology.name)

    def close(self) -> None:
        """Let go of the net and of every face; safe to call twice."""
        self._net.close()
        self._tracks.clear()

    def _fill(
        self, landmarks: NDArray[np.float32], rows: list[int], planes: Planes, pts: int, faces: Faces
    ) -> None:
        """Write the landmarks of one frame's rows."""
        ids = faces.track_id[rows].tolist()
        if len(set(ids)) < len(ids):
            raise ShapeError(f"a track comes once a frame, got track_id {ids} at pts {pts}")
        boxes = [self._placement.box_to_upright(box) for box in faces.xyxy[rows].tolist()]
        found = self._tracks.look(planes, pts, list(zip(ids, boxes, strict=True)))
        for row, points in zip(rows, found, strict=True):
            if points is not None:
                stored = self._placement.points_to_stored(points) * _STEP
                landmarks[row] = np.rint(stored, out=stored) * (1 / _STEP)


def _load(spec: LandmarkerSpec, kind: Topology) -> FaceMesh:
    """Load the very net that the spec names; a machine that lacks it fails, it never falls back."""
    card = get_card(spec.net)
    if card.sha256 != spec.sha256:
        raise WeightsMismatchError(
            f"net {spec.net!r}: the plan expects sha256 {spec.sha256}, the catalog of this installation "
            f"names {card.sha256}; install the facefx version that made the plan"
        )
    return FaceMesh(load_session(card, device=spec.device), kind)
