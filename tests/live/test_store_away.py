"""A Redis that is stopped, frozen, locked or back: said at once, by name, and only while it lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis_place import RedisServer

from facefx.errors import ExitCode, LeaseHeldError, StoreAwayError
from facefx.live.record import Beat, Owner, StreamRecord
from facefx.live.redis_store import RedisStore

pytest_plugins = ("redis_plugin",)

BOUND_S = 4.0
MINE = StreamRecord("a", {"source": "x.mp4"}, Owner.new("stream-a", 1))


@pytest.fixture
def kept(redis_server: RedisServer) -> Iterator[RedisStore]:
    made = RedisStore(redis_server.url)
    yield made
    made.close()


def away(kept: RedisStore) -> str:
    """Each call says so, and soon."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: kept.claim(MINE),
        lambda: kept.put(MINE, MINE.token),
        lambda: kept.heartbeat("a", MINE.token, Beat()),
        lambda: kept.get("a"),
        kept.list,
        lambda: kept.delete("a", MINE.token),
    )
    for call in calls:
        began = time.monotonic()
        with pytest.raises(StoreAwayError) as refused:
            call()
        assert time.monotonic() - began < BOUND_S
        assert refused.value.exit_code == ExitCode.BAD_INPUT
        assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_stopped_redis_is_said_and_used_again_when_it_is_back(
    redis_server: RedisServer, kept: RedisStore
) -> None:
    kept.claim(MINE)
    redis_server.stop()
    assert "does not answer" in away(kept)
    redis_server.start()
    assert kept.heartbeat("a", MINE.token, Beat("running")) is None  # it forgot
    assert kept.claim(MINE).owner == MINE.owner
    assert kept.heartbeat("a", MINE.token, Beat("running")) is not None


def test_a_redis_that_came_back_at_once_is_not_taken_for_away(
    redis_server: RedisServer, kept: RedisStore
) -> None:
    """Connections of before are broken then."""
    kept.claim(MINE)
    redis_server.stop()
    redis_server.start()
    assert kept.get("a") is None


def test_a_redis_that_keeps_its_records_goes_on_with_the_same_owner(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, keep=True)
    kept = RedisStore(server.url)
    try:
        kept.claim(MINE)
        server.stop()
        server.start()
        found = kept.heartbeat("a", MINE.token, Beat("running"))
        assert found is not None
        assert found.owner == MINE.owner
    finally:
        kept.close()
        server.stop()


def test_a_frozen_redis_does_not_hang_us(redis_server: RedisServer, kept: RedisStore) -> None:
    kept.claim(MINE)
    redis_server.freeze()
    away(kept)
    redis_server.thaw()
    assert kept.get("a") is not None


def test_a_wrong_password_is_named_and_none_is_told(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "right-pass")
    wrong = RedisStore(server.url.replace("right", "wrong"))
    without = RedisStore(f"redis://127.0.0.1:{server.port}")
    right = RedisStore(server.url)
    try:
        for kept in (wrong, without):
            message = away(kept)
            assert "refuses us" in message
            assert "-pass" not in message
        right.claim(MINE)
        server.stop()
        assert "-pass" not in away(right)
    finally:
        for kept in (wrong, without, right):
            kept.close()
        server.stop()


def test_a_redis_that_may_not_write_is_away(redis_server: RedisServer, kept: RedisStore) -> None:
    kept._client.config_set("maxmemory", 1)
    with pytest.raises(StoreAwayError, match="cannot do it now"):
        kept.claim(MINE)


def test_an_owner_that_was_succeeded_while_the_redis_was_away_learns_it(
    redis_server: RedisServer, kept: RedisStore
) -> None:
    kept.claim(MINE)
    redis_server.stop()
    redis_server.start()
    kept.claim(StreamRecord("a", MINE.settings, Owner.new("stream-a", 2)))
    with pytest.raises(LeaseHeldError):
        kept.heartbeat("a", MINE.token, Beat("running"))
    with pytest.raises(LeaseHeldError):
        kept.claim(MINE)
