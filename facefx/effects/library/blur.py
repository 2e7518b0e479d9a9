"""blur: soft, and reversible."""

from __future__ import annotations

from pydantic import Field

from facefx.effects.kernels import blur, separate_planes
from facefx.effects.privacy import PrivacyEffect, SoftParams
from facefx.values import Face, Patch

__all__ = ["Blur"]


class BlurParams(SoftParams):
    """Parameters of blur."""

    strength: float = Field(
        0.12,
        ge=0.02,
        le=0.5,
        description="Standard deviation of the blur, in longer sides of the face's box.",
    )
    feather: float = Field(
        0.1,
        ge=0.0,
        le=0.25,
        description="Width of the soft edge, in longer sides of the box; it lies outside the face only.",
    )


class Blur(PrivacyEffect):
    """Blur the face. Cosmetic: a blurred face can be recognised again by a machine.

    Source: "Restoring Gaussian Blurred Face Images for Deanonymization Attacks", arXiv 2506.12344
    (95.9 % of strongly blurred faces identified); McPherson et al., arXiv 1609.00408.
    """

    name = "blur"
    caution = (
        "Cosmetic only: blur can be undone, 95.9 % of blurred faces were identified again "
        "(arXiv 2506.12344). To hide who somebody is, use solid."
    )
    Params = BlurParams
    params: BlurParams

    def cover(self, patch: Patch, face: Face) -> None:
        """Blur the patch, and take the outline from it."""
        x0, y0, x1, y1 = face.xyxy
        sigma = self.params.strength * max(x1 - x0, y1 - y0)
        pixels = patch.format.pixels
        with separate_planes(patch) as planes:
            new = [blur(planes[0], sigma, sigma)]
            new += [
                blur(plane, sigma / (1 << pixels.shift_x), sigma / (1 << pixels.shift_y))
                for plane in planes[1:]
            ]
        self.blend_planes(patch, self.outline(face, self.params.feather), tuple(new))
