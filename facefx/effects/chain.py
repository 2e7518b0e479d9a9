"""Several effects on all faces of a frame: the order, the overlaps, and what happens when one fails."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from facefx.effects.effect import FAMILIES, Effect, Rectangle
from facefx.effects.kernels import KERNEL_ERROR
from facefx.effects.shapes import is_empty
from facefx.effects.shared import Shared
from facefx.errors import EffectError, FacefxError
from facefx.values import Face, Patch, Planes, StreamFormat

__all__ = ["ChainStats", "EffectChain"]

_log = logging.getLogger(__name__)

_Wanted = tuple[Effect, Face, Rectangle]

# What an effect, ours or a user's, may raise. Anything else ends the run, which publishes nothing.
_FAILURES = (
    FacefxError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    KERNEL_ERROR,
)


@dataclass(slots=True)
class ChainStats:
    """What a chain did.

    blackouts, skipped: how often, by "effect: reason". first: one message of each reason.
    """

    frames: int = 0
    faces: int = 0
    patches: int = 0
    blackouts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {
            "frames": self.frames,
            "faces": self.faces,
            "patches": self.patches,
            "blackouts": dict(self.blackouts),
            "skipped": dict(self.skipped),
            "first": dict(self.first),
        }


class _Failed(Exception):
    """An effect raised; the cause is chained."""

    def __init__(self, effect: Effect) -> None:
        super().__init__(effect.name)
        self.effect = effect


class EffectChain:
    """Effects in family order, ready for one stream.

    All that beautifies all faces runs before all that hides any, so that nothing is drawn over a
    hidden face. A privacy effect that fails blacks out the whole frame; another that fails is left
    out of that frame. Both are counted by reason in `stats`. Where a geometry effect has moved a face, the
    others are given it where it lies then, and privacy a box that holds both places.

    Raises EffectError where an effect cannot be prepared.
    """

    def __init__(self, effects: Sequence[Effect], format: StreamFormat, seed: bytes = b"") -> None:
        self.format = format
        self.effects = sorted(effects, key=lambda effect: FAMILIES.index(effect.family))
        self.stats = ChainStats()
        shared = Shared()
        for effect in self.effects:
            effect.shared = shared
            effect.prepare(format, seed)
        # Where nothing comes after a warp, nobody asks where it has put the face.
        self._moving = len(self.effects) > 1
        self._groups = (
            [effect for effect in self.effects if effect.family != "privacy"],
            [effect for effect in self.effects if effect.family == "privacy"],
        )

    def frame(self, frame: int, planes: Planes, faces: Sequence[Face]) -> list[Patch]:
        """Make the patches of one frame; paste them in this order.

        frame: position in the batch. planes: of the whole frame, only read. The patches own their memory.
        """
        stats = self.stats
        stats.frames += 1
        stats.faces += len(faces)
        meant = {effect: self._meant(effect, faces) for effect in self.effects}
        for effect in self._groups[0]:
            lacking = sum(_lacks(effect, face) for i, face in enumerate(faces) if i in meant[effect])
            if lacking:
                stats.skipped[f"{effect.name}: no landmarks"] += lacking
        broken: list[Effect] = []
        while True:
            try:
                patches = self._render(frame, planes, faces, meant, broken)
                break
            except _Failed as failure:
                effect, cause = failure.effect, failure.__cause__
                if effect.family == "privacy":
                    self._note(stats.blackouts, effect, cause, "frame blacked out")
                    patches = [Patch.black(self.format, frame)]
                    break
                # From the start without it: a patch that it left half done is not kept.
                self._note(stats.skipped, effect, cause, "left out of the frame")
                broken.append(effect)
        stats.patches += len(patches)
        return patches

    def close(self) -> None:
        """Let the effects go; nothing may be asked of them afterwards."""
        for effect in self.effects:
            effect.close()

    def _render(
        self,
        frame: int,
        planes: Planes,
        faces: Sequence[Face],
        meant: Mapping[Effect, Container[int]],
        broken: Sequence[Effect],
    ) -> list[Patch]:
        patches: list[Patch] = []
        taken: list[tuple[int, int, int, int]] = []
        there = list(faces)  # where each lies once those before have moved it
        for group in self._groups:
            effects = [effect for effect in group if effect not in broken]
            for i in range(len(faces) if effects else 0):
                face = there[i]
                wanted, there[i] = self._wanted([effect for effect in effects if i in meant[effect]], face)
                patch = self._cut(frame, planes, [region for _, _, region in wanted])
                if patch is None:
                    continue
                right, bottom = patch.x + patch.width, patch.y + patch.height
                for (x0, y0, x1, y1), earlier in zip(taken, patches, strict=True):
                    # Most pairs are apart; asking here costs a tenth of the call.
                    if x0 < right and y0 < bottom and patch.x < x1 and patch.y < y1:
                        patch.overlay(earlier)
                for effect, seen, _ in wanted:
                    _guarded(effect, patch, seen)
                patches.append(patch)
                taken.append((patch.x, patch.y, right, bottom))
        return patches

    def _meant(self, effect: Effect, faces: Sequence[Face]) -> Container[int]:
        """Indices of the faces that an effect is for."""
        meant = range(len(faces)) if effect.who.everyone else effect.who.choose(faces, self.format)
        return self._largest(faces, meant) if effect.whole_frame else meant

    def _largest(self, faces: Sequence[Face], meant: Iterable[int]) -> Container[int]:
        """Of some faces the largest that lies in the picture; one whose box is no box goes before all."""
        broken = [i for i in meant if not all(map(math.isfinite, faces[i].xyxy))]
        seen = [i for i in meant if i not in broken and Patch.rectangle(self.format, faces[i].xyxy)]
        return broken or sorted(seen, key=lambda i: -_area(faces[i].xyxy))[:1]

    def _wanted(self, effects: Sequence[Effect], face: Face) -> tuple[list[_Wanted], Face]:
        """What each effect wants of a face, where the ones before have moved it to; and where it lies then.

        Its box holds all places, so that what is hidden is hidden in each.
        """
        wanted: list[_Wanted] = []
        for effect in effects:
            region = self._region(effect, face)
            if region is None:
                continue
            wanted.append((effect, face, region))
            if effect.family == "geometry" and self._moving:
                face = _moved(effect, face)
        return wanted, face

    def _region(self, effect: Effect, face: Face) -> Rectangle | None:
        """What an effect wants of a face; a privacy effect must want the face's box at least."""
        hides = effect.family == "privacy"
        if not hides and _lacks(effect, face):
            return None
        try:
            region = effect.region(face)
            if hides and not is_empty(face.xyxy) and not _contains(region, face.xyxy):
                raise EffectError(
                    f"effect {effect.name}: its region {region} leaves out a part of {face.xyxy}"
                )
        except _FAILURES as error:
            raise _Failed(effect) from error
        return region

    def _cut(self, frame: int, planes: Planes, regions: Sequence[Rectangle]) -> Patch | None:
        if not regions:
            return None
        if len(regions) == 1:
            return Patch.cut(self.format, frame, planes, regions[0])
        left, top, right, bottom = zip(*regions, strict=True)
        return Patch.cut(self.format, frame, planes, (min(left), min(top), max(right), max(bottom)))

    def _note(self, counter: Counter[str], effect: Effect, cause: BaseException | None, outcome: str) -> None:
        reason = f"{effect.name}: {type(cause).__name__}"
        counter[reason] += 1
        if reason not in self.stats.first:
            self.stats.first[reason] = " ".join(str(cause).split())
            _log.warning("%s: %s (%s)", outcome, reason, self.stats.first[reason])


def _guarded(effect: Effect, patch: Patch, face: Face) -> None:
    try:
        effect.apply(patch, face)
    except _FAILURES as error:
        raise _Failed(effect) from error


def _moved(effect: Effect, face: Face) -> Face:
    try:
        moved = effect.moved(face)
    except _FAILURES as error:
        raise _Failed(effect) from error
    return replace(moved, xyxy=_around(face.xyxy, moved.xyxy))


def _lacks(effect: Effect, face: Face) -> bool:
    return face.landmarks is None and "landmarks" in effect.wants(effect.params)


def _area(box: Rectangle) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _around(a: Rectangle, b: Rectangle) -> Rectangle:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _contains(region: Rectangle | None, box: Rectangle) -> bool:
    return region is not None and (
        region[0] <= box[0] and region[1] <= box[1] and region[2] >= box[2] and region[3] >= box[3]
    )
