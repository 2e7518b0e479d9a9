"""Live streams on a cluster, as whoever serves them asks for them; every call ends within a bounded time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayActorError, RayError

from facefx.cluster.failure import error_of
from facefx.cluster.live_launch import LaneRoom
from facefx.cluster.live_ray import find, lane_names
from facefx.cluster.live_room import free_room, reserved
from facefx.cluster.live_session import LivePlaces, make_session
from facefx.cluster.supervisor import SUPERVISOR, SupervisorSettings, supervisor
from facefx.errors import ClusterError, ConfigError, UsageError
from facefx.live.directory import Effects
from facefx.live.record import StreamRecord, check_id, new_id
from facefx.live.settings import LiveSettings
from facefx.pipeline.runner import Failure

__all__ = ["LiveDirectory", "directory"]

# A supervisor that died is back within seconds; a lane that died has a successor after about as long.
_CALL_S = 15.0
_LOOK_S = 5.0
_PAUSE_S = 0.1
_CLOSE_S = 30.0


class LiveDirectory:
    """Implements StreamDirectory over the cluster's supervisor, which is begun where there is none.

    call_s: the longest that a call may take, for a start the cluster's time to grow not counted. Ray must be
    connected.
    """

    def __init__(self, settings: SupervisorSettings, call_s: float = _CALL_S) -> None:
        self._settings, self._call_s = settings, call_s
        self._actor = supervisor(settings)

    def start(self, settings: LiveSettings, id: str | None = None) -> StreamRecord:
        """See StreamDirectory."""
        # With a name of its own it may be asked twice: a supervisor that died may have begun it.
        name = check_id(id) if id is not None else new_id()
        plain = settings.model_dump(mode="json")
        record: StreamRecord = self._ask("start", plain, name, more_s=self._settings.room.scale_s)
        return record

    def get(self, id: str) -> StreamRecord | None:
        """See StreamDirectory."""
        record: StreamRecord | None = self._ask("get", check_id(id))
        return record

    def list(self) -> list[StreamRecord]:
        """See StreamDirectory."""
        return list(self._ask("list"))

    def set_effects(self, id: str, effects: Effects) -> StreamRecord:
        """See StreamDirectory."""
        record: StreamRecord = self._ask("set_effects", check_id(id), list(effects))
        return record

    def stop(self, id: str) -> None:
        """See StreamDirectory."""
        self._ask("stop", check_id(id))

    def stats(self, id: str) -> dict[str, Any]:
        """See StreamDirectory."""
        stats: dict[str, Any] = self._ask_lane(id, "stats")
        return stats

    def preview(self, id: str) -> tuple[bytes | None, bytes] | None:
        """See StreamDirectory."""
        pictures: tuple[bytes | None, bytes] | None = self._ask_lane(id, "preview")
        return pictures

    def close(self) -> None:
        """End every stream and the supervisor; nothing is left on the cluster."""
        with suppress(RayError):  # whatever it did not end is ended below
            ray.get(self._actor.close.remote(), timeout=_CLOSE_S)
        ray.kill(self._actor)
        for name in lane_names():
            actor = find(name)
            if actor is not None:
                ray.kill(actor)
        for _, group in reserved():
            free_room(group)
        _until(lambda: not lane_names() and find(SUPERVISOR) is None, _LOOK_S)

    def _ask(self, what: str, *args: Any, more_s: float = 0.0) -> Any:
        """Ask the supervisor, again while it is being restarted: every question may be asked twice."""
        end = time.monotonic() + self._call_s + more_s
        while True:
            try:
                said = ray.get(
                    getattr(self._actor, what).remote(*args), timeout=max(0.0, end - time.monotonic())
                )
                break
            except GetTimeoutError as error:
                raise ClusterError(f"{SUPERVISOR}: no answer in time; see `ray status`") from error
            except ActorDiedError:
                self._actor = supervisor(self._settings)  # somebody ended it: begun anew
            except RayActorError as error:
                if time.monotonic() + _PAUSE_S > end:
                    raise ClusterError(f"{SUPERVISOR}: is being restarted; ask again") from error
            time.sleep(_PAUSE_S)
        if isinstance(said, Failure):
            raise error_of(said)
        return said

    def _ask_lane(self, id: str, what: str) -> Any:
        """Ask a lane itself: what it shows is large, and the supervisor's time is for all."""
        actor = find(self._ask("actor_of", check_id(id)))
        if actor is None:
            raise UsageError(f"stream {id}: its lane is being replaced; ask again")
        try:
            said = ray.get(getattr(actor, what).remote(), timeout=_LOOK_S)
        except RayError as error:
            raise ClusterError(f"stream {id}: its lane does not answer; ask again") from error
        if isinstance(said, Failure):
            raise error_of(said)
        return said


def directory(settings: SupervisorSettings | None = None) -> LiveDirectory:
    """The cluster's live streams, for an app that serves them.

    Without settings these are taken from the environment: FACEFX_LIVE_STORE, the URL of the records (memory:
    without it); FACEFX_LIVE_CPUS and FACEFX_LIVE_GPUS, of a lane; FACEFX_LIVE_SCALE_S, how long the cluster
    may take to grow for a stream; FACEFX_LIVE_SPARES and FACEFX_LIVE_DEVICE, lanes that wait with their nets
    loaded; and where streams may come from and go to, see LivePlaces.

    Raises ConfigError for a variable that cannot be read.
    """
    return LiveDirectory(settings or _from_environment(os.environ))


def _from_environment(given: Mapping[str, str]) -> SupervisorSettings:
    room = LaneRoom(
        cpus=_number(given, "FACEFX_LIVE_CPUS", 1.0),
        gpus=_number(given, "FACEFX_LIVE_GPUS", 0.25),
        scale_s=_number(given, "FACEFX_LIVE_SCALE_S", 0.0),
        spares=int(_number(given, "FACEFX_LIVE_SPARES", 0)),
        device=given.get("FACEFX_LIVE_DEVICE", "cpu"),
    )
    return SupervisorSettings(
        make=partial(make_session, places=LivePlaces.of(given)),
        store=given.get("FACEFX_LIVE_STORE", "memory:"),
        room=room,
    )


def _number(given: Mapping[str, str], name: str, default: float) -> float:
    text = given.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError as error:
        raise ConfigError(f"{name}: expected a number, got {text!r}") from error
    if not 0 <= value < 1e6:
        raise ConfigError(f"{name}: expected a number from 0 on, got {text!r}")
    return value


def _until(there: Callable[[], bool], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not there():
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE_S)
    return True
