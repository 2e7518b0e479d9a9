"""texture: a picture drawn on the skin of the face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.assets import AssetEffect, AssetParams
from facefx.effects.effect import Rectangle
from facefx.effects.kernels import window
from facefx.effects.masks import Grid
from facefx.effects.overlay import Artwork, blend_layer, bounds
from facefx.effects.raster import fill_triangles
from facefx.effects.uv import face_skin
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Texture"]

# Skin fades as it turns away, from where so much of its normal points to the viewer: none is left where
# it looks past him.
_FACING = 0.25
# Samples across a face on which places in the texture are found; between them they are interpolated.
_SAMPLES = 160
_NEIGHBOURS = np.ones((3, 3), np.uint8)
# Neighbouring samples whose places are farther apart than this part of the texture belong to two sheets.
_APART = 0.12
# The face's width in the layout, in parts of it, for choosing the texture's size; its width in diameters.
_LAYOUT_PARTS = 0.8


class TextureParams(AssetParams):
    """Parameters of texture."""

    holes: bool = Field(True, description="Whether eyes and mouth stay open; else it goes over them.")


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The mesh of a face in the stored picture."""

    points: NDArray[np.float64]
    triangles: NDArray[np.intp]
    values: NDArray[np.float32]
    size: float
    region: Rectangle


class Texture(AssetEffect):
    """Draw a picture or an animation on the skin, like face paint: it bends with every expression.

    The picture is laid out as docs/uv-layout.png shows, square. Skin that turns away fades and is not
    drawn; eyes and the open mouth stay free.
    """

    name = "texture"
    Params = TextureParams
    params: TextureParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Read the picture and convert it for the stream.

        Raises EffectError where it is not the one that was pinned.
        """
        super().prepare(format, seed)
        self._artwork = Artwork(self.read(), format, mirror=self.params.mirror)

    def region(self, face: Face) -> Rectangle | None:
        """The box around the mesh; None where there is nothing to draw."""
        drawn = self._drawn(face) if self.params.opacity else None
        return drawn.region if drawn else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Draw the texture."""
        drawn = self._drawn(face) if self.params.opacity else None
        rectangle = Patch.rectangle(self.format, drawn.region) if drawn else None
        if drawn is None or rectangle is None:
            return
        patch = window(patch, rectangle)
        step = 1
        while drawn.size / step > _SAMPLES:
            step *= 2
        places = _places(drawn, Grid.shrunk(patch, step), patch.width, patch.height, step)
        scale = drawn.size * _LAYOUT_PARTS / max(self._artwork.size)
        layer = self._artwork.layer(face.pts, scale)
        height, width = layer.shape[:2]
        u, v, weight = places
        map_x = cv2.addWeighted(u, width, u, 0, -0.5)
        map_y = cv2.addWeighted(v, height, v, 0, -0.5)
        placed = cv2.remap(layer, map_x, map_y, cv2.INTER_LINEAR)
        blend_layer(patch, placed, weight * np.float32(self.params.opacity))

    def _drawn(self, face: Face) -> _Drawn | None:
        return self.shared.get(face, ("skin drawn", self.params.holes), lambda: self._find_drawn(face))

    def _find_drawn(self, face: Face) -> _Drawn | None:
        """The triangles that look at the viewer, farthest first."""
        pose = self.pose(face)
        if pose is None:
            return None
        skin = face_skin()
        shown = skin.points(self.view.landmarks(face))
        triangles = skin.facing(shown)
        if not len(triangles):
            return None
        weight = np.clip(skin.looks(shown) / _FACING, 0, 1)
        edge = skin.inside if self.params.holes else skin.covered
        values = np.concatenate((skin.uv, np.stack((weight, edge), axis=1)), axis=1)
        points = self.view.to_stored(shown[:, :2])
        return _Drawn(points, triangles, values.astype(np.float32), pose.size, bounds(points))


def _places(drawn: _Drawn, grid: Grid, width: int, height: int, step: int) -> tuple[NDArray[np.float32], ...]:
    """(h, w) of a patch: u, v and how much is drawn."""
    points = (drawn.points - (grid.x, grid.y)) / step - 0.5
    filled = fill_triangles(points, drawn.triangles, drawn.values, grid.size)
    if step > 1:
        _part_sheets(filled)
        size = grid.width * step, grid.height * step
        filled = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    u, v, weight, edge = cv2.split(filled)
    return u, v, cv2.multiply(weight, np.clip(edge, 0, 1))


def _part_sheets(filled: NDArray[np.float32]) -> None:
    """Draw nothing between samples that lie on two sheets, a nose and the cheek behind it, or on one and none.

    What lies between their places in the texture is found on neither. In place.
    """
    places = np.ascontiguousarray(filled[..., :2])
    most = cv2.dilate(places, _NEIGHBOURS)
    nothing = ~places.any(axis=2)
    places[nothing] = most[nothing]
    apart = (most - cv2.erode(places, _NEIGHBOURS)).max(axis=2) > _APART
    filled[..., :2] = places
    filled[..., 2][apart] = 0
