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
from facefx.effects.raster import fill_triangles, signed_areas
from facefx.effects.uv import face_skin
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Texture"]

_HOLES = ("left_eye", "right_eye", "lips_inner")
# Skin that looks past the viewer fades: none of it up to the first, all from the second on; parts of its
# normal that point to the viewer. What turns away altogether is not drawn.
_GRAZING, _FACING = 0.02, 0.3
# Samples across a face on which places in the texture are found; between them they are interpolated.
_SAMPLES = 160
# Triangles below this, in square samples, are seen from their edge.
_MIN_AREA = 1e-6
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
        front = signed_areas(shown[:, :2], skin.triangles) > _MIN_AREA
        triangles = skin.triangles[front]
        if not len(triangles):
            return None
        depth = np.add.reduce(shown[:, 2].take(triangles), axis=1)
        triangles = triangles[np.argsort(-depth, kind="stable")]
        looks = -(skin.normals @ pose.rotation[2])
        weight = np.clip((looks - _GRAZING) / (_FACING - _GRAZING), 0, 1)
        values = np.concatenate((skin.uv, weight[:, None], np.ones_like(weight)[:, None]), axis=1)
        points = self.view.to_stored(shown[:, :2])
        assert face.landmarks is not None
        region = bounds(face.landmarks[:, :2].astype(np.float64))
        return _Drawn(points, triangles, values.astype(np.float32), pose.size, region)


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
