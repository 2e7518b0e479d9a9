"""A segment of a video, and all that making it needs: plain values that cross processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facefx.pipeline.plan import Plan
from facefx.values import FrameBatch
from facefx.video.info import MediaInfo
from facefx.video.source import window_of

__all__ = ["SegmentJob", "Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """One segment: lo ≤ pts < hi in the video stream's time base; None where it begins or ends with the file.

    first: pts of the first frame of the video, or of the excerpt, where the grids of looks begin; None for
    the video's own start.
    """

    number: int
    count: int
    lo: int | None
    hi: int | None
    first: int | None = None


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """All that a stage of one segment needs; picklable.

    local: the staged source on this machine. piece, faces: local targets, which appear only when whole;
    faces is None where nobody looks. table: faces kept by an earlier run, which are taken instead.
    """

    local: Path
    info: MediaInfo
    plan: Plan
    span: Span
    piece: Path
    faces: Path | None
    table: Path | None = None

    @property
    def own(self) -> tuple[int | None, int | None]:
        """The frames that this segment is to give, lo ≤ pts < hi, within the plan's excerpt."""
        low, high = window_of(self.info, self.plan.from_s, self.plan.to_s)
        lows = [bound for bound in (low, self.span.lo) if bound is not None]
        highs = [bound for bound in (high, self.span.hi) if bound is not None]
        return max(lows, default=None), min(highs, default=None)

    @property
    def anchor(self) -> int:
        """Pts where the grids of looks begin."""
        return self.info.video.start_pts if self.span.first is None else self.span.first

    def owns(self, batch: FrameBatch) -> bool:
        """True for a batch of the segment's own frames, False for one of the margins; none is of both."""
        lo, hi = self.own
        first, last = int(batch.pts[0]), int(batch.pts[-1])
        return (lo is None or first >= lo) and (hi is None or last < hi)
