"""Frames as pictures that people look at, and the faces of a picture that is no video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.config import RunConfig
from facefx.effects.kernels import use_one_thread
from facefx.errors import ShapeError, SinkError
from facefx.faces.detector import make_detector
from facefx.faces.landmarker import FaceLandmarker
from facefx.faces.picture import Upright, colour_planes, shrink_planes
from facefx.faces.topology import topology
from facefx.pipeline.plan import make_analysis
from facefx.pipeline.stills import still_scales
from facefx.storage import publishing, staged
from facefx.values import Face, Faces, FaceSource, FrameBatch, Planes, StreamFormat
from facefx.video.still_pixels import planes_of
from facefx.video.still_source import open_still

__all__ = [
    "FoundFace",
    "FoundFaces",
    "Picture",
    "encoded",
    "find_faces",
    "read_photo",
    "save_picture",
    "upright_rgb",
]

Picture = NDArray[np.uint8]
"""(h, w, 3) red, green, blue."""

_GREEN = (60, 220, 90)


def upright_rgb(format: StreamFormat, planes: Planes) -> Picture:
    """A frame as a viewer sees it: turned upright, with square pixels, in the colours of its own matrix."""
    upright = Upright(format)
    width, height = upright.stored_size(round(upright.width), round(upright.height))
    parts = colour_planes(shrink_planes(planes, width, height), format.color)
    turned = upright.turn(np.clip(np.rint(parts), 0, 255).astype(np.uint8))
    return np.ascontiguousarray(turned[::-1].transpose(1, 2, 0))


def read_photo(url: str) -> Picture:
    """A photo, wherever it lies, upright.

    Raises SourceError, DamagedError, UnsupportedError.
    """
    with staged(url) as local:
        still = open_still(local, "png")
    return upright_rgb(still.format, still.planes)


def encoded(picture: Picture, suffix: str = ".png", *, quality: int | None = None) -> bytes:
    """A picture as the bytes of a file of that kind; quality: 0..100, of a WebP.

    Raises SinkError for a kind that cannot be written.
    """
    how = [] if quality is None else [cv2.IMWRITE_WEBP_QUALITY, quality]
    try:
        fine, data = cv2.imencode(suffix, picture[..., ::-1], how)
    except cv2.error as error:
        raise SinkError(f"pictures cannot be written as {suffix!r}; use .png, .jpg or .webp") from error
    if not fine:
        raise SinkError(f"a picture of {picture.shape[1]}x{picture.shape[0]} does not fit into {suffix!r}")
    return bytes(data.tobytes())


def save_picture(picture: Picture, path: str | Path) -> Path:
    """Write a picture whole or not at all; the suffix chooses the kind.

    Raises SinkError.
    """
    data = encoded(picture, Path(path).suffix)
    with publishing(str(path)) as publication:
        publication.write(data)
        publication.commit()
    return Path(path)


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face in a picture.

    xyxy: half-open pixels of the picture. landmarks: (p, 3) x, y, z of the topology named, z scaled
    like x, smaller is nearer; None where no mesh was found or asked for.
    """

    xyxy: tuple[float, float, float, float]
    confidence: float
    landmarks: NDArray[np.float32] | None
    topology: str

    @property
    def regions(self) -> dict[str, NDArray[np.float32]]:
        """Outlines by name, such as left_eye or lips_outer, (k, 3) each; left is the subject's."""
        if self.landmarks is None:
            return {}
        return {name: self.landmarks[list(loop)] for name, loop in topology(self.topology).regions.items()}

    def __repr__(self) -> str:
        x0, y0, x1, y1 = self.xyxy
        mesh = "no landmarks" if self.landmarks is None else f"{len(self.landmarks)} landmarks"
        box = f"{x1 - x0:.0f}×{y1 - y0:.0f} at ({x0:.0f}, {y0:.0f})"
        return f"<face {box}, confidence {self.confidence:.2f}, {mesh}>"


