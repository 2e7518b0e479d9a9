"""A source straight into an output, as facefx does without effects; for tests beside a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from live_rtmp import RULES, RtmpServer, read_number

from facefx.errors import FacefxError, SourceError
from facefx.values import FrameBatch, Patch
from facefx.video.live_output import LiveEncode, LiveOutput
from facefx.video.live_source import LiveSource

QUICK = LiveEncode(preset="ultrafast", segment_s=1.0)


class Chain:
    """A source straight into an output, in a thread: what facefx does without effects.

    It ends with the source; `error` is what ended it. between: patches for a batch.
    """

    def __init__(
        self,
        source: LiveSource,
        targets: Sequence[str],
        settings: LiveEncode | None = None,
        between: Callable[[FrameBatch], Sequence[Patch]] = lambda batch: (),
    ) -> None:
        self.source, self._between = source, between
        self.stream = source.open()
        self.output = LiveOutput(targets, self.stream, settings, RULES)
        self.frames: list[tuple[int, float]] = []
        self.took_s: list[float] = []
        self.error: FacefxError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for arrival in self.source.items():
                begun = time.monotonic()
                if arrival.batch is not None:
                    number = read_number(arrival.batch.view(0)[0])
                    self.output.write(arrival.batch, self._between(arrival.batch))
                    self.frames.append((number, arrival.arrived_s))
                else:
                    assert arrival.packet is not None
                    self.output.copy(arrival.packet)
                self.took_s.append(time.monotonic() - begun)
        except FacefxError as error:
            self.error = error

    def join(self, timeout_s: float = 20.0) -> None:
        """Wait for the source to end, and finish the output."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the source did not end"
        self.output.close()

    def close(self) -> None:
        """End both."""
        self.source.close()
        self.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def opened(make: Callable[[], LiveSource], timeout_s: float = 10.0) -> LiveSource:
    """A source that can be opened: the streamer needs a moment."""
    end = time.monotonic() + timeout_s
    while True:
        source = make()
        try:
            source.open()
        except SourceError:
            if time.monotonic() > end:
                raise
            continue
        source.close()
        return make()


def chain(
    server: RtmpServer,
    targets: Sequence[str],
    between: Callable[[FrameBatch], Sequence[Patch]] = lambda batch: (),
) -> Chain:
    """From the server's stream live/a to targets, as soon as somebody publishes it."""
    return Chain(opened(lambda: LiveSource(server.url("live", "a"), RULES)), targets, QUICK, between)
