"""The session that a lane runs, made from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facefx.cluster.live_lane import LiveSession
from facefx.pipeline.nets import Nets

__all__ = ["make_session"]


def make_session(settings: Mapping[str, Any], tracker: Mapping[str, Any] | None, nets: Nets) -> LiveSession:
    """Make one; module-level, so that a lane's process can import it."""
    raise NotImplementedError
