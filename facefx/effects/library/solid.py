"""solid: one colour over the face."""

from __future__ import annotations

from pydantic import Field

from facefx.effects.colour import Colour, codes
from facefx.effects.kernels import fill_ellipse, fill_mask, separate_planes
from facefx.effects.oval import Oval
from facefx.effects.privacy import PrivacyEffect, SoftParams
from facefx.effects.shapes import Outline
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Solid", "cover_solid"]


class SolidParams(SoftParams):
    """Parameters of solid."""

    colour: Colour = Field("#000000", description="Colour of the cover, sRGB: #rrggbb or a name.")


class Solid(PrivacyEffect):
    """Replace the face by one colour: nothing of it is left to be restored. The default."""

    name = "solid"
    samples = ({"grow": 1.0}, {}, {"shape": "box", "colour": "#6e6e6e", "feather": 0.1})
    Params = SolidParams
    params: SolidParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Convert the colour to the stream's codes."""
        super().prepare(format, seed)
        self._codes = codes(self.params.colour, format.color)

    def cover(self, patch: Patch, face: Face) -> None:
        """Fill the outline."""
        if self.whole_frame or (self.params.shape == "box" and not self.params.feather):
            # The rectangle itself: its edges are on the chroma grid, so luma and chroma end together.
            with separate_planes(patch) as planes:
                for plane, value in zip(planes, self._codes, strict=False):  # gray has luma alone
                    plane[...] = value
            return
        cover_solid(patch, self.outline(face, self.params.feather), self._codes, hard=not self.params.feather)


def cover_solid(
    patch: Patch, outline: Outline | Oval, values: tuple[int, int, int], *, hard: bool = True
) -> None:
    """Fill an outline with one colour; `hard` allows the quick way, with an edge of a pixel."""
    if not isinstance(outline, Oval) and outline.shape == "ellipse" and hard:
        drawn = fill_ellipse(patch, outline, values)
        if drawn:
            return
    with separate_planes(patch) as planes:
        luma, *chroma = outline.masks(patch)
        for plane, value, mask in zip(planes, values, [luma, *chroma * 2], strict=False):
            fill_mask(plane, value, mask)
