"""The workers of an archive on Ray: connect, choose a placement, and run its tasks in lanes."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facefx.archive.scratch import default_root, wait_for_scratch
from facefx.archive.tasks import Recipe, Task, task_limit_s
from facefx.archive.work import execute
from facefx.cluster.connect import connected
from facefx.cluster.lane import LaneSettings
from facefx.cluster.placement import Demand, place
from facefx.cluster.runner import RayRunner
from facefx.pipeline.plan import effect_specs, needs_landmarks
from facefx.pipeline.runner import Runner
from facefx.pipeline.segment import STAGE_NAMES

__all__ = ["RayWorkers"]

_log = logging.getLogger("facefx.cluster")

# A lane keeps its frames to itself: the object store then holds tasks and their accounts only.
_LANE_STORE_BYTES = 200 << 20
# A process that was killed takes its time to be gone.
_GONE_S = 10.0


class RayWorkers:
    """Workers on a cluster, asked for when there is something to do.

    placement, workers, address: as for `place` and `connected`; cpus: of a cluster that is started here, the
    machine's own where None. scratch: folder on the workers' disks. say: told what was chosen, and why.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        placement: str = "auto",
        workers: int | None = None,
        address: str | None = None,
        cpus: int | None = None,
        scratch: Path | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._recipe, self._placement, self._workers = recipe, placement, workers
        self._address, self._cpus, self._scratch, self._say = address, cpus, scratch, say
        self.words = ""
        self.runner: RayRunner[Task, Any] | None = None

    @contextmanager
    def opened(self) -> Iterator[Runner[Task, Any]]:
        """Give the workers for the length of a block; their scratch space on this machine goes with it.

        Raises ClusterError, ResourcesError, ConfigError, and what a lane that cannot work says.
        """
        store = _LANE_STORE_BYTES if self._placement in ("auto", "lane") else None
        settings = LaneSettings(root=self._scratch, owner=secrets.token_hex(4))
        with self._swept(settings), connected(self._address, cpus=self._cpus, store_bytes=store) as cluster:
            chosen = place(self._placement, self._workers or "auto", cluster.nodes, self._demand())
            what = "lane" if len(chosen.groups) == 1 else f"graph ({chosen.kind})"
            where = "a Ray started here" if cluster.started else f"Ray at {cluster.address}"
            self.words = f"{chosen.lanes} × {what} on {where}"
            self._say(f"{self.words}: {chosen.reason}")
            with RayRunner(execute, chosen, settings=settings, limit_s=task_limit_s) as self.runner:
                yield self.runner

    @contextmanager
    def _swept(self, settings: LaneSettings) -> Iterator[None]:
        """Take away what workers that were killed left on this machine; elsewhere the next worker does."""
        try:
            yield
        finally:
            root = settings.root or default_root()
            if not wait_for_scratch(root, settings.owner, _GONE_S):
                _log.warning("a worker outlives its run", extra={"root": str(root), "waited_s": _GONE_S})

    def _demand(self) -> Demand:
        stages: tuple[str, ...] = STAGE_NAMES
        if not needs_landmarks(effect_specs(self._recipe.config)):
            stages = tuple(name for name in stages if name != "landmark")
        return Demand(device=self._recipe.config.device, stages=stages)
