"""What an analysis did, for the report: how often it looked and why, and what it had to guess."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from facefx.faces.looks import Reason
from facefx.values import FaceSource

__all__ = ["AnalysisStats"]


@dataclass(slots=True)
class AnalysisStats:
    """Counts over all frames handed out so far, and looks made so far.

    glances: those of the looks that went closely to where faces were expected. faces: boxes by where
    they come from. filled_frames, held_frames, unsure_frames: frames with at least one box across a
    gap, before or after all sight, or of low confidence: what a person should review.
    """

    frames: int = 0
    looks: Counter[Reason] = field(default_factory=Counter)
    glances: int = 0
    faces: Counter[FaceSource] = field(default_factory=Counter)
    tracks: int = 0
    cuts: int = 0
    flashes: int = 0
    filled_frames: int = 0
    held_frames: int = 0
    unsure_frames: int = 0
    face_frames: int = 0
    longest_gap_s: float = 0.0

    @property
    def looks_total(self) -> int:
        """All looks."""
        return self.looks.total()

    @property
    def looks_extra(self) -> int:
        """Looks off the grid."""
        return self.looks.total() - self.looks[Reason.GRID]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "frames": self.frames,
            "looks": {
                "total": self.looks_total,
                "glances": self.glances,
                **{reason.value: self.looks[reason] for reason in Reason},
            },
            "faces": {source.name.lower(): self.faces[source] for source in FaceSource},
            "tracks": self.tracks,
            "cuts": self.cuts,
            "flashes": self.flashes,
            "frames_with_faces": self.face_frames,
            "frames_filled": self.filled_frames,
            "frames_held": self.held_frames,
            "frames_unsure": self.unsure_frames,
            "longest_gap_s": round(self.longest_gap_s, 3),
        }
