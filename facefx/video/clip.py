"""A clip from frames that no file holds yet: for the demo, notebooks and tests."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from facefx.errors import SinkError
from facefx.values import FrameBatch
from facefx.video.planes import write_views
from facefx.video.recipes import steady_x264

__all__ = ["write_clip"]

_SAMPLE_RATE = 48_000
_CHUNK = 1024


def write_clip(
    path: Path,
    batches: Iterable[FrameBatch],
    *,
    crf: int = 18,
    tone_hz: float = 440.0,
    keyframe_s: float | None = None,
) -> int:
    """Encode batches as H.264 beside a quiet tone, so that the clip has sound to keep; return the frames.

    keyframe_s: a keyframe at least so often; None for the encoder's own choice.

    Raises SinkError if the path cannot be written or there is no frame.
    """
    count, seconds = 0, 0.0
    try:
        with av.open(str(path), "w", options={"fflags": "+bitexact"}) as output:
            video: VideoStream | None = None
            audio = output.add_stream("aac", rate=_SAMPLE_RATE, layout="mono")
            for batch in batches:
                video = video or _video_stream(output, batch, crf, keyframe_s)
                for i in range(len(batch)):
                    output.mux(video.encode(_frame(batch, i)))
                count += len(batch)
                seconds = float((int(batch.pts[-1]) + 1) * batch.format.time_base)
            if video is None:
                raise SinkError(f"{path}: a clip needs at least one frame, got none")
            output.mux(video.encode(None))
            for frame in _tone(tone_hz, seconds):
                output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
    except (av.error.FFmpegError, OSError) as error:
        raise SinkError(f"{path}: cannot be written: {error}") from error
    return count


def _video_stream(
    output: OutputContainer, batch: FrameBatch, crf: int, keyframe_s: float | None
) -> VideoStream:
    format = batch.format
    params = {"threads": "1", "lookahead-threads": "1", **steady_x264()}
    options = {"crf": str(crf), "x264-params": ":".join(f"{key}={value}" for key, value in params.items())}
    stream: VideoStream = output.add_stream("libx264", rate=1 / format.time_base, options=options)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = format.width, format.height, format.pixels.name
    context.time_base = format.time_base
    if keyframe_s is not None:
        context.gop_size = max(1, round(keyframe_s / format.time_base))
    context.color_range = 2 if format.color.full_range else 1
    return stream


def _frame(batch: FrameBatch, i: int) -> VideoFrame:
    frame = VideoFrame(batch.format.width, batch.format.height, batch.format.pixels.name)
    for target, plane in zip(write_views(frame, batch.format), batch.view(i), strict=True):
        target[:] = plane
    frame.pts, frame.time_base = int(batch.pts[i]), batch.format.time_base
    return frame


def _tone(hz: float, seconds: float) -> Iterable[AudioFrame]:
    """A sine at a twentieth of full scale."""
    for start in range(0, int(seconds * _SAMPLE_RATE), _CHUNK):
        time_s = np.arange(start, start + _CHUNK, dtype=np.float64) / _SAMPLE_RATE
        samples = (0.05 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)
        frame = AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE, start, Fraction(1, _SAMPLE_RATE)
        yield frame
