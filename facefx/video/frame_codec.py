"""Coded frames in memory ⇄ frames: what a client's stream is read and written with, one frame at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from facefx.values import FrameBatch, Patch

__all__ = ["CodecRules", "Coded", "Coding", "FrameCodec", "Received", "open_codec"]

Coding = Literal["h264", "avcc", "picture"]
"""h264: Annex B, start codes and parameter sets in the stream. avcc: lengths, parameter sets apart, as in MP4
(ISO/IEC 14496-15). picture: each frame a JPEG, PNG or WebP file."""


@dataclass(frozen=True, slots=True)
class CodecRules:
    """How much one frame may ask of this machine, and how frames are coded.

    max_bytes: of a coded frame. max_pixels: of a decoded one. preset, crf: x264's. key_every: frames from one
    key frame to the next at most. jpeg_quality: FFmpeg's scale, 2 (best) to 31.
    """

    max_bytes: int = 4 << 20
    max_pixels: int = 3840 * 2160
    preset: str = "veryfast"
    crf: float = 23.0
    key_every: int = 120
    jpeg_quality: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """One decoded frame. source: what its codec remembers of it until it is coded again."""

    batch: FrameBatch
    source: object


@dataclass(frozen=True, slots=True)
class Coded:
    """One coded frame. config: parameter sets (avcC), with a key frame of an avcc stream, else b""."""

    data: bytes
    key_frame: bool = True
    config: bytes = b""


class FrameCodec(Protocol):
    """Decodes and codes the frames of one stream; one thread at a time."""

    def decode(self, data: bytes, pts: int) -> Received | None:
        """One frame of one message; None where it holds no picture, such as parameter sets alone.

        Raises SourceError for what cannot be decoded, UnsupportedError by name for what is not carried.
        """

    def encode(self, received: Received, patches: Sequence[Patch], *, key_frame: bool = False) -> Coded:
        """Code a frame with its patches pasted in, in the order given; the frame is used up.

        key_frame: begin anew with this one.

        Raises SinkError.
        """

    def close(self) -> None:
        """Let go of decoder and encoder; safe to call twice."""


def open_codec(
    coding: Coding, rules: CodecRules, time_base: Fraction, *, config: bytes = b"", rotation: int = 0
) -> FrameCodec:
    """Make the codec of a stream.

    time_base: of its pts. config: the avcC of an avcc stream, or a H.264 stream's parameter sets. rotation:
    degrees anticlockwise that a player turns the pictures, where they do not say so themselves.

    Raises SourceError where the config is none.
    """
    from facefx.video.packet_codec import H264Codec  # av is slow to import, and who plans streams needs none
    from facefx.video.picture_codec import PictureCodec

    if coding == "picture":
        return PictureCodec(rules, time_base)
    return H264Codec(rules, time_base, avcc=coding == "avcc", config=config, rotation=rotation)