class FoundFaces(Sequence[FoundFace]):
    """The faces of a picture, from left to right; shown in a notebook as the picture with their outlines.

    picture: (h, w, 3) red, green, blue, upright: the one whose pixels all coordinates are.
    """

    def __init__(self, picture: Picture, faces: Sequence[FoundFace]) -> None:
        self.picture = picture
        self._faces = tuple(faces)

    @overload
    def __getitem__(self, index: int) -> FoundFace: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[FoundFace]: ...

    def __getitem__(self, index: int | slice) -> FoundFace | Sequence[FoundFace]:
        return self._faces[index]

    def __len__(self) -> int:
        return len(self._faces)

    def __iter__(self) -> Iterator[FoundFace]:
        return iter(self._faces)

    def __repr__(self) -> str:
        height, width = self.picture.shape[:2]
        told = "".join(f"\n  {face!r}" for face in self._faces)
        return f"<{len(self)} face{'s' * (len(self) != 1)} in a picture of {width}×{height}>{told}"

    def to_numpy(self) -> Picture:
        """The picture with boxes and outlines drawn into a copy of it."""
        drawn = np.ascontiguousarray(self.picture.copy())
        thick = max(1, round(min(drawn.shape[:2]) / 400))
        for face in self._faces:
            x0, y0, x1, y1 = (round(value) for value in face.xyxy)
            cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), _GREEN, thick)
            loops = [np.rint(points[:, :2] * 16).astype(np.int32) for points in face.regions.values()]
            cv2.polylines(drawn, loops, True, _GREEN, max(1, thick // 2), cv2.LINE_AA, shift=4)
        return drawn

    def save(self, path: str | Path) -> Path:
        """Write the picture with boxes and outlines; the suffix chooses the kind.

        Raises SinkError.
        """
        return save_picture(self.to_numpy(), path)

    def _repr_png_(self) -> bytes:
        return encoded(self.to_numpy())


def find_faces(picture: Any, config: RunConfig, *, landmarks: bool = True) -> FoundFaces:
    """Find the faces of one (h, w, 3) uint8 RGB picture, or (h, w) grey one.

    Raises ShapeError for another array, ConfigError, ModelError.
    """
    rgb = _as_rgb(picture)
    pixels, color, planes = planes_of(rgb)
    format = StreamFormat(pixels, rgb.shape[1], rgb.shape[0], Fraction(1), color)
    zero = np.zeros(1, np.int64)
    batch = FrameBatch(format, (planes,), zero, zero)
    use_one_thread()
    analysis = make_analysis(config, landmarks=landmarks)
    scales = still_scales(analysis.detector, (format.width, format.height))
    detector = make_detector(replace(analysis.detector, scales=scales))
    try:
        seen = detector.detect(batch, [0])
    finally:
        detector.close()
    sure = [i for i in np.argsort(seen.xyxy[:, 0]) if seen.confidence[i] >= analysis.policy.high]
    rows = [_row(seen.xyxy[i].tolist(), float(seen.confidence[i]), track) for track, i in enumerate(sure)]
    faces = Faces.from_rows((0, row) for row in rows)
    if analysis.landmarker is not None:
        landmarker = FaceLandmarker(analysis.landmarker, format)
        try:
            faces = landmarker.process(batch, faces)
        finally:
            landmarker.close()
    found = [FoundFace(f.xyxy, f.confidence, f.landmarks, f.topology) for f in faces.of_frame(0)]
    return FoundFaces(rgb, found)


def _row(box: list[float], confidence: float, track: int) -> Face:
    return Face(0, track, (box[0], box[1], box[2], box[3]), confidence, FaceSource.DETECTED)


def _as_rgb(picture: Any) -> Picture:
    array = np.asarray(picture)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ShapeError(
            f"a picture must be (h, w, 3) uint8 in red, green, blue, got {array.shape} {array.dtype}; "
            "an OpenCV picture is turned with picture[..., ::-1]"
        )
    return np.ascontiguousarray(array)
