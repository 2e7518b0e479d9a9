"""Where the faces of a client's frames are: the live face policy, one frame at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from facefx.errors import ConfigError
from facefx.faces.analysis import Analysis
from facefx.faces.live import LiveAnalyzer
from facefx.faces.live_policy import BEAUTY_INTERVAL_S, LivePolicy
from facefx.pipeline.nets import Nets
from facefx.values import Faces, FrameBatch, StreamFormat

__all__ = ["Finder", "make_finder"]


class Finder(Protocol):
    """Says at once where the faces of each frame are; remembers tracks from frame to frame."""

    def look(self, batch: FrameBatch) -> Faces:
        """The faces of a batch of one frame; frames come in order.

        Raises what the detector raises; the frame was not looked at then, and the next may come.
        """

    def hide(self, yes: bool) -> None:
        """Whether faces are to be hidden from now on, so that every frame must be looked at."""


def make_finder(analysis: Analysis, format: StreamFormat, nets: Nets) -> Finder:
    """What looks at the frames of one stream.

    Raises ConfigError for a policy that waits for later frames; ModelError.
    """
    policy = analysis.policy
    if not isinstance(policy, LivePolicy):
        raise ConfigError("frames of a client need a live face policy, got one that looks ahead")
    return _LiveFinder(LiveAnalyzer(nets.detector(analysis.detector), policy, format))


class _LiveFinder:
    def __init__(self, analyzer: LiveAnalyzer) -> None:
        self._analyzer = analyzer

    def look(self, batch: FrameBatch) -> Faces:
        ((_, faces),) = self._analyzer.push(batch)
        return faces

    def hide(self, yes: bool) -> None:
        interval_s = 0.0 if yes else BEAUTY_INTERVAL_S
        if self._analyzer.policy.look_interval_s != interval_s:
            self._analyzer.adopt(replace(self._analyzer.policy, look_interval_s=interval_s))
