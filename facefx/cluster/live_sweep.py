"""Lanes and reservations that are nobody's: taken in where their stream can go on, else ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from facefx.cluster.live_keeper import Keeper
from facefx.cluster.live_ray import LANE, find, lane_names
from facefx.cluster.live_room import free_room, reserved
from facefx.cluster.live_stream import Kept
from facefx.live.record import StreamRecord
from facefx.live.store import same_token

__all__ = ["Sweeper"]

_log = logging.getLogger("facefx.cluster")

_ASK_S = 2.0


class Sweeper:
    """Looks for what a supervisor left that died, and for lanes that were succeeded and live.

    orphan_s: how long something must be nobody's: it may be just being made.
    """

    def __init__(self, keeper: Keeper, orphan_s: float) -> None:
        self._keeper, self._orphan_s = keeper, orphan_s
        self._strangers: dict[str, float] = {}

    def look(self, stored: Mapping[str, StreamRecord] | None) -> None:
        """Look once; stored: the store's records, None where it cannot be seen."""
        strangers: dict[str, Callable[[], None]] = dict(self._lanes(stored))
        strangers |= dict(self._rooms())
        now = time.monotonic()
        self._strangers = {name: self._strangers.get(name, now) for name in strangers}
        for name, since in self._strangers.items():
            if now - since >= self._orphan_s:
                _log.warning("orphan ended", extra={"orphan": name})
                strangers[name]()

    def _lanes(self, stored: Mapping[str, StreamRecord] | None) -> Iterator[tuple[str, Callable[[], None]]]:
        everybody = self._keeper.all()
        mine = {kept.record.owner.actor for kept in everybody if kept.record.owner and kept.actor is not None}
        for name in sorted(set(lane_names()) - mine - self._keeper.launcher.spares.names):
            actor = find(name)
            if actor is None:
                continue
            record = _record_of(actor)
            if record is None:
                yield f"lane {name}", partial(ray.kill, actor)
            elif self._succeeded(record, stored):
                _log.warning("succeeded lane ended", extra={"stream": record.id, "lane": name})
                ray.kill(actor)
            elif not record.over or stored is not None:
                self._take_in(record, actor)

    def _succeeded(self, record: StreamRecord, stored: Mapping[str, StreamRecord] | None) -> bool:
        """True if a later owner is known, or the stream was ended."""
        known = [kept.record for kept in self._keeper.all() if kept.id == record.id]
        known += [other for other in (stored or {}).values() if other.id == record.id]
        return any(
            other.epoch > record.epoch or (other.over and same_token(other.token, record.token))
            for other in known
        )

    def _take_in(self, record: StreamRecord, actor: Any) -> None:
        if self._keeper.adopt(record, actor) is not None:
            _log.info("lane taken in", extra={"stream": record.id})

    def _rooms(self) -> Iterator[tuple[str, Callable[[], None]]]:
        everybody = self._keeper.all()
        held = {kept.group.id for kept in everybody if kept.group is not None}
        held |= self._keeper.launcher.spares.groups
        for name, group in reserved():
            if group.id in held:
                continue
            whose = next((kept for kept in everybody if kept.group is None and name in _names(kept)), None)
            if whose is None:
                yield f"room {group.id.hex()}", partial(free_room, group)
            elif whose.actor is not None:
                whose.group = group


def _names(kept: Kept) -> tuple[str, ...]:
    """Under which a reservation of this stream may stand; one that is over has none."""
    if kept.record.over:
        return ()
    owner = kept.record.owner
    return (LANE + kept.id, owner.actor) if owner else (LANE + kept.id,)


def _record_of(actor: Any) -> StreamRecord | None:
    """What a lane says that it runs; None for one that has not begun, or does not answer."""
    try:
        said = ray.get(actor.record.remote(), timeout=_ASK_S)
    except RayError:
        return None
    return said if isinstance(said, StreamRecord) else None
