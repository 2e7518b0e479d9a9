"""What one run did, in full: for a person to read and for an auditor to keep."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass, field
from typing import Any

import facefx
from facefx.pipeline.plan import Plan
from facefx.telemetry.account import Account
from facefx.telemetry.ledger import StageRow

__all__ = ["RunReport", "process_cost"]


@dataclass(slots=True, repr=False)
class RunReport:
    """The account of one run; to_json() is what `--report` writes.

    faces: what was looked at and found; landmarks: the same of the mesh, None where no effect needs it.
    table: the table that the faces come from and how it was made, None where they were looked for now.
    notes: what a person should know: what was removed and why, damage, long fills.
    account: what each thread's time went to, from the start to the publishing; None before that.
    """

    source: str
    output: str
    plan: Plan
    frames: int
    faces: dict[str, Any]
    landmarks: dict[str, Any] | None
    effects: dict[str, Any]
    carried: dict[str, Any]
    damage: dict[str, Any]
    fidelity: dict[str, Any]
    stages: tuple[StageRow, ...]
    startup_s: float
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    table: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    sha256: dict[str, str] = field(default_factory=dict)
    account: Account | None = None

    def __repr__(self) -> str:
        fps = self.frames / max(self.wall_s, 1e-6)
        chain = " + ".join(spec.name for spec in self.plan.effects)
        noted = "".join(f"\n  note: {note}" for note in self.notes)
        told = f"{self.frames} frames, {chain}, {self.faces['tracks']} faces tracked, {fps:.0f} fps, verified"
        return f"<{self.output}: {told}>{noted}"

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
            "landmarks": self.landmarks,
            "table": self.table,
            "effects": self.effects,
            "notes": list(self.notes),
            "carried": self.carried,
            "damage": self.damage,
            "fidelity": self.fidelity,
            "plan_sha256": self.plan.digest,
            "plan": self.plan.to_json(),
            "stages": [row.to_json() for row in self.stages],
            "account": None if self.account is None else self.account.to_json(),
            "startup_s": round(self.startup_s, 4),
            "wall_s": round(self.wall_s, 4),
            "cpu_s": round(self.cpu_s, 4),
            "peak_rss_bytes": self.peak_rss_bytes,
        }


def process_cost() -> tuple[float, int]:
    """CPU-seconds of this process so far, and its peak resident bytes."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes, but bytes on macOS
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale
