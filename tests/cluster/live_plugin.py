"""Directories for tests; what they are is in `live_cluster`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live_cluster import Live, until

from facefx.cluster.connect import Cluster
from facefx.cluster.live_ray import lane_names
from facefx.cluster.live_room import reserved


@pytest.fixture
def live(cluster: Cluster) -> Iterator[Callable[..., Live]]:
    """Begins a directory with settings of one's own, and ends it with the test."""
    made: list[Live] = []

    def begin(**settings: Any) -> Live:
        made.append(Live(**settings))
        return made[-1]

    yield begin
    for one in made:
        one.directory.close()
    until(lambda: not lane_names() and not reserved())
