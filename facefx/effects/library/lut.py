"""lut: the look of a colour table (.cube)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, WithJsonSchema

from facefx.effects.cube import code_table, read_cube
from facefx.effects.effect import Effect, EffectParams, Rectangle
from facefx.effects.face_grid import face_grid, face_skin, grown, skin_mask
from facefx.effects.kernels import separate_planes, window
from facefx.effects.masks import Grid, Mask, soft_mask
from facefx.effects.skin_effect import StrengthParams
from facefx.effects.tone import add_change, look_up
from facefx.errors import EffectError
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Lut"]

# H.273 numbers of transfers whose codes mean light beyond a display's white.
_HDR = {16: "PQ", 18: "HLG"}

Plane = NDArray[Any]
Change = NDArray[np.float32]


class LutParams(StrengthParams):
    """Parameters of lut."""

    strength: float = Field(
        1.0, ge=0.0, le=1.0, description="How much of the table's change is made: 0 changes nothing."
    )
    path: Annotated[str, WithJsonSchema({"type": "string", "format": "path"})] = Field(
        min_length=1,
        description="A .cube file, 1D or 3D, from and to display-referred R'G'B' as of sRGB or BT.709.",
    )
    sha256: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        description="Of that file; filled in when the plan is made, so that a changed table is an error.",
    )
    on: Literal["skin", "face", "frame"] = Field(
        "skin",
        description="The skin; the whole face with eyes, brows and lips; or the whole frame, where it "
        "shows a face.",
    )


class Lut(Effect):
    """Give skin, face or frame the look of a .cube table, converted to the stream's own codes beforehand.

    The table is taken to be for display-referred R'G'B' as of sRGB or BT.709; an HDR stream is refused.
    """

    name = "lut"
    family = "colour"
    needs = frozenset({"box", "landmarks"})
    Params = LutParams
    params: LutParams

    @classmethod
    def sample_files(cls, folder: Path) -> Mapping[str, Any]:
        """Write a table that warms lights and cools shadows."""
        path = folder / "warm.cube"
        rows = [
            f"{red:g} {0.02 + 0.95 * green:g} {0.06 + 0.8 * blue:g}"
            for blue, green, red in product((0, 1), repeat=3)
        ]
        path.write_text("\n".join(["LUT_3D_SIZE 2", *rows, ""]), encoding="utf-8")
        return {"path": str(path)}

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Fix the table by its sha256 and its absolute path.

        Raises EffectError where it cannot be used.
        """
        assert isinstance(params, LutParams)
        path = str(Path(params.path).expanduser().absolute())
        cube = read_cube(path, cls.name, params.sha256 or None)
        return params.model_copy(update={"path": path, "sha256": cube.sha256})

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Read the table and convert it for the stream.

        Raises EffectError where it is not the one that was pinned, and for an HDR stream.
        """
        super().prepare(format, seed)
        hdr = _HDR.get(format.color.transfer)
        if hdr:
            raise EffectError(f"effect {self.name}: expected an SDR stream, got {hdr}: the table is for SDR")
        cube = read_cube(self.params.path, self.name, self.params.sha256 or None)
        self._table = code_table(cube, format.color)
        # Where the tile of a luma code begins, down the table.
        self._tops = np.arange(format.color.peak + 1, dtype=np.float32) * np.float32(self._table.nodes)
        self._first: tuple[int, int] | None = None

    def region(self, face: Face) -> Rectangle | None:
        """The face up to the hairline, or the frame, once; None where nothing is to be done."""
        if not self.params.strength:
            return None
        if self.params.on == "frame":
            return self._frame(face)
        place = face_grid(self.shared, face, self.format)
        return place.region if place.presence else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Look each colour up."""
        if self.region(face) is None:
            return
        if self.params.on == "frame":
            self._grade(patch, None, self.params.strength)
            return
        strength = self.params.strength * face_grid(self.shared, face, self.format).presence
        masked = self._masks(patch, face)
        if masked is not None:
            part, masks = masked
            self._grade(part, masks, strength)

    def _frame(self, face: Face) -> Rectangle | None:
        """The frame for the first of its faces, for it is graded once; None for the others."""
        if self._first is None or self._first[0] != face.pts:
            self._first = face.pts, face.track_id
        if self._first[1] != face.track_id:
            return None
        return 0.0, 0.0, float(self.format.width), float(self.format.height)

    def _masks(self, patch: Patch, face: Face) -> tuple[Patch, list[Mask]] | None:
        """The part that holds the face, and what is meant of it: of luma, and of chroma unless it is gray."""
        planes = range(min(len(patch.planes), 2))
        skin = face_skin(self.shared, face, patch) if self.params.on == "skin" else None
        if skin is not None:
            return skin.part, [skin_mask(self.shared, face, patch, skin, plane) for plane in planes]
        place = face_grid(self.shared, face, self.format)
        rectangle = Patch.rectangle(self.format, place.region)
        if rectangle is None:
            return None
        part = window(patch, rectangle)
        grid = Grid.shrunk(part, place.step)
        mask = soft_mask([place.outline], grid, place.fade, "inside")
        return part, [grown(mask, grid, part, plane) for plane in planes]

    def _grade(self, part: Patch, masks: list[Mask] | None, strength: float) -> None:
        """Change all planes of a part; the fields of an interlaced picture each by itself."""
        fields = 2 if self.format.field_order else 1
        color = self.format.color
        with separate_planes(part) as planes:
            for i in range(fields):
                views = [plane[i::fields] for plane in planes]
                if not all(view.size for view in views):
                    continue
                for j, change in enumerate(self._changes(views)):
                    if masks is None:
                        change *= np.float32(strength)
                    else:
                        mask = masks[min(j, 1)][i::fields]
                        change = cv2.multiply(change, mask, scale=strength / 255, dtype=cv2.CV_32F)
                    add_change(views[j], change, color.chroma_range if j else color.luma_range)

    def _changes(self, planes: list[Plane]) -> list[Change]:
        """What the table adds to each plane's codes: luma and chroma brought to each other's samples."""
        luma, chroma = planes[0], planes[1:]
        if not chroma:
            grey = np.full(luma.shape, self.format.color.neutral * self._table.scale, np.float32)
            return [self._looked_up(luma, grey, grey)[0]]
        u, v = (plane.astype(np.float32) * np.float32(self._table.scale) for plane in chroma)
        pixels = self.format.pixels
        if not (pixels.shift_x or pixels.shift_y):
            return self._looked_up(luma, u, v)
        (rows, columns), (height, width) = u.shape, luma.shape
        right, below = (columns << pixels.shift_x) - width, (rows << pixels.shift_y) - height
        whole = cv2.copyMakeBorder(luma, 0, below, 0, right, cv2.BORDER_REPLICATE) if right or below else luma
        small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        found = self._looked_up(small, u, v)
        # Each luma sample gets what its own code does in the picture's mean colour; what the colour of its
        # place adds to that is smooth, and found where chroma has its samples.
        curve = self._curve(float(cv2.mean(u)[0]), float(cv2.mean(v)[0]))
        rest = cv2.subtract(found[0], look_up(small, curve))
        rest = cv2.resize(rest, (whole.shape[1], whole.shape[0]), interpolation=cv2.INTER_LINEAR)
        found[0] = cv2.add(look_up(luma, curve), rest[:height, :width])
        return found

    def _looked_up(self, luma: Plane, u: Change, v: Change) -> list[Change]:
        """All planes' changes: exact in luma, straight lines between the nodes of chroma."""
        places = cv2.add(look_up(luma, self._tops), u)
        return list(cv2.split(cv2.remap(self._table.changes, v, places, cv2.INTER_LINEAR))[:3])

    def _curve(self, u: float, v: float) -> Change:
        """(codes,): what is added to each luma code in one colour; u, v: in nodes."""
        places = (self._tops + np.float32(u))[:, None]
        found = cv2.remap(self._table.changes, np.full_like(places, v), places, cv2.INTER_LINEAR)
        return np.ascontiguousarray(found[:, 0, 0])
