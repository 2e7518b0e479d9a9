"""net: what a net of the user's makes of an aligned crop of the face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, WithJsonSchema

from facefx.effects.align import Matrix, put_back, sample, square_of, to_plane
from facefx.effects.colour import rgb_matrix
from facefx.effects.effect import Effect, EffectParams, Rectangle
from facefx.effects.files import check_pinned
from facefx.effects.kernels import separate_planes, window
from facefx.effects.masks import Grid, Mesh, Points, soft_masks
from facefx.effects.nets import Net, NetLoader, read_card, sha256_of_file
from facefx.effects.skin import skin_outline
from facefx.errors import EffectError, ShapeError
from facefx.faces.roi import Placement
from facefx.values import Face, Patch, StreamFormat

__all__ = ["NetEffect"]

Crop = NDArray[np.float32]
Mask = NDArray[np.float32]

# In sigma: where a fade inwards has fallen to 0 and where it is whole, see soft_mask.
_FADE_SIGMAS = 2.5
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
_ANGLES = np.arange(64) * (2 * np.pi / 64)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) / 2 + 0.5
# A crop that would take so many times the picture's longer side is of a face that nobody sees.
_MOST_SIDES = 8.0


class NetParams(EffectParams):
    """Parameters of net."""

    path: Annotated[str, WithJsonSchema({"type": "string", "format": "path"})] = Field(
        min_length=1,
        description="A YAML file that declares the net: its ONNX file and sha256, licence and source, "
        "crop, numbers and blend mask.",
    )
    strength: float = Field(1.0, ge=0.0, le=1.0, description="How much of the net's face is seen.")
    detail: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="How much of what is finer than the net's crop stays as it was: 1 changes nothing that "
        "the net leaves alone, 0 shows the net's own picture.",
    )
    sha256: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        description="Of the YAML file; filled in when the plan is made, so that a changed net is an error.",
    )
    licence: str = Field(
        "", description="Of the net; filled in from the YAML file when the plan is made, for the report."
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """One face's crop: the map from it to the upright picture, its corners in the stored one, and the box."""

    square: Matrix
    corners: Points
    region: Rectangle


