"""What the effects that change a face's skin have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from facefx.effects.effect import Effect, EffectParams, Family, Need, Rectangle
from facefx.effects.face_grid import FaceSkin, face_grid, face_skin
from facefx.values import Face, Patch

__all__ = ["SkinEffect", "StrengthParams"]


class StrengthParams(EffectParams):
    """Parameters of an effect that has a strength; 0 changes nothing, bit for bit."""

    strength: float = Field(0.5, ge=0.0, le=1.0, description="How much: 0 changes nothing.")


class SkinEffect(Effect):
    """Change what is skin, and share with the rest of the chain what that is.

    A face that is too small to show skin is left alone.
    """

    family: ClassVar[Family] = "colour"
    needs: ClassVar[frozenset[Need]] = frozenset({"box", "landmarks"})
    params: StrengthParams

    def region(self, face: Face) -> Rectangle | None:
        """The face up to the hairline; None where nothing is to be done."""
        if not self.params.strength:
            return None
        place = face_grid(self.shared, face, self.format)
        return place.region if place.presence else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Find the skin, and change it as much as the face's size allows."""
        if self.region(face) is None:
            return
        skin = face_skin(self.shared, face, patch)
        if skin is not None:
            presence = face_grid(self.shared, face, self.format).presence
            self.retouch(patch, face, skin, self.params.strength * presence)

    @abstractmethod
    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Change the planes of `skin.part`, which are views of the patch's, in place.

        patch: as the chain gives it. strength: 0..1, not 0.
        """
