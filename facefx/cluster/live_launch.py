"""How a stream comes to a lane: room, an ownership that the store knows of, and a process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from facefx.cluster.connect import cluster_nodes
from facefx.cluster.live_lane import LiveLane, LiveLaneSettings
from facefx.cluster.live_ray import LANE, NAMESPACE, find
from facefx.cluster.live_room import LaneNeeds, free_room, needs_of, node_of, reserve
from facefx.cluster.live_spares import Place, Spares
from facefx.cluster.live_stream import Kept
from facefx.errors import ClusterError, LeaseHeldError, StoreAwayError
from facefx.live.record import Owner, StreamRecord
from facefx.live.store import StreamStore

__all__ = ["LaneRoom", "Launcher"]

_log = logging.getLogger("facefx.cluster")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Calls that a lane answers at once: its stream's end, pings, and a few users who look.
_CALLS = 16


@dataclass(frozen=True, slots=True)
class LaneRoom:
    """What a lane reserves. gpus: of a lane whose stream wants one, a part of one GPU.

    scale_s: how long a cluster that grows by itself may take to make room; 0 for one that does not: a stream
    that does not fit is refused at once. spares: lanes that wait with their nets loaded. device: theirs.
    """

    cpus: float = 1.0
    gpus: float = 0.25
    scale_s: float = 0.0
    spares: int = 0
    device: str = "cpu"


class Launcher:
    """Gives streams their lanes. Ray must be connected."""

    def __init__(self, store: StreamStore, lane: LiveLaneSettings, room: LaneRoom) -> None:
        self._store, self._lane, self._room = store, lane, room
        self.spares = Spares(room.spares, self._process)

    def needs(self, settings: Mapping[str, Any]) -> LaneNeeds:
        """What a stream's lane reserves. Raises ConfigError for a device that it cannot have."""
        device = str(settings.get("device", "cpu"))
        return needs_of(device, cluster_nodes(), self._room.cpus, self._room.gpus)

    def first(self, kept: Kept, epoch: int) -> None:
        """Begin a new stream; nothing remains of it where that fails.

        Raises ResourcesError, StoreAwayError, ClusterError.
        """
        place = self.spares.take(kept.needs) or self._reserved(kept, self._room.scale_s)
        try:
            kept.record = self._store.claim(_owned(kept.record, place, epoch))
        except LeaseHeldError as error:
            place.close()
            raise ClusterError(f"stream {kept.id}: is being started by another; ask again") from error
        except BaseException:
            place.close()
            raise
        self._begin(kept, place)

    def again(self, kept: Kept, *, seen: bool) -> bool:
        """Begin a stream again whose lane is gone for certain; False where its name is not free yet.

        seen: the store answered a moment ago.

        Raises LeaseHeldError where another owner is written down, ResourcesError.
        """
        place = self._place_again(kept)
        if place is None:
            return False
        record = _owned(kept.record, place, kept.record.epoch + 1)
        kept.untold = True  # while the store is away; the lane claims the stream too, when it can
        try:
            if seen:
                self._store.claim(record)
                kept.untold = False
        except StoreAwayError as error:
            _log.warning("lane begun untold", extra={"stream": kept.id, "reason": str(error)})
        except LeaseHeldError:
            if place.group is not kept.group:
                place.close()
            raise
        if place.group is not kept.group:
            free_room(kept.group)
        kept.record = record
        self._begin(kept, place)
        return True

    def look(self) -> None:
        """See to the spares."""
        if self._room.spares:
            room = self._room
            self.spares.look(needs_of(room.device, cluster_nodes(), room.cpus, room.gpus), cluster_nodes)

    def _place_again(self, kept: Kept) -> Place | None:
        """A spare, or the room of the lane that is gone, or what room there is."""
        # The cluster calls a lane dead that we killed some seconds before its process is; only its own room
        # does not take the next one earlier.
        spare = None if kept.killed and kept.group is not None else self.spares.take(kept.needs)
        if spare is not None:
            return spare
        name = LANE + kept.id
        if find(name) is not None:
            return None
        if kept.group is None:
            return self._reserved(kept, 0.0)
        return Place(name, None, kept.group, kept.needs)

    def _reserved(self, kept: Kept, scale_s: float) -> Place:
        group = reserve(kept.needs, cluster_nodes(), LANE + kept.id, scale_s)
        return Place(LANE + kept.id, None, group, kept.needs)

    def _begin(self, kept: Kept, place: Place) -> None:
        actor = place.actor or self._process(place.name, place.needs, place.group)
        kept.group = place.group
        kept.attach(actor, actor.begin.remote(kept.record, kept.needs.device))
        _log.info("lane begun", extra={"stream": kept.id, "lane": place.name, "epoch": kept.record.epoch})

    def _process(self, name: str, needs: LaneNeeds, group: Any) -> Any:
        """A lane's process: no restarts, no retries, one GPU or none."""
        env = dict(_ONE_THREAD) | ({} if needs.gpus else {"CUDA_VISIBLE_DEVICES": ""})
        make = ray.remote(LiveLane).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=_CALLS,
            runtime_env={"env_vars": env},
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0),
        )
        return make.remote(self._lane, name)


def _owned(record: StreamRecord, place: Place, epoch: int) -> StreamRecord:
    owner = replace(Owner.new(place.name, epoch), node=node_of(place.group))
    return replace(record, owner=owner, beat=replace(record.beat, state="starting"))
