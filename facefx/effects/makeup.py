"""What all make-up has in common: a place on the face, drawn once, and a weight that is painted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from facefx.effects.colour import Colour
from facefx.effects.effect import Effect, Family, Need, Rectangle
from facefx.effects.face_grid import on_squares, present
from facefx.effects.kernels import window
from facefx.effects.masks import Grid, Mesh, Points, grid_step
from facefx.effects.paint import Pigment, Weight, grown, tint
from facefx.effects.skin_effect import StrengthParams
from facefx.values import Color, Face, Patch, StreamFormat

__all__ = ["Makeup", "PaintParams", "PaintedMakeup", "Spot"]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one face is painted in one frame: outlines and a grid to draw them on.

    outlines: what the effect draws. step: pixels along a square of the grid. strength: 0 where nothing is to
    be done.
    """

    mesh: Mesh
    outlines: Sequence[Points]
    step: int
    strength: float
    region: Rectangle


class Makeup(Effect):
    """A colour effect that paints a region of the mesh.

    A subclass says where (`outlines`), how much of each square (`weight`), and with what (`paint`).
    `fade` is how far, in face diameters, its weight reaches beyond its outlines; `squares` how finely the
    weight is drawn: so many squares at least across a face.
    """

    family: ClassVar[Family] = "colour"
    needs: ClassVar[frozenset[Need]] = frozenset({"box", "landmarks"})
    fade: ClassVar[float] = 0.0
    squares: ClassVar[int] = 256
    params: StrengthParams

    @abstractmethod
    def outlines(self, mesh: Mesh) -> Sequence[Points]:
        """What bounds the paint, in pixels of the stored picture; none where the place is turned away."""

    @abstractmethod
    def weight(self, patch: Patch, face: Face, spot: Spot, grid: Grid) -> Weight:
        """(height, width) float32 of the grid, 0..1: 0 away from the outlines. It is the caller's."""

    @abstractmethod
    def paint(self, patch: Patch, weight: Weight, spot: Spot) -> None:
        """Change a window of the patch, in place.

        weight: (height, width) float32 of its luma samples, with the strength in it.
        """

    def region(self, face: Face) -> Rectangle | None:
        """The outlines' box with its fade, on the grid; None where nothing is to be done."""
        if not self.params.strength:
            return None
        spot = self._spot(face)
        return spot.region if spot.strength else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Draw the weight and paint."""
        spot = self._spot(face) if self.params.strength else None
        rectangle = Patch.rectangle(self.format, spot.region) if spot and spot.strength else None
        if spot is None or rectangle is None:
            return
        patch = window(patch, rectangle)
        small = self.weight(patch, face, spot, Grid.shrunk(patch, spot.step))
        part = grown(patch, small * spot.strength, spot.step)
        if part is not None:
            self.paint(*part, spot)

    def _spot(self, face: Face) -> Spot:
        return self.shared.get(face, ("spot", self.name, self.params), lambda: self._found(face))

    def _found(self, face: Face) -> Spot:
        mesh = self.shared.mesh(face)
        strength = self.params.strength * present(mesh)
        outlines = self.outlines(mesh) if strength else ()
        step = grid_step(mesh.size, self.squares)
        if not outlines:
            return Spot(mesh, (), step, 0.0, (0.0, 0.0, 0.0, 0.0))
        region = on_squares(np.concatenate(outlines), step, self.format, mesh.size * self.fade)
        return Spot(mesh, outlines, step, strength, region)


class PaintParams(StrengthParams):
    """Parameters of what paints with one colour."""

    colour: Colour


class PaintedMakeup(Makeup):
    """Make-up of one colour. `lightens`: see Pigment."""

    lightens: ClassVar[float] = 2.0
    params: PaintParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Convert the colour."""
        super().prepare(format, seed)
        self.pigment = self.mixed(format.color)

    def mixed(self, color: Color) -> Pigment:
        """The colour in a stream's codes."""
        return Pigment.of(self.params.colour, color, lightens=self.lightens)

    def paint(self, patch: Patch, weight: Weight, spot: Spot) -> None:
        """Tint."""
        tint(patch, weight, self.pigment)
