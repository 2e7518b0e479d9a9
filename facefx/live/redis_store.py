"""Records of live streams in a Redis: several machines see the same, and it outlives all of them.

{prefix}:stream:ID   a hash: head, settings, token, epoch, beat, over, beat_s; goes by itself when nobody
                     touches it for long
{prefix}:streams     the set of ids

Whoever writes is checked by a script on the server, in one step with the write.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from facefx.errors import ConfigError, RecordsError, StoreAwayError
from facefx.live.record import Beat, StreamRecord
from facefx.live.store import KEEP_ENDED_S, KEEP_S, stale

__all__ = ["RedisStore"]

T = TypeVar("T")

# A server that is well answers in a millisecond; who asks is a lane with frames to make, or a user who waits.
_CONNECT_S = 0.5
_ANSWER_S = 1.0
_POOL = 64  # the most connections, opened as they are needed

_TAIL = """
local function time() local t = redis.call('TIME'); return t[1] .. string.format('.%06d', t[2]) end
local function say(word) return {word, time(), redis.call('HGETALL', KEYS[1])} end
"""
# KEYS: the stream's hash, the set of ids. ARGV: id, token, then as each says.
_CLAIM = """
local now = redis.call('HMGET', KEYS[1], 'token', 'epoch')
if now[1] and ARGV[2] ~= '' and now[1] == ARGV[2] then return say('kept') end
if now[2] and tonumber(now[2]) >= tonumber(ARGV[3]) then return say('stale') end
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'epoch', ARGV[3], 'head', ARGV[4], 'settings', ARGV[5],
  'beat', ARGV[6], 'over', ARGV[7], 'beat_s', time())
