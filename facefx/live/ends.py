"""The two ends of a live stream as its settings name them: real sources and targets."""

from __future__ import annotations

from facefx.live.ports import Output, Source
from facefx.live.settings import LiveSettings
from facefx.video.live_output import LiveEncode, LiveOutput
from facefx.video.live_rules import SourceRules, place_of
from facefx.video.live_source import LiveSource
from facefx.video.live_values import LiveStream

__all__ = ["LiveEnds"]

_OPEN_S = 5.0


class LiveEnds:
    """Opens what settings name, as far as the rules allow.

    target_rules: of targets; None: those of the source.

    Raises UsageError, UnsupportedError for an address that the rules forbid, when made.
    """

    def __init__(
        self, settings: LiveSettings, rules: SourceRules, target_rules: SourceRules | None = None
    ) -> None:
        self._settings, self._rules = settings, rules
        self._target_rules = target_rules or rules
        self._encode = LiveEncode(
            codec=settings.codec,
            preset=settings.preset,
            crf=settings.crf,
            bitrate=settings.bitrate,
            gop_s=settings.gop_s,
            threads=settings.encoder_threads,
        )
        place_of(settings.source, rules)  # refused now, not in a thread
        for target in settings.targets:
            place_of(target, self._target_rules)

    def open_source(self) -> Source:
        """The source, not yet open; one that listens does so for as long as it is worth waiting for."""
        settings = self._settings
        patience_s = min(settings.wait_s, settings.linger_s) if settings.listen else 0.0
        return LiveSource(
            settings.source,
            self._rules,
            listen=settings.listen,
            paced=settings.paced,
            open_timeout_s=max(_OPEN_S, patience_s),
            threads=settings.decoder_threads,
        )

    def open_output(self, stream: LiveStream) -> Output:
        """All targets, for a stream that is open."""
        return LiveOutput(self._settings.targets, stream, self._encode, self._target_rules)
