"""A lane's figures for Prometheus. Labels name stages and reasons, never a stream: their number stays small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LaneMetrics"]


class LaneMetrics:
    """X."""

    def take(self, plain: Mapping[str, Any]) -> None:
        """X."""
