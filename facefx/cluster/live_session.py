"""The session that a lane runs, and where its stream may come from and go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facefx.errors import InputError, UsageError
from facefx.live.ends import LiveEnds
from facefx.live.session import LiveSession
from facefx.live.settings import LiveSettings
from facefx.pipeline.nets import Nets
from facefx.video.live_rules import REMOTE, SourceRules, check_target, place_of

__all__ = ["LivePlaces", "make_session"]


@dataclass(frozen=True, slots=True)
class LivePlaces:
    """Which addresses lanes may use; whoever serves streams decides, never a user.

    hosts: patterns of public hosts; None: any. inner: patterns of hosts that may be at private addresses, by
    RTMP only: the RTMP server in front. files: the folder below which playlists and files may lie; None:
    there are none.
    """

    hosts: tuple[str, ...] | None = None
    inner: tuple[str, ...] = ("127.0.0.1",)
    files: Path | None = None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> LivePlaces:
        """As the environment has it: FACEFX_LIVE_HOSTS, FACEFX_LIVE_INNER, patterns with commas between them,
        and FACEFX_LIVE_FILES.

        >>> LivePlaces.of({"FACEFX_LIVE_INNER": "rtmp.internal, 10.0.0.5"}).inner
        ('rtmp.internal', '10.0.0.5')
        """
        hosts, files = given.get("FACEFX_LIVE_HOSTS", ""), given.get("FACEFX_LIVE_FILES", "")
        inner = given.get("FACEFX_LIVE_INNER")
        return cls(
            hosts=_patterns(hosts) if hosts else None,
            inner=cls().inner if inner is None else _patterns(inner),
            files=Path(files) if files else None,
        )

    def rules(self, url: str) -> SourceRules:
        """The rules for one address."""
        inner = SourceRules(frozenset({"rtmp", "rtmps"}), self.inner, allow_private=True)
        return inner if self._is_inner(url, inner) else self._outer()

    def for_all(self, urls: tuple[str, ...]) -> SourceRules:
        """Rules that let these targets pass, each of which is checked by its own rules.

        Raises UsageError, UnsupportedError, SourceError for one that may not be.
        """
        rules = [self.rules(url) for url in urls]
        for url, own in zip(urls, rules, strict=True):
            check_target(url, own)
        if not any(own.allow_private for own in rules):
            return self._outer()
        outer = self._outer()
        hosts = None if self.hosts is None else (*self.hosts, *self.inner)
        return SourceRules(outer.schemes, hosts, allow_private=True, file_root=self.files)

    def _outer(self) -> SourceRules:
        schemes = REMOTE | ({"file"} if self.files else frozenset())
        return SourceRules(schemes, self.hosts, file_root=self.files)

    def _is_inner(self, url: str, inner: SourceRules) -> bool:
        try:
            place_of(url, inner)
        except (UsageError, InputError):
            return False
        return True


def make_session(
    settings: Mapping[str, Any],
    tracks: Mapping[str, Any] | None,
    nets: Nets,
    *,
    places: LivePlaces,
) -> LiveSession:
    """Make a lane's session; module-level, so that a lane's process can import it.

    Raises UsageError, UnsupportedError, SourceError, EffectError, ConfigError, ModelError.
    """
    told = LiveSettings.model_validate(settings)
    ends = LiveEnds(told, places.rules(told.source), places.for_all(told.targets))
    return LiveSession(
        told, open_source=ends.open_source, open_output=ends.open_output, nets=nets, tracks=tracks
    )


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
