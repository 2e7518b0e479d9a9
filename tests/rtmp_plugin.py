"""A clip to stream and a server to stream it to; the classes are in `live_rtmp`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_rtmp import Clip, RtmpServer, make_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Twenty seconds, longer than any test: numbers do not come twice."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 20.0, (320, 180))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtmpServer]:
    """A real nginx."""
    with RtmpServer(tmp_path / "nginx") as one:
        yield one
