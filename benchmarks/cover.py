"""Is every face of a clip covered, and nothing else? Judged from finished pixels.

A truth box is covered when at least 95 % of its core, the ellipse of 60 % of the box, lies within 12
luma steps of the core's median and differs from the source. A frame leaks when one of its boxes is
not. A pixel is changed when its luma, averaged over 3 × 3, differs from the source by more than 16
steps (an encoder's own losses stay below; 0 where the encoder is lossless). It is away from any face
outside all truth boxes of its frame grown 1.6 times. A patch is a connected changed area; its ratio
is its area over that of the boxes noted "full" whose centres it holds.

python -m benchmarks.cover SRC OUT TRUTH.csv [--lossless]
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.video.source import VideoSource

__all__ = ["Cover", "TruthBox", "is_covered", "judge", "judge_frame", "lumas", "read_truth"]

Luma = NDArray[np.uint8]

CORE = 0.6
CORE_SHARE = 0.95
CORE_STEPS = 12
LOSSY_STEPS = 16
NEAR = 1.6


@dataclass(frozen=True, slots=True)
class TruthBox:
    """One face that is there: pixels, x1 and y1 exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float
    note: str = "full"

    @property
    def area(self) -> float:
        """Square pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def ellipse(self, shape: tuple[int, ...], scale: float) -> NDArray[np.bool_]:
        """The pixels of the ellipse in the box, scaled about its centre."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        half_x, half_y = (self.x1 - self.x0) * scale / 2, (self.y1 - self.y0) * scale / 2
        dx = (x + 0.5 - (self.x0 + self.x1) / 2) / half_x
        dy = (y + 0.5 - (self.y0 + self.y1) / 2) / half_y
        return np.asarray(dx * dx + dy * dy <= 1)

    def near(self, shape: tuple[int, ...], scale: float) -> tuple[slice, slice]:
        """The rectangle of the box, scaled about its centre and cut at the picture's edges."""
        more_x, more_y = (self.x1 - self.x0) * (scale - 1) / 2, (self.y1 - self.y0) * (scale - 1) / 2
        rows = slice(max(0, int(self.y0 - more_y)), min(shape[0], int(np.ceil(self.y1 + more_y))))
        return rows, slice(max(0, int(self.x0 - more_x)), min(shape[1], int(np.ceil(self.x1 + more_x))))


@dataclass(slots=True)
class Cover:
    """What the frames of one clip showed.

    boxes, covered: by note. leaked: frame and note of each box that is not covered. largest_ratio: of
    a patch to the full boxes in it. away_px: changed pixels away from any face.
    """

    frames: int = 0
    pixels: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    covered: Counter[str] = field(default_factory=Counter)
    leaked: list[tuple[int, str]] = field(default_factory=list)
    changed_px: int = 0
    away_px: int = 0
    away_frames: Counter[int] = field(default_factory=Counter)
    largest_ratio: float = 0.0

    @property
    def share(self) -> float:
        """Covered boxes of all boxes; 1 where there is none."""
        return self.covered.total() / self.boxes.total() if self.boxes.total() else 1.0

    @property
    def away_share(self) -> float:
        """Changed pixels away from any face, of all pixels of the clip."""
        return self.away_px / self.pixels if self.pixels else 0.0

    @property
    def leaked_frames(self) -> int:
        """Frames with a box that is not covered."""
        return len({frame for frame, _ in self.leaked})

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "frames": self.frames,
            "boxes": dict(self.boxes),
            "covered": dict(self.covered),
            "leaked_frames": self.leaked_frames,
            "leaked": self.leaked[:50],
            "changed_px": self.changed_px,
            "away_px": self.away_px,
            "away_share": self.away_share,
            "largest_patch_ratio": round(self.largest_ratio, 3),
        }


