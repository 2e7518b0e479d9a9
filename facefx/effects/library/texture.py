"""texture: a picture drawn on the skin of the face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.animation import Animation
from facefx.effects.assets import AssetEffect, AssetParams
from facefx.effects.effect import Rectangle
from facefx.effects.kernels import window
from facefx.effects.masks import Grid
from facefx.effects.overlay import Artwork, blend_layer, bounds
from facefx.effects.raster import fill_triangles
from facefx.effects.uv import face_skin
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Texture"]

Places = NDArray[np.float32]

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
    """The mesh of a face in the stored picture. step: pixels from one sample of places to the next."""

    points: NDArray[np.float64]
    triangles: NDArray[np.intp]
    values: NDArray[np.float32]
    size: float
    step: int
    region: Rectangle


class Texture(AssetEffect):
    """Draw a picture or an animation on the skin, like face paint: it bends with every expression.

    The picture is laid out as docs/uv-layout.png shows, square. Skin that turns away fades and is not
    drawn; eyes and the open mouth stay free.
    """

    name = "texture"
    samples = ({"path": "builtin:mask", "opacity": 0.5}, {"path": "builtin:mask"}, {"path": "builtin:grid"})
    Params = TextureParams
    params: TextureParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Read the picture and convert it for the stream.

        Raises EffectError where it is not the one that was pinned.
        """
        super().prepare(format, seed)
        animation = self.read()
        self._artwork = Artwork(animation, format, mirror=self.params.mirror)
        self._painted = _painted(animation, self.params.mirror)

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
        places = _places(drawn, Grid.shrunk(patch, drawn.step), patch.width, patch.height)
        scale = drawn.size * _LAYOUT_PARTS / max(self._artwork.size)
        layer = self._artwork.layer(face.pts, scale)
        height, width = layer.shape[:2]
        u, v, weight = places
        # Where nothing is drawn, too, a place within the texture: OpenCV is slow beyond its edge.
        map_x = cv2.max(cv2.addWeighted(u, width, u, 0, -0.5), 0.0)
        map_y = cv2.max(cv2.addWeighted(v, height, v, 0, -0.5), 0.0)
        placed = cv2.remap(layer, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        blend_layer(patch, placed, weight * np.float32(self.params.opacity))

    def _drawn(self, face: Face) -> _Drawn | None:
        return self.shared.get(face, (self, "drawn"), lambda: self._find_drawn(face))

    def _find_drawn(self, face: Face) -> _Drawn | None:
        """The triangles that look at the viewer, farthest first."""
        pose = self.pose(face)
        if pose is None:
            return None
        skin = face_skin()
        shown = skin.points(self.view.landmarks(face))
        front = skin.facing(shown)
        triangles = skin.triangles[front]
        painted = triangles[self._painted[front]]
        if not len(painted):
            return None
        weight = np.clip(skin.looks(shown) / _FACING, 0, 1)
        edge = skin.inside if self.params.holes else skin.covered
        values = np.concatenate((skin.uv, np.stack((weight, edge), axis=1)), axis=1)
        points = self.view.to_stored(shown[:, :2])
        step = 1
        while pose.size / step > _SAMPLES:
            step *= 2
        region = self._region(points[painted.ravel()], step)
        return _Drawn(points, triangles, values.astype(np.float32), pose.size, step, region)

    def _region(self, points: NDArray[np.float64], step: int) -> Rectangle:
        """The box around points, its edges on samples fixed to the picture, so that none shimmers."""
        x0, y0, x1, y1 = bounds(points)
        # All are powers of two.
        across, down = max(step, self.format.column_step), max(step, self.format.line_step)
        return (
            math.floor(x0 / across) * across,
            math.floor(y0 / down) * down,
            math.ceil(x1 / across) * across,
            math.ceil(y1 / down) * down,
        )


def _painted(animation: Animation, mirror: bool) -> NDArray[np.bool_]:
    """(m,) whether any frame shows anything in the box around each triangle of the skin."""
    shows = np.maximum.reduce([frame[..., 3] for frame in animation.frames]) > 0
    height, width = shows.shape
    count = cv2.integral((shows[:, ::-1] if mirror else shows).astype(np.uint8))
    skin = face_skin()
    corners = skin.uv[skin.triangles] * (width, height)
    # A sample more on each side, for what interpolation and averaging take in.
    low = np.clip(np.floor(corners.min(axis=1)).astype(int) - 2, 0, (width, height))
    high = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 2, 0, (width, height))
    (x0, y0), (x1, y1) = low.T, high.T
    return np.asarray(count[y1, x1] - count[y0, x1] - count[y1, x0] + count[y0, x0] > 0)


def _places(drawn: _Drawn, grid: Grid, width: int, height: int) -> tuple[NDArray[np.float32], ...]:
    """(h, w) of a patch: u, v and how much is drawn."""
    step = drawn.step
    points = (drawn.points - (grid.x, grid.y)) / step - 0.5
    u, v, weight, edge = cv2.split(fill_triangles(points, drawn.triangles, drawn.values, grid.size))
    if step > 1:
        u, v, weight = _part_sheets(u, v, weight)
        size = grid.width * step, grid.height * step
        u, v, weight, edge = (
            cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
            for part in (u, v, weight, edge)
        )
    return u, v, cv2.multiply(weight, cv2.max(cv2.min(edge, 1.0), 0.0))


def _part_sheets(u: Places, v: Places, weight: Places) -> tuple[Places, Places, Places]:
    """Draw nothing between samples of two sheets, a nose and the cheek behind it, or of one and none.

    What lies between their places in the texture is found on neither.
    """
    nothing = cv2.compare(cv2.max(u, v), 0, cv2.CMP_EQ)
    filled, apart = [], np.zeros_like(u)
    for places in (u, v):
        most = cv2.dilate(places, _NEIGHBOURS)
        cv2.copyTo(most, nothing, places)
        apart = cv2.max(apart, cv2.subtract(most, cv2.erode(places, _NEIGHBOURS)))
        filled.append(places)
    cv2.copyTo(np.zeros_like(weight), cv2.compare(apart, _APART, cv2.CMP_GT), weight)
    return filled[0], filled[1], weight
