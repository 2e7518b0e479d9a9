"""Clips whose frames carry their number in the picture, as streamers send them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS, BLOCK = 16, 16
RATE, SOUND_RATE = 30, 48000


@dataclass(frozen=True)
class Clip:
    """A clip on disk and how many numbered frames it has."""

    path: Path
    frames: int


def draw_number(luma: NDArray[np.uint8], number: int) -> None:
    """Write a number into the top left corner, in sixteen blocks of black and white."""
    for bit in range(BITS):
        luma[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16


def read_number(luma: NDArray[np.uint8]) -> int:
    """Read the number from the middle of each block."""
    middle = [luma[4:12, bit * BLOCK + 4 : bit * BLOCK + 12].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(middle) if value > 125)


def make_clip(
    path: Path, seconds: float = 4.0, size: tuple[int, int] = (640, 360), sound: bool = True, first: int = 0
) -> Clip:
    """Write a clip as streamers send it: H.264 zerolatency, a key frame a second, AAC."""
    count = round(seconds * RATE)
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(RATE), "sc_threshold": "0",
                   "x264-params": "threads=1"}  # fmt: skip
        video = output.add_stream("libx264", rate=RATE, options=options)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        tone = output.add_stream("aac", rate=SOUND_RATE) if sound else None
        picture = np.full((size[1], size[0]), 90, np.uint8)
        picture[:, ::8] = 120
        for number in range(count):
            frame = av.VideoFrame(*size, "yuv420p")
            luma = np.frombuffer(frame.planes[0], np.uint8).reshape(size[1], -1)  # type: ignore[call-overload]
            luma[:, : size[0]] = np.roll(picture, number, 1)
            draw_number(luma, first + number)
            for plane in frame.planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(video.encode(frame))
            if tone is not None:
                _make_sound(output, tone, number)
        output.mux(video.encode(None))
        if tone is not None:
            output.mux(tone.encode(None))
    return Clip(path, count)


def _make_sound(output: Any, tone: Any, number: int) -> None:
    """One video frame's length of a tone."""
    length = SOUND_RATE // RATE
    at = np.arange(number * length, (number + 1) * length)
    wave = (0.2 * np.sin(at * (2 * np.pi * 440 / SOUND_RATE))).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, int(at[0]), Fraction(1, SOUND_RATE)
    output.mux(tone.encode(frame))
