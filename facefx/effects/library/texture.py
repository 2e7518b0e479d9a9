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
from facefx.effects.masks import Grid, soft_mask, soft_masks
from facefx.effects.overlay import Artwork, blend_layer, bounds
from facefx.effects.raster import fill_triangles
from facefx.effects.uv import face_skin
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Texture"]

Points = NDArray[np.float64]

_HOLES = ("left_eye", "right_eye", "lips_inner")
# Skin that looks past the viewer fades: none of it up to the first, all from the second on; parts of its
# normal that point to the viewer. What turns away altogether is not drawn.
_GRAZING, _FACING = 0.02, 0.3
# Samples across a face on which places in the texture are found; between them they are interpolated.
_SAMPLES = 160
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
        weight = cv2.multiply(weight, self._mask(face, patch), scale=self.params.opacity / 255, dtype=cv2.CV_32F)
        blend_layer(patch, placed, weight)

    def _mask(self, face: Face, patch: Patch) -> NDArray[np.uint8]:
        """255 on the face, 0 beside it and in its holes, with smooth edges."""
        mesh, grid = self.shared.mesh(face), Grid.of_plane(patch)
        oval = (mesh.outline("face_oval"),)
        if not self.params.holes:
            return soft_mask(oval, grid, 0.0)
        holes = tuple(mesh.outline(name) for name in _HOLES)
        whole, open_ = soft_masks([(oval, "across"), (holes, "across")], grid, 0.0)
        return np.asarray(cv2.subtract(whole, open_))

    def _drawn(self, face: Face) -> _Drawn | None:
        return self.shared.get(face, "skin drawn", lambda: self._find_drawn(face))

    def _find_drawn(self, face: Face) -> _Drawn | None:
        """The triangles that look at the viewer, farthest first."""
        pose = self.pose(face)
        if pose is None:
            return None
        skin = face_skin()
        shown = skin.points(self.view.landmarks(face))
        triangles, areas = skin.facing(shown)
        if not len(triangles):
            return None
        looks = skin.points(_looks(shown, skin.triangles[: skin.own], areas[: skin.own])[:, None])
        weight = np.clip((looks - _GRAZING) / (_FACING - _GRAZING), 0, 1)
        values = np.concatenate((skin.uv, weight, np.ones_like(weight)), axis=1)
        points = self.view.to_stored(shown[:, :2])
        region = bounds(points)
        return _Drawn(points, triangles, values.astype(np.float32), pose.size, region)


def _looks(shown: Points, triangles: NDArray[np.intp], areas: Points) -> Points:
    """How much each point's skin looks at the viewer, (n,): 1 it faces him, 0 it is seen from its edge.

    What its triangles cover of the picture, in parts of their whole area: so it is 0 where half of them
    turn away, and no triangle that is left out is missed.
    """
    a, b, c = (shown.take(triangles[:, i], axis=0) for i in range(3))
    side, other = b - a, c - a
    whole = np.sqrt(
        areas**2
        + (side[:, 1] * other[:, 2] - side[:, 2] * other[:, 1]) ** 2
        + (side[:, 2] * other[:, 0] - side[:, 0] * other[:, 2]) ** 2
    )
    corners = triangles.ravel()
    seen = np.bincount(corners, np.repeat(areas, 3), len(shown))
    return np.asarray(seen / np.maximum(np.bincount(corners, np.repeat(whole, 3), len(shown)), 1e-9))


def _places(
    drawn: _Drawn, grid: Grid, width: int, height: int, step: int
) -> tuple[NDArray[np.float32], ...]:
    """(h, w) of a patch: u, v and how much is drawn."""
    points = (drawn.points - (grid.x, grid.y)) / step - 0.5
    filled = fill_triangles(points, drawn.triangles, drawn.values, grid.size)
    if step > 1:
        size = grid.width * step, grid.height * step
        filled = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    u, v, weight, inside = cv2.split(filled)
    if step > 1:
        # At the edge of what is drawn a place is the mean of those that there are.
        inside = cv2.max(inside, 1e-6)
        u, v = cv2.divide(u, inside), cv2.divide(v, inside)
    return u, v, weight
