"""contour: shade under cheekbones and jaw and beside the nose, light on its ridge and on the cheekbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from facefx.effects.makeup import Makeup, Spot, skin_of
from facefx.effects.masks import Grid, Mesh, Points
from facefx.effects.paint import Weight, shade
from facefx.effects.places import SIDES, Ellipse, Side, at, blobs, cheek_frame, side_seen
from facefx.effects.skin import skin_outline
from facefx.effects.skin_effect import StrengthParams
from facefx.effects.tone import stepwise
from facefx.values import Face, Patch

__all__ = ["Contour"]

# How much of a cheek must be seen for some and for all of its shade.
_HIDDEN, _SEEN = 0.12, 0.4


class ContourParams(StrengthParams):
    """Parameters of contour."""

    strength: float = Field(
        0.5, ge=0.0, le=1.0, description="How much of both: 0 changes nothing, 1 is for the stage."
    )
    shade: float = Field(
        0.7,
        ge=0.0,
        le=1.0,
        description="Under the cheekbones, at the jaw, beside the nose.",
    )
    light: float = Field(0.4, ge=0.0, le=1.0, description="Of the nose's ridge and of the cheekbones.")


class Contour(Makeup):
    """Shift the luma of the skin in soft ellipses: black, white, colour and the order of shades stay.

    What a turned head hardly shows is left out, little by little.
    """

    name = "contour"
    squares: ClassVar[int] = 48
    Params = ContourParams
    params: ContourParams

    def outlines(self, mesh: Mesh) -> Sequence[Points]:
        """The whole skin, of which a chain knows what is hair."""
        return [skin_outline(mesh)]

    def weight(self, patch: Patch, face: Face, spot: Spot, grid: Grid) -> Weight:
        """−1..1: shade and light on the skin."""
        change = blobs(_places(spot.mesh, self.params.shade, self.params.light), grid)
        np.clip(change, -1, 1, out=change)
        return np.asarray(change * skin_of(self, patch, face, spot.mesh, grid))

    def paint(self, patch: Patch, weight: Weight, spot: Spot) -> None:
        """Shift luma."""
        shade(patch, weight)


def _places(mesh: Mesh, shade: float, light: float) -> list[Ellipse]:
    """Where it grows darker, with negative weights, and where lighter."""
    found = [_ridge(mesh, light)]
    for side in SIDES:
        seen = stepwise(side_seen(mesh, side), _HIDDEN, _SEEN)
        if seen:
            dark = -seen * shade
            found += [_hollow(mesh, side, dark), _jaw(mesh, side, dark), _nose_side(mesh, side, dark)]
            found.append(_cheekbone(mesh, side, seen * light))
    return found


def _hollow(mesh: Mesh, side: Side, weight: float) -> Ellipse:
    """From the ear towards the corner of the mouth, and hardly nearer to it than half of the way."""
    ear, corner = at(mesh, f"{side}_ear"), at(mesh, f"{side}_mouth_corner")
    _, _, down = cheek_frame(mesh, side)
    return Ellipse(ear + 0.36 * (corner - ear), 0.5 * (corner - ear), 0.45 * down, 0.9 * weight)


def _jaw(mesh: Mesh, side: Side, weight: float) -> Ellipse:
    """Along the edge of the jaw."""
    back, front = at(mesh, f"{side}_jaw"), at(mesh, f"{side}_jaw_front")
    _, _, down = cheek_frame(mesh, side)
    return Ellipse((back + front) / 2, 1.2 * (back - front), 0.35 * down, 0.8 * weight)


def _nose_side(mesh: Mesh, side: Side, weight: float) -> Ellipse:
    """Down the side of the nose from the corner of the eye to the wing."""
    top = (at(mesh, f"{side}_eye_inner") + at(mesh, "nose_root")) / 2
    bottom = (2 * at(mesh, f"{side}_nose_wing") + at(mesh, "nose_tip")) / 3
    return Ellipse((top + bottom) / 2, 0.8 * (bottom - top), 0.22 * _nose_width(mesh), 0.5 * weight)


def _ridge(mesh: Mesh, weight: float) -> Ellipse:
    """From the root of the nose to above its tip."""
    root, tip = at(mesh, "nose_root"), at(mesh, "nose_tip")
    return Ellipse((root + tip) / 2, 0.7 * (tip - root), 0.18 * _nose_width(mesh), 0.8 * weight)


def _cheekbone(mesh: Mesh, side: Side, weight: float) -> Ellipse:
    """On top of the cheekbone, rising towards the temple."""
    _, along, down = cheek_frame(mesh, side)
    bone = at(mesh, f"{side}_cheekbone")
    return Ellipse(bone + 0.2 * along, 0.6 * along, 0.4 * down, weight)


def _nose_width(mesh: Mesh) -> complex:
    return at(mesh, "left_nose_wing") - at(mesh, "right_nose_wing")
