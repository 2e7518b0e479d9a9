"""The fidelity contract of a photo: the output is the source with changed faces, and nothing else changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.errors import FacefxError
from facefx.values import Patch, Planes
from facefx.video.fidelity import FidelityReport
from facefx.video.fidelity_contract import Clause
from facefx.video.still_exif import orientation_of
from facefx.video.still_jpeg import Jpeg
from facefx.video.still_kinds import TargetKind, checked_kind, read_bytes
from facefx.video.still_meta import Metadata, MetadataPolicy
from facefx.video.still_source import Container, Still, decode_samples, decoded_still, take_container

__all__ = ["JPEG_FLOOR_DB", "WEBP_FLOOR_DB", "Promise", "closeness", "verify_bytes", "verify_still"]

JPEG_FLOOR_DB = 50.0
"""PSNR of a JPEG against its source where no effect touched it; on real photos it is 60 to 90."""

WEBP_FLOOR_DB = 40.0
"""The same for a lossy WebP, which no encoder can code twice without loss."""

_FRESH_FLOOR_DB = 33.0
_EFFECT_FLOOR_DB = 20.0
# By how much the worst small square may lie below the floor of the whole, and how low at most.
_SQUARE = 16
_SQUARE_BELOW_DB, _SQUARE_FLOOR_DB = 25.0, 15.0


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised of an output. metadata: as kept by the policy. exact: no sample may differ."""

    source: Still
    edited: Still
    patches: Sequence[Patch]
    target: TargetKind
    policy: MetadataPolicy
    metadata: Metadata
    exact: bool

    @property
    def floor_db(self) -> float:
        """The PSNR that must be kept where no effect touched anything."""
        if self.exact:
            return math.inf
        if self.source.kind != self.target:
            return _FRESH_FLOOR_DB
        return JPEG_FLOOR_DB if self.target == "jpeg" else WEBP_FLOOR_DB


def verify_still(promise: Promise, path: Path) -> FidelityReport:
    """Read a written photo back and hold it against what was promised.

    A breach raises nothing: it is in the report.
    """
    try:
        data, _ = read_bytes(path)
    except FacefxError as error:
        return _unreadable(promise, path, error)
    return verify_bytes(promise, data, path)


def verify_bytes(promise: Promise, data: bytes, path: Path) -> FidelityReport:
    """The same of a photo whose bytes are at hand. path: its name, for the report."""
    source = str(promise.source.path)
    try:
        kind = checked_kind(data, path)
        container = take_container(data, kind, path)
        seen, alpha = _decoded(promise, container, path)
    except FacefxError as error:
        return _unreadable(promise, path, error)
    clauses = [Clause("kind", kind == promise.target, promise.target, kind)]
    clauses += _about(promise, container)
    clauses += _pixels(promise, seen, alpha)
    return FidelityReport(source, str(path), tuple(clauses))


def _unreadable(promise: Promise, path: Path, error: FacefxError) -> FidelityReport:
    clause = Clause("readable", False, "a photo", str(error))
    return FidelityReport(str(promise.source.path), str(path), (clause,))


def _decoded(promise: Promise, container: Container, path: Path) -> tuple[Planes, NDArray[Any] | None]:
    """What was written as the planes, or the samples as planes, in which it was edited."""
    if promise.edited.samples is None:
        again = decoded_still(container, promise.target, path, promise.target)
        return again.planes, again.alpha
    samples, alpha = decode_samples(container, path)
    return _split(samples), alpha


def _split(samples: NDArray[Any]) -> Planes:
    return tuple(samples[..., i] for i in range(samples.shape[2]))


def _planes(still: Still) -> Planes:
    return still.planes if still.samples is None else _split(still.samples)


def _about(promise: Promise, container: Container) -> Iterator[Clause]:
    """Size, and what is written beside the pixels."""
    yield _same("size", promise.source.container.size, container.size)
    wanted, got = promise.metadata, container.metadata
    yield _same("orientation", orientation_of(wanted.exif), orientation_of(got.exif))
    for name, one, other in (
        ("ICC profile", wanted.icc, got.icc),
        ("EXIF", wanted.exif, got.exif),
        ("XMP", wanted.xmp, got.xmp),
    ):
        yield Clause(name, one == other, _length(one), _length(other) + ("" if one == other else ", changed"))
    left = [removal.what for removal in container.cleaned(promise.policy)[1]]
    yield Clause("nothing left that may show a face", not left, "nothing", ", ".join(left) or "nothing")


def _same(name: str, expected: object, got: object) -> Clause:
    return Clause(name, expected == got, str(expected), str(got))


def _length(block: bytes | None) -> str:
    return "none" if block is None else f"{len(block)} bytes"


