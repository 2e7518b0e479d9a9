"""What is known of a live stream by everybody who may look after it.

A record has two writers, who never touch each other's part: the supervisor says what is to be done and who
does it (settings, owner), the owner says how it goes (its Beat). A token tells owners apart; a later owner
has the higher epoch, so that also a store that forgot everything can tell who comes last.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from facefx.errors import RecordsError, UsageError
from facefx.video.live_rules import redact_url

__all__ = ["Beat", "Owner", "StreamRecord", "StreamState", "check_id", "new_id"]

StreamState = Literal["starting", "running", "reconnecting", "ended", "failed"]

_VERSION = 1
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_URLS = ("source", "targets")
_SECRETS = ("seed",)


def new_id() -> str:
    """A name for a stream that nobody can guess."""
    return secrets.token_hex(8)


def check_id(text: str) -> str:
    """Let a stream's name pass.

    Raises UsageError for what could not stand in a URL, a key of a store and the name of a process.

    >>> check_id("camera-1")
    'camera-1'
    """
    if not _ID.fullmatch(text):
        raise UsageError(
            f"stream id {text[:80]!r}: expected 1 to 64 letters, digits, dots, dashes and underscores, "
            "the first a letter or digit"
        )
    return text


@dataclass(frozen=True, slots=True)
class Owner:
    """Who runs a stream. actor: its name on the cluster; node: where it is, by the cluster's own number.

    token: a secret of this ownership. epoch: counts the owners of a stream.
    """

    actor: str
    token: str = field(repr=False)
    epoch: int = 1
    node: str = ""

    @classmethod
    def new(cls, actor: str, epoch: int) -> Owner:
        """An ownership that nobody has had yet."""
        return cls(actor, secrets.token_hex(16), epoch)


@dataclass(frozen=True, slots=True)
class Beat:
    """What an owner says of its stream every now and then.

    counters: whole numbers that only grow within one owner's time. tracker: what the next owner needs to go
    on with the same tracks, small and plain. error: why it failed or what it waits for, redacted.
    """

    state: StreamState = "starting"
    counters: Mapping[str, int] = field(default_factory=dict)
    tracker: Mapping[str, Any] | None = None
    error: str = ""

    @property
    def over(self) -> bool:
        """True if nobody works on the stream any more."""
        return self.state in ("ended", "failed")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Beat:
        """Read what to_json gave.

        Raises RecordsError.
        """
        try:
            beat = cls(**plain)
        except TypeError as error:
            raise RecordsError(f"a stream's heartbeat cannot be read: {error}") from error
        if beat.state not in get_args(StreamState):
            raise RecordsError(f"a stream's heartbeat has the unknown state {beat.state!r}")
        return beat


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One stream.

    settings: LiveSettings as plain values, stream keys included: never to be logged, see shown().
    created_s, heartbeat_s: Unix time. silent_s: how long ago the owner was last heard of when the record was
    read, by the store's own clock. starts: how many owners it has had; those that did not stay long.
    """

    id: str
    settings: Mapping[str, Any] = field(repr=False)
    owner: Owner | None = None
    beat: Beat = Beat()
    created_s: float = 0.0
    heartbeat_s: float = 0.0
    silent_s: float = 0.0

    @property
    def state(self) -> StreamState:
        """How the stream is."""
        return self.beat.state

    @property
    def error(self) -> str:
        """Why it is not as it should be; empty where it is."""
        return self.beat.error

    @property
    def counters(self) -> Mapping[str, int]:
        """What the owner counts."""
        return self.beat.counters

    @property
    def tracker(self) -> Mapping[str, Any] | None:
        """What the next owner needs to go on with the same tracks."""
        return self.beat.tracker

    @property
    def over(self) -> bool:
        """True if nobody works on the stream any more."""
        return self.beat.over

    @property
    def token(self) -> str:
        """The owner's; empty without an owner."""
        return self.owner.token if self.owner else ""

    @property
    def epoch(self) -> int:
        """The owner's; 0 without an owner."""
        return self.owner.epoch if self.owner else 0

    def with_beat(self, **changes: Any) -> StreamRecord:
        """The same with another heartbeat."""
        return replace(self, beat=replace(self.beat, **changes))

    def shown(self) -> dict[str, Any]:
        """What anybody may see: no stream key, no token, no tracker state."""
        return {
            "id": self.id,
            "state": self.state,
            "settings": _redacted(self.settings),
            "actor": self.owner.actor if self.owner else None,
            "starts": self.epoch,
            "created_s": self.created_s,
            "heartbeat_s": self.heartbeat_s,
            "counters": dict(self.counters),
            "error": self.error,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values, secrets included: for a store."""
        return {"version": _VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> StreamRecord:
        """Read what to_json gave.

        Raises RecordsError for a record that is damaged or of another version.
        """
        values = dict(plain)
        version = values.pop("version", None)
        if version != _VERSION:
            raise RecordsError(f"a stream's record is of version {version}, expected {_VERSION}")
        try:
            owner, beat = values.pop("owner"), Beat.from_json(values.pop("beat"))
            return cls(**values, owner=Owner(**owner) if owner else None, beat=beat)
        except (TypeError, KeyError) as error:
            raise RecordsError(f"a stream's record cannot be read: {type(error).__name__}") from error


def _redacted(settings: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in settings.items() if name not in _SECRETS}
    for name in _URLS:
        value = shown.get(name)
        if isinstance(value, str):
            shown[name] = redact_url(value)
        elif isinstance(value, list | tuple):
            shown[name] = [redact_url(str(item)) for item in value]
    return shown
