"""Records of streams: only the present owner writes, and what was said comes back whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis_place import RedisServer

from facefx.errors import ConfigError, LeaseHeldError, RecordsError, UsageError
from facefx.live import redis_store, store
from facefx.live.record import Beat, Owner, StreamRecord, check_id, new_id
from facefx.live.redis_store import RedisStore
from facefx.live.store import MemoryStore, StreamStore, open_store

pytest_plugins = ("redis_plugin",)

SETTINGS = {
    "source": "rtmp://in.example/live/s3cret",
    "targets": ["rtmp://out.example/live/k3y"],
    "seed": "s33d",
}


@pytest.fixture(params=["memory", "redis"])
def kept(request: pytest.FixtureRequest) -> Iterator[StreamStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    made = RedisStore(server.url)
    yield made
    made.close()


def record(id: str = "a", epoch: int = 1) -> StreamRecord:
    return StreamRecord(id, SETTINGS, Owner.new(f"stream-{id}", epoch), created_s=12.5)


def test_what_was_written_comes_back_whole(kept: StreamStore) -> None:
    beat = Beat("reconnecting", {"frames": 7}, {"next": 3, "tracks": [[1, 0.5]]}, "waits for the publisher")
    first = replace(record(), beat=beat)
    kept.claim(first)
    found = kept.get("a")
    assert found is not None
    assert replace(found, heartbeat_s=0.0, silent_s=0.0) == first
    assert found.heartbeat_s > 1e9
    assert 0 <= found.silent_s < 5


def test_a_stream_that_nobody_wrote_down_is_none(kept: StreamStore) -> None:
    assert kept.get("a") is None
    assert kept.list() == []
    assert kept.heartbeat("a", "t", Beat()) is None
    kept.delete("a", "t")


def test_records_are_listed_by_id(kept: StreamStore) -> None:
    for id in "cab":
        kept.claim(record(id))
    assert [found.id for found in kept.list()] == ["a", "b", "c"]
    kept.delete("b", kept.list()[1].token)
    assert [found.id for found in kept.list()] == ["a", "c"]


def test_an_owner_that_was_succeeded_can_write_nothing(kept: StreamStore) -> None:
    old, new = record(epoch=1), record(epoch=2)
    kept.claim(old)
    kept.claim(new)
    calls: tuple[Callable[[], object], ...] = (
        lambda: kept.heartbeat("a", old.token, Beat("running")),
        lambda: kept.put(replace(old, settings={}), old.token),
        lambda: kept.delete("a", old.token),
        lambda: kept.claim(old),
    )
    for call in calls:
        with pytest.raises(LeaseHeldError, match="stream a: another lane owns it"):
            call()
    found = kept.get("a")
    assert found is not None
    assert (found.owner, found.state, found.settings) == (new.owner, "starting", SETTINGS)


def test_two_owners_of_one_epoch_are_one(kept: StreamStore) -> None:
    """Two supervisors at once: one of them claims, the other learns it."""
    first = record()
    kept.claim(first)
    with pytest.raises(LeaseHeldError):
        kept.claim(record())
    assert kept.claim(first).owner == first.owner  # asked again, as after an answer that got lost


def test_claims_at_once_have_one_winner(kept: StreamStore) -> None:
    won: list[StreamRecord] = []
    gate = threading.Barrier(8)

    def claim() -> None:
        mine = record()
        gate.wait()
        with suppress(LeaseHeldError):
            won.append(kept.claim(mine))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert [found.token for found in kept.list()] == [won[0].token]


def test_settings_and_heartbeat_do_not_overwrite_each_other(kept: StreamStore) -> None:
    mine = record()
    read = kept.claim(mine)
    kept.heartbeat("a", mine.token, Beat("running", {"frames": 9}))
    kept.put(replace(read, settings={"effects": ["mosaic"]}), mine.token)
    answer = kept.heartbeat("a", mine.token, Beat("running", {"frames": 10}))
    assert answer is not None
    assert answer.settings == {"effects": ["mosaic"]}
    kept.put(replace(read, settings={"effects": ["solid"]}), mine.token)  # read long ago
    found = kept.get("a")
    assert found is not None
    assert (found.state, found.counters, found.owner) == ("running", {"frames": 10}, mine.owner)


def test_a_stream_that_was_ended_does_not_come_back_by_a_late_heartbeat(kept: StreamStore) -> None:
    mine = record()
    kept.claim(mine)
    kept.heartbeat("a", mine.token, Beat("ended"))
    with pytest.raises(LeaseHeldError, match="it was ended"):
        kept.heartbeat("a", mine.token, Beat("running"))
    assert kept.claim(mine).over
    assert not kept.claim(record(epoch=2)).over  # begun again, by another owner


def test_a_store_that_forgot_takes_the_last_owner_back_and_no_earlier_one(kept: StreamStore) -> None:
    early, late = record(epoch=1), record(epoch=2)
    kept.claim(early)  # an old snapshot
    assert kept.claim(late).owner == late.owner
    with pytest.raises(LeaseHeldError):
        kept.claim(early)


def test_settings_are_not_written_for_a_stream_that_is_gone(kept: StreamStore) -> None:
    with pytest.raises(LeaseHeldError):
        kept.put(record(), "t")
    assert kept.list() == []


def test_what_nobody_touches_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    kept = MemoryStore(clock=lambda: now[0])
    live, over = record("live"), record("over")
    kept.claim(live)
    kept.claim(over)
    kept.heartbeat("over", over.token, Beat("ended"))
    now[0] += store.KEEP_ENDED_S + 1
    assert [(found.id, found.silent_s) for found in kept.list()] == [("live", store.KEEP_ENDED_S + 1)]
    now[0] += store.KEEP_S
    assert kept.list() == []


def test_what_nobody_touches_goes_by_itself_from_a_redis(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "KEEP_ENDED_S", 0.05)
    kept = RedisStore(redis_server.url)
    live, over = record("live"), record("over")
    kept.claim(live)
    kept.claim(over)
    assert 86_000_000 < kept._client.pttl("{facefx:live}:stream:live") <= 86_400_000
    kept.heartbeat("over", over.token, Beat("failed"))
    while kept._client.exists("{facefx:live}:stream:over"):
        pass
    assert [found.id for found in kept.list()] == ["live"]
    assert kept._client.smembers("{facefx:live}:streams") == {"live"}
    kept.close()


def test_two_products_in_one_redis_do_not_see_each_other(redis_server: RedisServer) -> None:
    ours, theirs = RedisStore(redis_server.url, "{a}"), RedisStore(redis_server.url, "{b}")
    ours.claim(record())
    assert theirs.list() == []
    ours.close()
    theirs.close()


def test_a_damaged_record_is_named_and_not_taken_for_none(redis_server: RedisServer) -> None:
    kept = RedisStore(redis_server.url)
    kept.claim(record())
    kept._client.hset("{facefx:live}:stream:a", "beat", "{")
    with pytest.raises(RecordsError, match="record of stream a is damaged"):
        kept.get("a")
    kept.close()


def test_a_record_of_another_version_is_refused() -> None:
    plain = record().to_json()
    assert StreamRecord.from_json(plain).id == "a"
    with pytest.raises(RecordsError, match="version 9"):
        StreamRecord.from_json(plain | {"version": 9})
    with pytest.raises(RecordsError, match="cannot be read"):
        StreamRecord.from_json({"version": 1, "id": "a"})
    with pytest.raises(RecordsError, match="unknown state"):
        StreamRecord.from_json(plain | {"beat": {"state": "lost"}})


def test_secrets_are_neither_shown_nor_printed() -> None:
    mine = replace(record(), beat=Beat(tracker={"next": 3}))
    for text in (repr(mine), str(mine.shown())):
        assert "s3cret" not in text
        assert "k3y" not in text
        assert "s33d" not in text
        assert mine.token not in text
    assert mine.shown()["settings"]["source"].startswith("rtmp://in.example/live/")


def test_an_id_that_could_be_a_path_or_a_pattern_is_refused() -> None:
    for text in ("", "../a", "a/b", "a*", "-a", "a\n", "a" * 65, "{a}"):
        with pytest.raises(UsageError, match="stream id"):
            check_id(text)
    assert len({check_id(new_id()) for _ in range(100)}) == 100


def test_a_store_is_opened_by_its_url_and_an_unknown_one_refused() -> None:
    assert isinstance(open_store("memory:"), MemoryStore)
    made = open_store("redis://127.0.0.1:1/0")
    assert isinstance(made, RedisStore)
    made.close()
    for url in ("http://127.0.0.1", "redis.example:6379", "redis://127.0.0.1:port"):
        with pytest.raises(ConfigError):
            open_store(url)


def test_the_redis_file_of_a_test_lies_in_its_own_folder(redis_server: RedisServer, tmp_path: Path) -> None:
    assert redis_server.folder == tmp_path
