"""What one run did, in full: for a person to read and for an auditor to keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import facefx
from facefx.pipeline.plan import Plan
from facefx.telemetry.ledger import StageRow

__all__ = ["RunReport"]


@dataclass(slots=True)
class RunReport:
    """The account of one run; to_json() is what `--report` writes.

    notes: what a person should know: what was removed and why, damage, long fills.
    """

    source: str
    output: str
    plan: Plan
    frames: int
    faces: dict[str, Any]
    effects: dict[str, Any]
    carried: dict[str, Any]
    damage: dict[str, Any]
    fidelity: dict[str, Any]
    stages: tuple[StageRow, ...]
    startup_s: float
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    notes: tuple[str, ...] = ()
    sha256: dict[str, str] = field(default_factory=dict)

    def hash_files(self, source: str, output: str) -> None:
        """Note the sha256 of both files."""
        self.sha256 = {"source": source, "output": output}

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "facefx": facefx.__version__,
            "source": self.source,
            "output": self.output,
            "sha256": self.sha256,
            "frames": self.frames,
            "faces": self.faces,
            "effects": self.effects,
            "notes": list(self.notes),
            "carried": self.carried,
            "damage": self.damage,
            "fidelity": self.fidelity,
            "plan_sha256": self.plan.digest,
            "plan": self.plan.to_json(),
            "stages": [row.to_json() for row in self.stages],
            "startup_s": round(self.startup_s, 4),
            "wall_s": round(self.wall_s, 4),
            "cpu_s": round(self.cpu_s, 4),
            "peak_rss_bytes": self.peak_rss_bytes,
        }