redis.call('PEXPIRE', KEYS[1], ARGV[8])
redis.call('SADD', KEYS[2], ARGV[1])
return say('kept')
"""
_PUT = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[2] then return say('stale') end
redis.call('HSET', KEYS[1], 'settings', ARGV[3])
return say('kept')
"""
_BEAT = """
local now = redis.call('HMGET', KEYS[1], 'token', 'over')
if not now[1] then return say('none') end
if now[1] ~= ARGV[2] or (now[2] == '1' and ARGV[4] ~= '1') then return say('stale') end
redis.call('HSET', KEYS[1], 'beat', ARGV[3], 'over', ARGV[4], 'beat_s', time())
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return say('kept')
"""
_DELETE = """
local now = redis.call('HGET', KEYS[1], 'token')
if now and now ~= ARGV[2] then return say('stale') end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
return say('kept')
"""
_READ = "return say('kept')"
_PRUNE = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end
return say('none')
"""


class RedisStore:
    """Implements StreamStore. The server is asked when there is something to ask, never by the constructor.

    url: redis://[[user]:password@]host[:port][/db], rediss:// for TLS, unix:///path. prefix: of all keys; in
    braces, so that a Redis Cluster keeps them in one place.

    Raises ConfigError for a URL that cannot be one, or where the package redis is not there.
    """

    def __init__(self, url: str, prefix: str = "{facefx:live}") -> None:
        self._where, self._prefix = _place(url), prefix
        self._client = _client(url, self._where)
        scripts = {
            "claim": _CLAIM, "put": _PUT, "beat": _BEAT, "delete": _DELETE, "read": _READ, "prune": _PRUNE
        }  # fmt: skip
        self._scripts: dict[str, Callable[..., Any]] = {
            name: self._client.register_script(_TAIL + body) for name, body in scripts.items()
        }

    def claim(self, record: StreamRecord) -> StreamRecord:
        """See StreamStore."""
        plain = record.to_json()
        head = {name: plain[name] for name in ("version", "id", "owner", "created_s")}
        beat, over, keep_ms = _told(record.beat)
        kept = self._ask(
            "claim", record.id, record.token, record.epoch, _dump(head), _dump(plain["settings"]), beat, over,
            keep_ms,
        )  # fmt: skip
        if kept is None:
            raise RecordsError(f"{self._where}: stream {record.id} vanished while it was claimed")
        return kept

    def put(self, record: StreamRecord, token: str) -> None:
        """See StreamStore."""
        self._ask("put", record.id, token, _dump(record.to_json()["settings"]))

    def heartbeat(self, id: str, token: str, beat: Beat) -> StreamRecord | None:
        """See StreamStore."""
        return self._ask("beat", id, token, *_told(beat))

    def get(self, id: str) -> StreamRecord | None:
        """See StreamStore."""
        return self._ask("read", id)

    def list(self) -> list[StreamRecord]:
        """See StreamStore."""
        read = self._scripts["read"]
        with self._reached():
            ids = sorted(self._client.smembers(f"{self._prefix}:streams"))
            pipe = self._client.pipeline(transaction=False)
            for id in ids:
                read(keys=self._keys(id), args=[id], client=pipe)
            answers = pipe.execute()
        found = [self._answered(id, answer) for id, answer in zip(ids, answers, strict=True)]
        for id, record in zip(ids, found, strict=True):
            if record is None:
                self._ask("prune", id)
        return [record for record in found if record is not None]

    def delete(self, id: str, token: str) -> None:
        """See StreamStore."""
        self._ask("delete", id, token)

    def close(self) -> None:
        """See StreamStore."""
        self._client.close()

    def _keys(self, id: str) -> tuple[str, str]:
        return f"{self._prefix}:stream:{id}", f"{self._prefix}:streams"

    def _ask(self, what: str, id: str, *args: str | int) -> StreamRecord | None:
        with self._reached():
            answer = self._scripts[what](keys=self._keys(id), args=[id, *args])
        return self._answered(id, answer)

    def _answered(self, id: str, answer: tuple[str, str, Sequence[str]]) -> StreamRecord | None:
        word, now, flat = answer
        if word == "stale":
            raise stale(id)
        return self._record(id, dict(zip(flat[::2], flat[1::2], strict=True)), float(now)) if flat else None

    def _record(self, id: str, kept: Mapping[str, str], now: float) -> StreamRecord:
        try:
            plain = json.loads(kept["head"])
            plain |= {"settings": json.loads(kept["settings"]), "beat": json.loads(kept["beat"])}
            beat_s = float(kept["beat_s"])
        except (KeyError, ValueError, TypeError) as error:
            raise RecordsError(
                f"{self._where}: the record of stream {id} is damaged ({type(error).__name__}); "
                f"delete the key {self._prefix}:stream:{id}"
            ) from error
        return StreamRecord.from_json(plain | {"heartbeat_s": beat_s, "silent_s": max(0.0, now - beat_s)})

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turn what the client raises into ours; its own words may hold the URL."""
        from redis.exceptions import AuthenticationError, RedisError, ResponseError

        try:
            yield
        except AuthenticationError as error:
            raise StoreAwayError(
                f"{self._where}: the Redis refuses us; give user and password in the store's URL"
            ) from error
        except ResponseError as error:
            raise StoreAwayError(
                f"{self._where}: the Redis cannot do it now: {str(error).splitlines()[0][:120]}"
            ) from error
        except (RedisError, OSError) as error:
            raise StoreAwayError(
                f"{self._where}: the Redis does not answer ({type(error).__name__}); streams that run go on, "
                "new ones must wait until it is back"
            ) from error


def _client(url: str, where: str) -> Any:
    """A client that gives up soon. A connection that the server closed meanwhile is opened again, once."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ConfigError(f"{where}: needs the package redis: pip install 'facefx[live]'") from error
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_connect_timeout=_CONNECT_S,
            socket_timeout=_ANSWER_S,
            max_connections=_POOL,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: is no URL of a Redis; expected redis://host:port/db") from error


def _place(url: str) -> str:
    """A URL without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _told(beat: Beat) -> tuple[str, str, int]:
    """A heartbeat as the scripts take it: what was said, 1 if it is over, and how long to keep it in ms."""
    keep_s = KEEP_ENDED_S if beat.over else KEEP_S
    return _dump(beat.to_json()), "1" if beat.over else "0", math.ceil(keep_s * 1000)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
