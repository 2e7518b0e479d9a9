"""eyeliner: a line along the lashes, with a wing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from facefx.effects.colour import Colour
from facefx.effects.makeup import PaintedMakeup, PaintParams, Spot
from facefx.effects.masks import Grid, Mesh, Points, soft_mask
from facefx.effects.paint import Weight
from facefx.effects.places import LID_POINTS, SIDES, Side, at, eye_lids, eye_seen, normals
from facefx.values import Face, Patch

__all__ = ["Eyeliner"]

# In face diameters: sigma of the edge. On small faces the antialiased edge is wider.
_EDGE = 0.0025
# Parts of the line's thickness: at the inner corner; below the lash line, over the lashes' roots.
_INNER, _BELOW = 0.25, 0.35
# A whole wing in parts of the eye's width, and how much it turns towards the end of the brow.
_WING, _LIFT = 0.3, 0.55
# Along a lash line, 0 to 1 from the inner corner to the outer: the line begins at a point.
_ALONG = np.linspace(0, 1, LID_POINTS, dtype=np.float32)[:, None]
_ABOVE_LASHES = (_INNER + (1 - _INNER) * _ALONG) * np.minimum(4 * _ALONG, 1)
_BELOW_LASHES = _BELOW * np.minimum(4 * _ALONG, 1) * (1 - _ALONG)
_LOWER_WIDTH = np.clip(3 * _ALONG - 1, 0, 1)
# From so far along the lid on, 0 to 1, the line runs straight to the wing's tip.
_TURN = 0.8


class EyelinerParams(PaintParams):
    """Parameters of eyeliner."""

    colour: Colour = Field("#15100f", description="Of the line at full strength.")
    strength: float = Field(
        0.75,
        ge=0.0,
        le=1.0,
        description="How much it covers: 0 changes nothing, 1 is the colour.",
    )
    thickness: float = Field(
        0.012, ge=0.003, le=0.04, description="Of the line at the outer corner, in face diameters."
    )
    wing: float = Field(
        0.4, ge=0.0, le=1.0, description="How far the line goes on beyond the outer corner: 0 ends there."
    )
    lower: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Also along the outer lower lashes, so thick in parts of the upper line: 0 draws none.",
    )


class Eyeliner(PaintedMakeup):
    """Draw a line on the upper lashes, thicker outwards; it moves as smoothly as the eye does."""

    name = "eyeliner"
    fade: ClassVar[float] = 2.5 * _EDGE
    squares: ClassVar[int] = 512
    Params = EyelinerParams
    params: EyelinerParams

    def outlines(self, mesh: Mesh) -> Sequence[Points]:
        """Of each eye that is seen: the line, and the lower one."""
        found: list[Points] = []
        for side in SIDES:
            thick = self.params.thickness * mesh.size * eye_seen(mesh, side)
            if thick:
                found.append(_line(mesh, side, thick, self.params.wing))
                found += [_lower_line(mesh, side, thick * self.params.lower)] if self.params.lower else []
        return found

    def weight(self, patch: Patch, face: Face, spot: Spot, grid: Grid) -> Weight:
        """The lines."""
        mask = soft_mask(spot.outlines, grid, _EDGE * spot.mesh.size)
        return np.asarray(mask * (1 / 255))


def _line(mesh: Mesh, side: Side, thick: float, wing: float) -> Points:
    """The outline of an upper line: along its top to the wing's tip, and back below."""
    upper, lower = eye_lids(mesh, side)
    out = normals(upper, _upwards(mesh, side, upper)) * thick
    top, bottom = upper + out * _ABOVE_LASHES, upper - out * _BELOW_LASHES
    if not wing:
        return np.concatenate((top, bottom[::-1]))
    tip = upper[-1] + _wing(mesh, side, upper, lower) * wing
    return np.concatenate((top[: round(_TURN * LID_POINTS)], tip[None], bottom[::-1]))


def _wing(mesh: Mesh, side: Side, upper: Points, lower: Points) -> Points:
    """From the outer corner to the tip of a whole wing: on from the lower lid, lifted to the brow's end."""
    corner = complex(*upper[-1].tolist())
    on = _unit(corner - complex(*lower[-LID_POINTS // 3].tolist()))
    up = _unit(at(mesh, f"{side}_brow_outer") - corner)
    width = abs(corner - complex(*upper[0].tolist()))
    wing = _WING * width * _unit((1 - _LIFT) * on + _LIFT * up)
    return np.array((wing.real, wing.imag), np.float32)


def _unit(vector: complex) -> complex:
    return vector / max(abs(vector), 1e-3)


def _lower_line(mesh: Mesh, side: Side, thick: float) -> Points:
    """The outline of a lower line: thin, over the outer two thirds."""
    _, lower = eye_lids(mesh, side)
    out = normals(lower, -_upwards(mesh, side, lower)) * thick * _LOWER_WIDTH
    part = slice(LID_POINTS // 3, None)
    return np.concatenate(((lower + out)[part], (lower - 0.2 * out)[part][::-1]))


def _upwards(mesh: Mesh, side: Side, lid: Points) -> Points:
    """From a lid to the brow; from the lower lid to the upper would turn round where an eye is shut."""
    return np.asarray(mesh.middle(f"{side}_brow") - lid.mean(axis=0, dtype=np.float32))
