"""Lanes that wait for a stream, their nets loaded: a stream that lost its lane goes on sooner.

A spare has its room reserved. A new stream takes a spare before it asks for more room, so that spares
never keep a stream out.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from facefx.cluster.lane import Ready
from facefx.cluster.live_ray import SPARE, find
from facefx.cluster.live_room import LaneNeeds, free_room, reserve
from facefx.errors import FacefxError

__all__ = ["Place", "Spares"]

_log = logging.getLogger("facefx.cluster")

# After a spare could not be had: whatever the reason, it will not be gone at once.
_AGAIN_S = 15.0


@dataclass(slots=True, eq=False)
class Place:
    """A lane and its room. group: the reservation. ready: what the lane says when it has loaded."""

    name: str
    actor: Any
    group: Any
    needs: LaneNeeds
    ready: Any = None

    def close(self) -> None:
        """End the process and give its room back."""
        if self.actor is not None:
            ray.kill(self.actor)
        free_room(self.group)


class Spares:
    """Keeps so many lanes ready. make: starts the process of a lane, by its name, needs and reservation."""

    def __init__(self, count: int, make: Callable[[str, LaneNeeds, Any], Any]) -> None:
        self._count, self._make = count, make
        self._lock = threading.Lock()
        self._places: list[Place] = []
        self._not_before = 0.0

    @property
    def names(self) -> frozenset[str]:
        """Of those that wait."""
        with self._lock:
            return frozenset(place.name for place in self._places)

    @property
    def groups(self) -> frozenset[Any]:
        """Their reservations' ids."""
        with self._lock:
            return frozenset(place.group.id for place in self._places)

    def take(self, needs: LaneNeeds) -> Place | None:
        """A spare that is ready and has these very needs; it is the caller's from now on."""
        with self._lock:
            for place in self._places:
                if place.needs == needs and _is_ready(place):
                    self._places.remove(place)
                    return place
        return None

    def look(self, needs: LaneNeeds, nodes: Callable[[], Any]) -> None:
        """Let go of what died; begin what is missing, one at a time."""
        with self._lock:
            for place in [place for place in self._places if _is_dead(place)]:
                self._places.remove(place)
                place.close()
                self._not_before = time.monotonic() + _AGAIN_S
            missing = self._count - len(self._places)
        if missing > 0 and time.monotonic() >= self._not_before:
            self._add(needs, nodes)

    def close(self) -> None:
        """End them all."""
        with self._lock:
            places, self._places, self._count = self._places, [], 0
        for place in places:
            place.close()

    def _add(self, needs: LaneNeeds, nodes: Callable[[], Any]) -> None:
        name = SPARE + secrets.token_hex(4)
        try:
            group = reserve(needs, nodes(), name)
        except FacefxError as error:
            self._not_before = time.monotonic() + _AGAIN_S
            _log.info("no room for a spare lane", extra={"reason": str(error)})
            return
        actor = self._make(name, needs, group)
        with self._lock:
            self._places.append(Place(name, actor, group, needs, actor.ready.remote(needs.device)))


def _is_ready(place: Place) -> bool:
    done, _ = ray.wait([place.ready], timeout=0)
    return bool(done) and not _is_dead(place)


def _is_dead(place: Place) -> bool:
    """True for one that died, or said that it cannot work."""
    done, _ = ray.wait([place.ready], timeout=0)
    if not done:
        return False
    try:
        return not isinstance(ray.get(place.ready), Ready) or find(place.name) is None
    except RayError:
        return True