def _pixels(promise: Promise, seen: Planes, alpha: NDArray[Any] | None) -> Iterator[Clause]:
    """Depth, alpha, what no effect touched, and what one did."""
    before, after = _planes(promise.source), _planes(promise.edited)
    if promise.exact and len(after) == 1 and len(seen) == 3:  # a WebP has no grey of its own
        before, after = before * 3, after * 3
    shapes = [plane.shape for plane in after], [plane.shape for plane in seen]
    yield Clause("planes", shapes[0] == shapes[1], str(shapes[0]), str(shapes[1]))
    if shapes[0] != shapes[1]:
        return
    if promise.target == "jpeg" and after[0].dtype != seen[0].dtype:
        before, after = (tuple((plane >> 8).astype(np.uint8) for plane in part) for part in (before, after))
    yield _same("depth", str(after[0].dtype), str(seen[0].dtype))
    opaque = promise.source.alpha
    if promise.target != "jpeg":
        equal = _alpha_of(opaque, seen[0]) == _alpha_of(alpha, seen[0])
        yield Clause("alpha", bool(equal.all()), "the source's", f"{int((~equal).sum())} pixels differ")
    outside = _outside(promise, seen)
    inside = [~mask for mask in outside]
    coded_anew = promise.exact and promise.edited.samples is not None
    if coded_anew and promise.target == "webp" and opaque is not None:
        # Under a pixel that does not show at all, a WebP's encoder writes what it likes.
        outside, inside = ([mask & (opaque > 0) for mask in masks] for masks in (outside, inside))
    yield _close("pixels that no effect touched", before, seen, outside, promise.floor_db)
    yield _close_everywhere(before, seen, outside, promise.floor_db)
    floor = math.inf if promise.exact else _EFFECT_FLOOR_DB
    yield _close("pixels of the effects", after, seen, inside, floor)


def _alpha_of(alpha: NDArray[Any] | None, plane: NDArray[Any]) -> NDArray[Any]:
    """An alpha that is not there is opaque everywhere."""
    return np.full(plane.shape, np.iinfo(plane.dtype).max) if alpha is None else alpha


def _close(
    name: str, wanted: Planes, got: Planes, masks: Sequence[NDArray[np.bool_]], floor_db: float
) -> Clause:
    return _decibel_clause(name, closeness(wanted, got, masks), floor_db)


def _decibel_clause(name: str, found_db: float, floor_db: float) -> Clause:
    expected = "every sample the same" if floor_db == math.inf else f"PSNR of at least {floor_db:g} dB"
    found = "every sample the same" if found_db == math.inf else f"PSNR of {found_db:.1f} dB"
    return Clause(name, found_db >= floor_db, expected, found)


def _close_everywhere(
    wanted: Planes, got: Planes, masks: Sequence[NDArray[np.bool_]], floor_db: float
) -> Clause:
    """In a large photo a spoilt spot, a face for instance, hardly moves the PSNR of the whole."""
    floor_db = max(floor_db - _SQUARE_BELOW_DB, _SQUARE_FLOOR_DB)
    worst = min(
        _decibels(one, _worst_square(one, other, mask), 1)
        for one, other, mask in zip(wanted, got, masks, strict=True)
    )
    return _decibel_clause(f"each {_SQUARE}x{_SQUARE} pixels that no effect touched", worst, floor_db)


def _worst_square(one: NDArray[Any], other: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """The largest mean squared difference over the squares of a plane."""
    worst = 0.0
    height, width = one.shape
    columns = np.arange(0, width, _SQUARE)
    for top in range(0, height, _SQUARE):
        rows = slice(top, top + _SQUARE)
        difference = one[rows].astype(np.float32) - other[rows].astype(np.float32)
        sums = np.square(difference * mask[rows]).sum(axis=0)
        worst = max(worst, float(np.add.reduceat(sums, columns).max()))
    return worst / _SQUARE**2


def closeness(wanted: Planes, got: Planes, masks: Sequence[NDArray[np.bool_]]) -> float:
    """PSNR in dB over all planes where the masks are set; infinite where every sample is the same."""
    total, count = 0.0, 0
    for one, other, mask in zip(wanted, got, masks, strict=True):
        difference = one[mask].astype(np.float32) - other[mask].astype(np.float32)
        total += float(np.square(difference, dtype=np.float64).sum())
        count += difference.size
    return _decibels(wanted[0], total, count)


def _decibels(plane: NDArray[Any], squares: float, count: int) -> float:
    """PSNR of so many samples of a plane's type with that sum of squared differences."""
    if squares == 0:
        return math.inf
    peak = float(np.iinfo(plane.dtype).max)
    return 10 * math.log10(peak * peak * count / squares)


def _outside(promise: Promise, planes: Planes) -> list[NDArray[np.bool_]]:
    step_x, step_y = _blocks(promise)
    masks = []
    height, width = planes[0].shape
    for plane in planes:
        mask = np.ones(plane.shape, bool)
        across, down = -(-width // plane.shape[1]), -(-height // plane.shape[0])
        for patch in promise.patches:
            x0, y0 = patch.x // step_x * step_x, patch.y // step_y * step_y
            x1 = -(-(patch.x + patch.width) // step_x) * step_x
            y1 = -(-(patch.y + patch.height) // step_y) * step_y
            mask[y0 // down : -(-y1 // down), x0 // across : -(-x1 // across)] = False
        masks.append(mask)
    return masks


def _blocks(promise: Promise) -> tuple[int, int]:
    """Columns and lines that the target codes as one."""
    if promise.exact:
        return 1, 1
    container = promise.source.container
    if promise.target == "jpeg" and isinstance(container, Jpeg):
        parts = container.components
        return 8 * max(part.h for part in parts), 8 * max(part.v for part in parts)
    return 16, 16
