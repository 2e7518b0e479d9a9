"""A Redis for a test, and a look into it; the class is in `redis_place`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_place import RedisServer

from facefx.live.redis_store import RedisStore


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that forgets everything when it is stopped."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    """As an observer sees it."""
    made = RedisStore(redis_server.url)
    yield made
    made.close()
