"""Which mesh net is used, and the stage that gives every face of a stream its landmarks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ConfigError, ShapeError, WeightsMismatchError
from facefx.faces.crop import Cropper
from facefx.faces.mesh import FaceMesh, MeshNet
from facefx.faces.mesh_leap import LEAP_S, look_window
from facefx.faces.mesh_track import FaceFrame, MeshStats, MeshTracks, Points
from facefx.faces.policy import Clock, Grid
from facefx.faces.topology import topology
from facefx.models.catalog import LicencePolicy, check_licence, get_card
from facefx.models.store import find_weights, load_session
from facefx.values import Faces, FrameBatch, StreamFormat

__all__ = [
    "SMOOTHING",
    "FaceLandmarker",
    "LandmarkerSpec",
    "MeshStats",
    "choose_landmarker",
    "landmarker_names",
    "load_mesh",
]

_log = logging.getLogger("facefx.faces")

_TOPOLOGIES = MappingProxyType({"facemesh-468": "mediapipe-468", "facemesh-478": "mediapipe-478"})
_DEFAULT = "facemesh-468"
# A still held for 60 frames under noise of 4 levels: 0.41 of the net's own jitter, which is 0.2 % of the
# face's size. The fastest tenth of four clips of turning heads: 0.5 % of the face's size behind the net.
SMOOTHING = (0.5, 80.0)
# In the key frame of each so-many-th cell faces are looked at afresh: after 1.4 seconds two workers have met,
# and what smooths their landmarks has 0.6 more to forget the rest.
_ANEW = 4
_STEP = 64  # landmarks are multiples of 1/64 pixel


@dataclass(frozen=True, slots=True)
class LandmarkerSpec:
    """The landmarker that a plan fixes: plain values, so that a worker elsewhere makes the same one.

    name, net: as in the catalog. sha256: of the net's file. smoothing: (min_cutoff in Hz, beta) of
    the One-Euro filter, or None for landmarks as the net gives them. leap_s: half of the longest time
    between two looks at a face that rests; 0: every frame is looked at. reason: why this one was chosen.
    """

    name: str
    net: str
    sha256: str
    topology: str
    device: str = "cpu"
    smoothing: tuple[float, float] | None = SMOOTHING
    leap_s: float = LEAP_S
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


@dataclass(slots=True)
class _Pending:
    """A batch whose landmarks are being found: open counts its frames that wait for the next key frame."""

    batch: FrameBatch
    faces: Faces
    landmarks: NDArray[np.float32]
    open: int


@dataclass(slots=True)
class _Waiting:
    """A frame behind the last key frame, and the rows of its faces."""

    frame: FaceFrame
    rows: list[int]
    pending: _Pending


class FaceLandmarker:
    """Gives the faces of one stream their landmarks, batch after batch in presentation order.

    A face is followed by its track_id: the net looks where its landmarks were before. The first time,
    after a loss, and where landmarks and box disagree it looks at the box instead. `push` and `flush`
    look ahead, so that a face that moves evenly is not looked at in every frame; `process` answers at
    once. Results do not depend on how frames are batched; a worker that begins two seconds early, and goes
    on for twice leap_s and a frame beyond its end, comes to the same landmarks within a few hundredths of a
    pixel. Remembered are the faces of the last half second. One thread at a time.

    net: another net than the spec's, which is then not loaded. anchor_pts: pts of the video's first
    frame, where the grid of key frames starts; otherwise that of the first frame that comes.
    frame_period: seconds from frame to frame, where the rate is constant and known.

    Raises WeightsMismatchError where this installation's catalog names another file than the spec;
    ConfigError, ModelError.
    """

    def __init__(
        self,
        spec: LandmarkerSpec,
        format: StreamFormat,
        *,
        net: MeshNet | None = None,
        anchor_pts: int | None = None,
        frame_period: Fraction | None = None,
    ) -> None:
        self.spec = spec
        self._topology = topology(spec.topology)
        self._net = net or load_mesh(spec)
        cropper = Cropper(format, self._net.size)
        self._placement = cropper.placement
        clock = Clock(format.time_base)
        self._tracks = MeshTracks(self._net, cropper, clock, spec.smoothing)
        self._grid = Grid(spec.leap_s, clock, frame_period) if spec.leap_s else None
        self._anchor = anchor_pts
        self._cell: int | None = None
        self._newest: int | None = None
        self._waiting: list[_Waiting] = []
        self._pending: deque[_Pending] = deque()

    @property
    def stats(self) -> MeshStats:
        """What was done so far, and why some rows have no landmarks."""
        return self._tracks.stats

    def process(self, batch: FrameBatch, faces: Faces) -> Faces:
        """Return the same rows with landmarks, NaN where the net sees no face; every frame is looked at.

        batch: the frames that the rows of `faces` point to; a track_id comes once a frame. Not to be
        mixed with `push`.

        Raises ShapeError if the rows do not fit the batch, ModelError if the net fails.
        """
        pending = self._admit(batch, faces)
        for waiting in self._frames(pending):
            self._tracks.advance(waiting.frame.pts)
            self._write(waiting, self._tracks.look(waiting.frame))
        return self._faces_of(pending)

    def push(self, batch: FrameBatch, faces: Faces) -> list[tuple[FrameBatch, Faces]]:
        """Take the next frames with their faces; return the batches whose landmarks are final, in order.

        Frames are kept by reference for twice the spec's leap_s, a frame and one batch, no longer.

        Raises what `process` raises.
        """
        pending = self._admit(batch, faces)
        self._pending.append(pending)
        for waiting in self._frames(pending):
            self._take(waiting)
        return self._finished()

    def flush(self) -> list[tuple[FrameBatch, Faces]]:
        """Nothing more comes: look at what still waits, and return all that is left.

        Raises ModelError if the net fails.
        """
        self._settle()
        self._cell = self._newest = None
        return self._finished()

    def close(self) -> None:
        """Let go of the net, of every face and of every frame; safe to call twice."""
        self._net.close()
        self._tracks.clear()
        self._waiting.clear()
        self._pending.clear()

    def _admit(self, batch: FrameBatch, faces: Faces) -> _Pending:
        if len(faces) and not 0 <= int(faces.frame.min()) <= int(faces.frame.max()) < len(batch):
            raise ShapeError(
                f"faces must point to the {len(batch)} frames of their batch, got {faces.frame.tolist()}"
            )
        landmarks = np.full((len(faces), self._topology.points, 3), np.nan, np.float32)
        return _Pending(batch, faces, landmarks, len(batch))

    def _frames(self, pending: _Pending) -> Iterator[_Waiting]:
        """The batch's frames, each with the rows and boxes of its faces.

        Raises ShapeError where a track comes twice in a frame.
        """
        batch, faces = pending.batch, pending.faces
        rows: list[list[int]] = [[] for _ in range(len(batch))]
        for row, position in enumerate(faces.frame.tolist()):
            rows[position].append(row)
        ids, boxes = faces.track_id.tolist(), faces.xyxy.tolist()
        for position, pts in enumerate(batch.pts.tolist()):
            here = {ids[row]: self._placement.box_to_upright(boxes[row]) for row in rows[position]}
            if len(here) < len(rows[position]):
                twice = [ids[row] for row in rows[position]]
                raise ShapeError(f"a track comes once a frame, got track_id {twice} at pts {pts}")
            yield _Waiting(FaceFrame(pts, batch, position, here), rows[position], pending)

    def _take(self, waiting: _Waiting) -> None:
        """Let a frame wait for the next key frame, or settle all that do where it is one."""
        pts = waiting.frame.pts
        if self._newest is not None and pts <= self._newest:
            self._settle()
            self._cell = None  # time ran backwards: what comes has no key frame before it
        self._newest = pts
        if self._anchor is None:
            self._anchor = pts
        cell = None if self._grid is None else self._grid.cell(pts - self._anchor)
        self._waiting.append(waiting)
        if cell is None or cell != self._cell:
            self._settle(anew=cell is not None and cell % _ANEW == 0)
        self._cell = cell

    def _settle(self, *, anew: bool = False) -> None:
        """Look at the frames that wait, up to the last of them."""
        if not self._waiting:
            return
        found = look_window(self._tracks, [waiting.frame for waiting in self._waiting], anew=anew)
        for waiting, points in zip(self._waiting, found, strict=True):
            self._write(waiting, points)
        self._waiting.clear()

    def _write(self, waiting: _Waiting, found: list[Points | None]) -> None:
        """Keep the landmarks of one frame's rows, in the stored picture."""
        for row, points in zip(waiting.rows, found, strict=True):
            if points is not None:
                stored = self._placement.points_to_stored(points) * _STEP
                waiting.pending.landmarks[row] = np.rint(stored, out=stored) * (1 / _STEP)
        waiting.pending.open -= 1

    def _finished(self) -> list[tuple[FrameBatch, Faces]]:
        done = []
        while self._pending and not self._pending[0].open:
            pending = self._pending.popleft()
            done.append((pending.batch, self._faces_of(pending)))
        return done

    def _faces_of(self, pending: _Pending) -> Faces:
        return pending.faces.with_landmarks(pending.landmarks, self._topology.name)


def load_mesh(spec: LandmarkerSpec) -> FaceMesh:
    """Load the very net that the spec names; a machine that lacks it fails, it never falls back.

    Raises WeightsMismatchError, ConfigError, ModelError.
    """
    card = get_card(spec.net)
    if card.sha256 != spec.sha256:
        raise WeightsMismatchError(
            f"net {spec.net!r}: the plan expects sha256 {spec.sha256}, the catalog of this installation "
            f"names {card.sha256}; install the facefx version that made the plan"
        )
    return FaceMesh(load_session(card, device=spec.device), topology(spec.topology))