def read_truth(path: Path) -> dict[int, list[TruthBox]]:
    """Boxes by frame; lines that start with # tell how they were made."""
    truth: dict[int, list[TruthBox]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
            truth[int(row["frame"])].append(TruthBox(x0, y0, x1, y1, row["note"]))
    return dict(truth)


def is_covered(source: Luma, output: Luma, box: TruthBox) -> bool:
    """True where the core of a box is flat and not what was there."""
    core = box.ellipse(source.shape, CORE)
    after = output[core].astype(np.int16)
    if not after.size:
        return True
    flat = np.abs(after - np.median(after)) <= CORE_STEPS
    return float(np.mean(flat & (after != source[core]))) >= CORE_SHARE


def changed(source: Luma, output: Luma, steps: int) -> NDArray[np.bool_]:
    """The pixels that were changed on purpose; steps 0 means any difference at all."""
    if steps == 0:
        return np.asarray(source != output)
    difference = source.astype(np.float32) - output
    return np.asarray(np.abs(cv2.blur(difference, (3, 3))) > steps)


def judge_frame(
    cover: Cover, frame: int, source: Luma, output: Luma, truth: Iterable[TruthBox], steps: int
) -> None:
    """Add one frame to a clip's judgement."""
    boxes = list(truth)
    cover.frames += 1
    cover.pixels += source.size
    for box in boxes:
        cover.boxes[box.note] += 1
        if is_covered(source, output, box):
            cover.covered[box.note] += 1
        else:
            cover.leaked.append((frame, box.note))
    mask = changed(source, output, steps)
    if not mask.any():
        return
    cover.changed_px += int(mask.sum())
    cover.largest_ratio = max(cover.largest_ratio, _largest_ratio(mask, boxes))
    for box in boxes:
        mask[box.near(mask.shape, NEAR)] = False
    away = int(mask.sum())
    cover.away_px += away
    if away:
        cover.away_frames[frame] += away


def _largest_ratio(mask: NDArray[np.bool_], boxes: list[TruthBox]) -> float:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    areas = np.bincount(labels.ravel(), minlength=count)
    under: dict[int, float] = defaultdict(float)
    partial: set[int] = set()
    for box in boxes:
        y = min(mask.shape[0] - 1, int((box.y0 + box.y1) / 2))
        x = min(mask.shape[1] - 1, int((box.x0 + box.x1) / 2))
        label = int(labels[y, x])
        under[label] += box.area
        if box.note != "full":
            partial.add(label)
    ratios = [areas[label] / area for label, area in under.items() if label and label not in partial]
    return float(max(ratios, default=0.0))


def lumas(path: Path) -> Iterator[Luma]:
    """The luma planes of a file, in 8 bits, in presentation order."""
    with VideoSource(path) as source:
        shift = source.format.pixels.depth - 8
        for batch in source.batches():
            for i in range(len(batch)):
                luma = batch.view(i)[0]
                yield luma if shift == 0 else (luma >> shift).astype(np.uint8)


def judge(source: Path, output: Path, truth: dict[int, list[TruthBox]], *, lossless: bool = False) -> Cover:
    """Compare two files frame by frame.

    Raises SystemExit where they have not the same number of frames.
    """
    cover = Cover()
    before, after = lumas(source), lumas(output)
    for frame, (a, b) in enumerate(zip(before, after, strict=False)):
        judge_frame(cover, frame, a, b, truth.get(frame, ()), 0 if lossless else LOSSY_STEPS)
    rest = sum(1 for _ in before), sum(1 for _ in after)
    if rest != (0, 0):
        raise SystemExit(f"{output}: not as many frames as {source} after {cover.frames}: {rest}")
    return cover


def main() -> int:
    """Print the judgement as JSON; exit 1 when a box is not covered."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("source", type=Path)
    reader.add_argument("output", type=Path)
    reader.add_argument("truth", type=Path, nargs="?", help="without it, no face is there")
    reader.add_argument("--lossless", action="store_true", help="any difference is a change")
    given = reader.parse_args()
    truth = read_truth(given.truth) if given.truth else {}
    cover = judge(given.source, given.output, truth, lossless=given.lossless)
    print(json.dumps(cover.to_json(), indent=2))
    return int(bool(cover.leaked))


if __name__ == "__main__":
    sys.exit(main())
