"""contour: shade under cheekbones and jaw and beside the nose, light on its ridge and on the cheekbones."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from facefx.effects.face_grid import FaceSkin
from facefx.effects.masks import Mesh
from facefx.effects.paint import grown, shade
from facefx.effects.places import SIDES, Ellipse, Side, at, blobs, cheek_frame, side_seen
from facefx.effects.skin_effect import SkinEffect, StrengthParams
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


class Contour(SkinEffect):
    """Shift the luma of the skin in soft ellipses: black, white, colour and the order of shades stay.

    What a turned head hardly shows is left out, little by little.
    """

    name = "contour"
    Params = ContourParams
    params: ContourParams

    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Shift the luma of the skin, −1..1: shade and light."""
        mesh = self.shared.mesh(face)
        change = blobs(_places(mesh, self.params.shade, self.params.light), skin.grid)
        np.clip(change, -1, 1, out=change)
        change *= skin.weight
        change *= np.float32(strength)
        part = grown(skin.part, change, int(skin.grid.step_x))
        if part is not None:
            shade(*part)


def _places(mesh: Mesh, shade: float, light: float) -> list[Ellipse]:
    """Where it grows darker, with negative weights, and where lighter."""
    root, tip = at(mesh, "nose_root"), at(mesh, "nose_tip")
    wings = at(mesh, "left_nose_wing"), at(mesh, "right_nose_wing")
    width = wings[0] - wings[1]
    # From the root of the nose to above its tip.
    found = [Ellipse((root + tip) / 2, 0.7 * (tip - root), 0.18 * width, 0.8 * light)]
    for side, wing in zip(SIDES, wings, strict=True):
        seen = stepwise(side_seen(mesh, side), _HIDDEN, _SEEN)
        if seen:
            dark, (_, along, down) = -seen * shade, cheek_frame(mesh, side)
            found += [_hollow(mesh, side, down, dark), _jaw(mesh, side, down, dark)]
            found.append(_nose_side(at(mesh, f"{side}_eye_inner"), wing, root, tip, width, dark))
            found.append(_cheekbone(mesh, side, along, down, seen * light))
    return found


def _hollow(mesh: Mesh, side: Side, down: complex, weight: float) -> Ellipse:
    """From the ear towards the corner of the mouth, and hardly nearer to it than half of the way."""
    ear, corner = at(mesh, f"{side}_ear"), at(mesh, f"{side}_mouth_corner")
    return Ellipse(ear + 0.36 * (corner - ear), 0.5 * (corner - ear), 0.45 * down, 0.9 * weight)


def _jaw(mesh: Mesh, side: Side, down: complex, weight: float) -> Ellipse:
    """Along the edge of the jaw."""
    back, front = at(mesh, f"{side}_jaw"), at(mesh, f"{side}_jaw_front")
    return Ellipse((back + front) / 2, 1.2 * (back - front), 0.35 * down, 0.8 * weight)


def _nose_side(
    eye: complex, wing: complex, root: complex, tip: complex, width: complex, weight: float
) -> Ellipse:
    """Down the side of the nose from the corner of the eye to the wing."""
    top, bottom = (eye + root) / 2, (2 * wing + tip) / 3
    return Ellipse((top + bottom) / 2, 0.8 * (bottom - top), 0.22 * width, 0.5 * weight)


def _cheekbone(mesh: Mesh, side: Side, along: complex, down: complex, weight: float) -> Ellipse:
    """On top of the cheekbone, rising towards the temple."""
    bone = at(mesh, f"{side}_cheekbone")
    return Ellipse(bone + 0.2 * along, 0.6 * along, 0.4 * down, weight)