class NetEffect(Effect):
    """Change the face by a net of your own: any ONNX file that maps an aligned crop of a face to one.

    The crop is taken from the planes as they are, in the stream's own non-linear RGB, and what the net
    changed is added to them under the mask that its card declares; all else stays bit for bit. Each field
    of an interlaced picture goes through the net by itself. The net is run once a face a frame.
    """

    name = "net"
    family = "overlay"
    needs = frozenset({"box", "landmarks"})
    caution = "A net's licence is its own: its file says what you may do with it, and the report repeats it."
    Params = NetParams
    params: NetParams

    def __init__(self, params: EffectParams) -> None:
        super().__init__(params)
        self._path = Path(self.params.path).expanduser()
        self._net: Net | None = None

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Fix the YAML file by its sha256 and its absolute path, and see that its net is the one it names.

        Raises EffectError where either is missing, broken or another.
        """
        assert isinstance(params, NetParams)
        path = Path(params.path).expanduser().absolute()
        sha256 = _unchanged(path, params.sha256)
        card = read_card(path, cls.name)
        file = card.net_file(path)
        got = sha256_of_file(file.path, cls.name)
        if got != card.sha256:
            raise EffectError(
                f"effect {cls.name}: {file.path} has the wrong sha256: {path} says {card.sha256}, got {got}"
            )
        return params.model_copy(update={"path": str(path), "sha256": sha256, "licence": card.licence})

    def load(self, nets: NetLoader) -> None:
        """Take the net.

        Raises EffectError where its card is not the one that was pinned, and what the loader raises.
        """
        _unchanged(self._path, self.params.sha256)
        self._card = read_card(self._path, self.name)
        self._net = nets(self._card.net_file(self._path), self._card.shape)

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Make the tables of the stream's colours.

        Raises EffectError where nobody has handed it its net.
        """
        super().prepare(format, seed)
        if self._net is None:
            raise EffectError(f"effect {self.name}: {self._path} was not loaded: call load before prepare")
        self._placement = Placement(format)
        self._to_rgb = rgb_matrix(format.color)
        self._from_rgb = np.linalg.inv(self._to_rgb[:, :3])

    def region(self, face: Face) -> Rectangle | None:
        """The box around the crop; None where nothing is to be done.

        Raises EffectError for a face without landmarks.
        """
        return self._place(face).region if self.params.strength else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Run the net on each field, and add what it changed."""
        place = self._place(face)
        rectangle = Patch.rectangle(self.format, place.region) if self.params.strength else None
        if rectangle is None:
            return
        patch = window(patch, rectangle)
        masks = self._masks(patch, place, self.shared.mesh(face))
        fields = 2 if self.format.field_order else 1
        with separate_planes(patch) as planes:
            masks += masks[1:] * (len(planes) - len(masks))
            for field in range(fields):
                maps = [self._map(patch, place, i, (field, fields)) for i in range(len(planes))]
                self._change(
                    [plane[field::fields] for plane in planes], [mask[field::fields] for mask in masks], maps
                )

    def _map(self, patch: Patch, place: _Place, plane: int, field: tuple[int, int]) -> Matrix:
        """From samples of the crop to those of a plane of the patch."""
        size, origin = self._card.size, (patch.x, patch.y)
        return to_plane(place.square, size, self._placement, self.format, plane, origin, field)

    def _place(self, face: Face) -> _Place:
        return self.shared.get(face, (self.name, self.params.path), lambda: self._found(face))

    def _found(self, face: Face) -> _Place:
        mesh = self.shared.mesh(face)
        square = square_of(mesh, self._card.points, self._placement)
        corners = self._stored(square, _CORNERS)
        (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        longest = _MOST_SIDES * max(self.format.width, self.format.height)
        if not all(map(math.isfinite, (x0, y0, x1, y1))) or max(x1 - x0, y1 - y0) > longest:
            raise ShapeError(f"a crop cannot be aligned to face {face.track_id} at pts {face.pts}")
        return _Place(square, corners, (x0, y0, x1, y1))

    def _stored(self, square: Matrix, points: NDArray[np.float64]) -> Points:
        """Points of a crop, 0..1, in pixels of the stored picture."""
        matrix = self._placement.to_stored @ square
        return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2], np.float32)

    def _masks(self, patch: Patch, place: _Place, mesh: Mesh) -> list[Mask]:
        """(h, w) 0..1 of each plane: the card's shape within the crop, times the strength."""
        blend = self._card.mask
        if blend.shape == "oval":
            outline = skin_outline(mesh)
        else:
            outline = place.corners if blend.shape == "box" else self._stored(place.square, _CIRCLE)
        side = math.sqrt(abs(float(np.linalg.det(place.square[:2, :2]))))
        sigma = blend.feather * side / _FADE_SIGMAS
        return [
            self._mask(patch, plane, (outline, place.corners), sigma)
            for plane in range(min(len(patch.planes), 2))
        ]

    def _mask(self, patch: Patch, plane: int, outlines: Sequence[Points], sigma: float) -> Mask:
        """(h, w) 0..1 of a plane: what lies within all outlines, drawn as coarsely as the fade allows."""
        fine = Grid.of_plane(patch, plane)
        times = max(int(sigma / max(fine.step_x, fine.step_y)), 1)
        width, height = -(-fine.width // times), -(-fine.height // times)
        grid = Grid(fine.x, fine.y, fine.step_x * times, fine.step_y * times, width, height)
        first, second = soft_masks([((outline,), "inside") for outline in outlines], grid, sigma)
        mask = cv2.min(first, second)
        if times > 1:
            size = (width * times, height * times)
            mask = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)[: fine.height, : fine.width]
        return np.asarray(mask * np.float32(self.params.strength / 255), np.float32)

    def _change(self, planes: list[NDArray[Any]], masks: list[Mask], maps: list[Matrix]) -> None:
        """Run the net on the planes of one field and change them in place."""
        size, detail, color = self._card.size, np.float32(self.params.detail), self.format.color
        before = np.stack(
            [sample(plane, matrix, size) for plane, matrix in zip(planes, maps, strict=True)], -1
        )
        seen = self._seen(before)
        made = self._run(seen)
        change = self._codes(made) - detail * self._codes(seen)
        for i, (plane, mask, matrix) in enumerate(zip(planes, masks, maps, strict=True)):
            if i and self._card.colour == "grey":
                return
            here = _bounds(mask)
            part, weight, add = plane[here], mask[here], np.ascontiguousarray(change[..., i])
            added = put_back(add, _from(here, matrix), part.shape)
            low, high = color.chroma_range if i else color.luma_range
            # Codes count from black and neutral: what goes of the old picture is its distance from there.
            added -= (1 - detail) * (part - np.float32(color.neutral if i else low))
            done = np.rint(part + added * weight).clip(low, high).astype(plane.dtype)
            np.copyto(part, done, where=weight > 0)

    def _seen(self, codes: Crop) -> Crop:
        """(s, s, c) codes as the parts 0..1 that the net is given, in its own order of channels."""
        color = self._card.colour
        if color == "grey" or codes.shape[2] == 1:
            black, white = self.format.color.luma_range
            parts = (codes[..., :1] - np.float32(black)) * np.float32(1 / (white - black))
            parts = parts if color == "grey" else np.repeat(parts, 3, axis=2)
        else:
            parts = cv2.transform(codes, self._to_rgb)
        parts = parts[..., ::-1] if color == "bgr" else parts
        return np.asarray(np.clip(parts, 0, 1), np.float32)

    def _run(self, seen: Crop) -> Crop:
        """What the net makes of parts 0..1, as such parts.

        Raises EffectError for another shape and for what is no number, and what the net raises.
        """
        assert self._net is not None
        gain, offset = self._card.input.scale()
        got = self._net(self._laid_out((seen * gain + offset)[None]))
        if got.shape != self._card.shape:
            raise EffectError(
                f"effect {self.name}: {self._path}: expected {self._card.shape}, got {got.shape}"
            )
        if self._card.layout == "nchw":
            got = got.transpose(0, 2, 3, 1)
        gain, offset = self._card.output.scale()
        parts = (got[0] - offset) / gain
        if not np.isfinite(parts).all():
            raise EffectError(f"effect {self.name}: {self._path}: the net gave values that are no numbers")
        return np.asarray(np.clip(parts, 0, 1), np.float32)

    def _laid_out(self, crops: Crop) -> Crop:
        """(1, s, s, c) as the net wants it."""
        whole = crops.transpose(0, 3, 1, 2) if self._card.layout == "nchw" else crops
        return np.ascontiguousarray(whole, np.float32)

    def _codes(self, parts: Crop) -> Crop:
        """Parts 0..1 as distances from black and neutral, in codes: (s, s, 3), or (s, s, 1) of luma alone."""
        if self._card.colour == "grey":
            black, white = self.format.color.luma_range
            return np.asarray(parts * np.float32(white - black))
        rgb = parts[..., ::-1] if self._card.colour == "bgr" else parts
        return np.asarray(cv2.transform(np.ascontiguousarray(rgb), self._from_rgb), np.float32)


def _bounds(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns outside which a mask is 0; one sample where all of it is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _from(part: tuple[slice, slice], matrix: Matrix) -> Matrix:
    """A map to samples of a plane, as one to those of a part of it."""
    return matrix - np.array([[0, 0, part[1].start], [0, 0, part[0].start], [0, 0, 0]], np.float64)


def _unchanged(path: Path, sha256: str) -> str:
    """The YAML file's sha256, in hex.

    Raises EffectError where it is not the one that was pinned.
    """
    got = sha256_of_file(path, NetEffect.name)
    check_pinned(path, NetEffect.name, sha256, got)
    return got
