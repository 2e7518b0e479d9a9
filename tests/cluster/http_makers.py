"""A service to test with: streams that nobody runs, an app over them, clients with and without a token."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from facefx.cluster.http_settings import HttpSettings
from facefx.errors import UsageError

TOKEN, KEY = "token-of-the-tests", "key-of-a-streamer"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
STAGES = ("decode", "detect", "landmark", "blend", "encode")


class PlainSettings(BaseModel):
    """As much of the live settings as these tests need."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    targets: tuple[str, ...] = ()
    effects: tuple[str | dict[str, dict[str, Any]], ...] = ("solid",)
    budget_s: float = Field(0.15, gt=0)
    linger_s: float = 30.0


@dataclass(frozen=True)
class FakeRecord:
    id: str
    settings: Mapping[str, Any]
    state: str = "running"

    def shown(self) -> dict[str, Any]:
        settings = {**self.settings, "source": "rtmp://***", "targets": ["rtmp://***"]}
        return {"id": self.id, "state": self.state, "settings": settings, "error": ""}


@dataclass
class FakeStreams:
    """Streams that are only written down. failing: raised by every call."""

    records: dict[str, FakeRecord] = field(default_factory=dict)
    failing: Exception | None = None
    picture: Callable[[Sequence[Any]], tuple[bytes, bytes]] | None = None
    frames: int = 0
    calls: list[str] = field(default_factory=list)

    def start(self, settings: Any, id: str | None = None) -> FakeRecord:
        self._called("start")
        record = FakeRecord(id or f"s{len(self.records)}", settings.model_dump(mode="json"))
        return self.records.setdefault(record.id, record)

    def get(self, id: str) -> FakeRecord | None:
        self._called("get")
        return self.records.get(id)

    def list(self) -> Sequence[FakeRecord]:
        self._called("list")
        return list(self.records.values())

    def set_effects(self, id: str, effects: Sequence[Any]) -> FakeRecord:
        self._called("set_effects")
        record = self.records[id]
        self.records[id] = replace(record, settings={**record.settings, "effects": list(effects)})
        return self.records[id]

    def stop(self, id: str) -> None:
        self._called("stop")
        self.records[id] = replace(self.records[id], state="ended")

    def stats(self, id: str) -> dict[str, Any]:
        self._called("stats")
        if self.records[id].state != "running":
            raise UsageError(f"stream {id}: does not run")
        self.frames += 15
        return stats(self.frames)

    def preview(self, id: str) -> tuple[bytes, bytes] | None:
        self._called("preview")
        return self.picture(self.records[id].settings["effects"]) if self.picture else (jpeg(60), jpeg(180))

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failing is not None:
            raise self.failing


def stats(frames: int) -> dict[str, Any]:
    """A stream's figures after so many frames, as LiveStats.to_json has them."""
    work = dict(zip(STAGES, (0.0032, 0.0071, 0.0026, 0.0013, 0.0068), strict=True))
    wait = dict(zip(STAGES, (0.0, 0.0016, 0.0004, 0.0001, 0.0023), strict=True))
    latency = {
        stage: {"working": histogram(frames, work[stage]), "waiting": histogram(frames, wait[stage])}
        for stage in STAGES
    }
    return {
        "state": "running",
        "frames_in": frames + 3,
        "frames_out": frames,
        "dropped": {"late": 3},
        "covered": {},
        "failed": {},
        "late": 0,
        "faces": 1,
        "fps": 29.97,
        "p50_s": 0.0254,
        "p95_s": 0.0312,
        "latency": latency,
        "through": histogram(frames, sum(work.values()) + sum(wait.values())),
        "reconnects": 1,
        "pending": {"queued": 1},
        "tracks": {},
    }


def histogram(count: int, each_s: float) -> dict[str, Any]:
    buckets = {end: count if float(end) >= each_s else 0 for end in ("0.001", "0.01", "0.1")}
    return {"count": count, "sum_s": count * each_s, "buckets": {**buckets, "+Inf": count}}


def jpeg(level: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((72, 128, 3), level, np.uint8))[1])


def http_settings(**more: Any) -> HttpSettings:
    return HttpSettings.model_validate({"tokens": (TOKEN,), **more})


@asynccontextmanager
async def client(app: FastAPI, *, token: str | None = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    """Ask an app in this process; what it raises unseen is answered 500, as a server does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as asking:
        yield asking


def ask(app: FastAPI, method: str, path: str, *, token: str | None = TOKEN, **more: Any) -> httpx.Response:
    """One request."""

    async def once() -> httpx.Response:
        async with client(app, token=token) as asking:
            return await asking.request(method, path, **more)

    return asyncio.run(once())


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a port of this machine; its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
