"""How the faces of a video are found: what a plan fixes of it, and what a kept table says of itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import facefx
from facefx.faces.detector import DetectorSpec
from facefx.faces.landmarker import LandmarkerSpec
from facefx.faces.live_policy import LivePolicy
from facefx.faces.policy import FacePolicy

__all__ = ["Analysis", "analysis_of"]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Everything that boxes, tracks and landmarks depend on, besides the video.

    detector, landmarker: name their nets by sha256; landmarker is None where nobody asked for
    landmarks. from_s, to_s: seconds on a player's clock between which frames are looked at, None for
    the file's own start and end. version: of the facefx that looks.
    """

    detector: DetectorSpec
    policy: FacePolicy | LivePolicy
    landmarker: LandmarkerSpec | None
    on_damage: Literal["fail", "keep"]
    from_s: float | None
    to_s: float | None
    device: str
    version: str = facefx.__version__


def analysis_of(plan: Analysis) -> Analysis:
    """The part of a plan that says how faces are found, without the rest of it."""
    return Analysis(**{field.name: getattr(plan, field.name) for field in fields(Analysis)})
