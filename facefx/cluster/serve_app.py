"""The HTTP service on Ray Serve: replicas that do images, and an ingress that does everything else.

An image replica loads its nets when it starts, works on one photo at a time, and is joined by others as load
grows. The ingress is asynchronous and cheap: it checks tokens, passes images on, and asks the streams'
supervisor; it owns no stream, so that it may come and go.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facefx.cluster.environment import described
from facefx.cluster.failure import error_of
from facefx.cluster.http_api import make_api
from facefx.cluster.http_errors import BusyError
from facefx.cluster.http_settings import HttpSettings, settings_from
from facefx.cluster.http_streams import Streams
from facefx.errors import ConfigError, FacefxError, ResourcesError
from facefx.pipeline.image_service import ImageAnswer, ImageRequest, ImageService, ImageSettings
from facefx.pipeline.runner import Failure

if TYPE_CHECKING:
    from ray.serve import Application
    from ray.serve.handle import DeploymentHandle

__all__ = ["Ingress", "ServeSettings", "ServedImages", "frames_router", "make_app", "streams_of_cluster"]

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_LIVE, _FRAMES = "facefx.cluster.live", "facefx.cluster.ws"


class ServeSettings(BaseModel):
    """How the service is laid over a cluster.

    replicas, most_replicas: of those who do images. image_cpus, image_gpus: of one. ingresses: at least.
    stuck_s: an image that takes longer has hung, and its replica is replaced. streams, frames: whether live
    streams and frames by WebSocket are served.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: ImageSettings = ImageSettings()
    replicas: int = Field(1, ge=0)
    most_replicas: int = Field(8, ge=1)
    image_cpus: float = Field(1.0, gt=0)
    image_gpus: float = Field(0.0, ge=0)
    ingresses: int = Field(1, ge=1)
    stuck_s: float = Field(60.0, gt=0)
    streams: bool = True
    frames: bool = True


class ServedImages:
    """An image service in a replica; its nets are loaded before Serve sends it anything."""

    def __init__(self, settings: ImageSettings, stuck_s: float) -> None:
        self._service = ImageService(settings)
        self._stuck_s = stuck_s

    async def process(self, request: ImageRequest) -> ImageAnswer | Failure:
        """Do one image; an error of the tree is returned, so that it arrives whole."""
        try:
            return await asyncio.wrap_future(self._service.submit(request))
        except FacefxError as error:
            return Failure.of(error)

    def check_health(self) -> None:
        """Raise where an image has been at work for too long: Serve then replaces the replica."""
        if self._service.busy_s > self._stuck_s:
            raise RuntimeError(f"an image has been at work for more than {self._stuck_s:g} s")

    def __del__(self) -> None:
        service = getattr(self, "_service", None)
        if service is not None:
            service.close(wait=False)  # whichever thread lets the last reference go


class HandleImages:
    """Images, done by whoever stands behind a handle."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle
        self._done: dict[str, float] = {"images_total": 0, "images_failed_total": 0, "images_busy_total": 0}

    async def process(self, request: ImageRequest) -> ImageAnswer:
        """See Images."""
        # Ray Serve takes seconds to import: only a process that serves pays for it.
        from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException

        try:
            said = await self._handle.process.remote(request)
        except (BackPressureError, DeploymentUnavailableError) as error:
            self._done["images_busy_total"] += 1
            raise BusyError("as many images wait as may; ask again in a moment") from error
        except RayServeException as error:
            self._done["images_failed_total"] += 1
            raise ResourcesError("no replica answers; ask again in a moment") from error
        if isinstance(said, Failure):
            self._done["images_failed_total"] += 1
            raise error_of(said)
        self._done["images_total"] += 1
        answer: ImageAnswer = said
        return answer

    def counts(self) -> Mapping[str, float]:
        """See Images."""
        return dict(self._done)


class Ingress:
    """The ASGI app in a replica of its own."""

    def __init__(self, handle: DeploymentHandle[Any], settings: HttpSettings, serving: ServeSettings) -> None:
        self._images = HandleImages(handle)
        self._settings, self._serving = settings, serving

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Make the app when the replica starts: it holds what cannot travel."""
        serving = self._serving
        streams = streams_of_cluster() if serving.streams else None
        frames = frames_router(self._settings) if serving.frames else None
        return make_api(self._images, streams, self._settings, routers=[frames] if frames else [])


def streams_of_cluster() -> Streams | None:
    """The cluster's live streams; None for an installation without that room."""
    if importlib.util.find_spec(_LIVE) is None:
        return None
    streams: Streams = importlib.import_module(_LIVE).directory()
    return streams


def frames_router(settings: HttpSettings) -> APIRouter | None:
    """The route of frames by WebSocket; None for an installation without that room."""
    if importlib.util.find_spec(_FRAMES) is None:
        return None
    ws = importlib.import_module(_FRAMES)
    frames = importlib.import_module("facefx.live.frames")
    service = importlib.import_module("facefx.live.frame_service").FrameService(frames.serving())
    service.warm()
    router: APIRouter = ws.router(ws.WsSettings(tokens=settings.tokens), service)
    return router


def make_app(settings: HttpSettings | None = None, serving: ServeSettings | None = None) -> Application:
    """Bind the deployments; without settings they are taken from the environment.

    FACEFX_SERVE: ServeSettings as JSON; for the rest see http_settings.settings_from.

    Raises ConfigError.
    """
    from ray import serve

    settings = settings or settings_from()
    serving = serving or _serving_from(os.environ)
    images = serve.deployment(
        ServedImages,
        name="images",
        # One at work, one that has arrived already; the rest waits, up to a number, where it can be refused.
        max_ongoing_requests=2,
        max_queued_requests=settings.waiting,
        autoscaling_config={
            "min_replicas": serving.replicas,
            "max_replicas": max(serving.replicas, serving.most_replicas),
            "target_ongoing_requests": 1.5,
            "upscale_delay_s": 5,
            "downscale_delay_s": 120,
        },
        ray_actor_options={
            "num_cpus": serving.image_cpus,
            "num_gpus": serving.image_gpus,
            "runtime_env": {"env_vars": _ONE_THREAD},
        },
        health_check_period_s=10,
    )
    ingress = serve.deployment(
        serve.ingress()(Ingress),
        name="ingress",
        num_replicas=serving.ingresses,
        max_ongoing_requests=1000,  # whoever follows a stream holds one
        ray_actor_options={"num_cpus": 0.1, "runtime_env": {"env_vars": _ONE_THREAD}},
    )
    return ingress.bind(images.bind(serving.images, serving.stuck_s), settings, serving)


def _serving_from(given: Mapping[str, str]) -> ServeSettings:
    try:
        return ServeSettings.model_validate_json(given.get("FACEFX_SERVE") or "{}")
    except ValidationError as error:
        raise ConfigError(f"FACEFX_SERVE: {described(error)}") from None
