"""Which encoder is taken, and why the others are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from video_makers import make_video

from facefx.errors import ConfigError, UnsupportedError
from facefx.values import FieldOrder, PixelFormat
from facefx.video.codecs import CONTAINERS, ENCODERS, EncodeSettings, resolve
from facefx.video.info import Hdr, MediaInfo
from facefx.video.probe import probe
from facefx.video.recipes import encoder_options


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> MediaInfo:
    return probe(make_video(tmp_path_factory.mktemp("codecs") / "in.mp4", count=2))


def _as(info: MediaInfo, codec: str = "h264", pixels: str = "yuv420p", **changes: Any) -> MediaInfo:
    """The same file, as if its picture were another."""
    names = {"width", "height", "field_order", "time_base"}
    form = replace(
        info.video.format, pixels=PixelFormat.of(pixels), **{k: v for k, v in changes.items() if k in names}
    )
    rest = {k: v for k, v in changes.items() if k not in names}
    return replace(info, video=replace(info.video, codec=codec, format=form, **rest))


AUTO = [
    ("h264", "yuv420p", "out.mp4", "libx264"),
    ("hevc", "yuv420p10le", "out.mp4", "libx265"),
    ("vp9", "yuv420p", "out.webm", "libvpx-vp9"),
    ("vp9", "yuv420p10le", "out.webm", "libsvtav1"),  # the VP9 encoder at hand writes 8 bit only
    ("vp8", "yuv420p", "out.webm", "libvpx"),
    ("av1", "yuv420p10le", "out.mp4", "libsvtav1"),
    ("av1", "yuv444p", "out.mp4", "libx264"),
    ("prores", "yuv422p10le", "out.mov", "prores_ks"),
    ("prores", "yuv422p10le", "out.mp4", "libx264"),
    ("mpeg2video", "yuv420p", "out.ts", "mpeg2video"),
    ("mpeg4", "yuv420p", "out.mp4", "mpeg4"),
    ("mjpeg", "yuvj422p", "out.mov", "mjpeg"),
    ("ffv1", "yuv411p", "out.mkv", "ffv1"),
    ("wmv3", "yuv420p", "out.mp4", "libx264"),
    ("h264", "yuv420p", "out.webm", "libvpx-vp9"),
    ("vvc", "yuv420p10le", "out.mkv", "libx264"),
    ("dvvideo", "yuv411p", "out.mkv", "ffv1"),
]


@pytest.mark.parametrize(("codec", "pixels", "target", "encoder"), AUTO)
def test_auto_follows_the_source_as_far_as_the_container_can(
    plain: MediaInfo, codec: str, pixels: str, target: str, encoder: str
) -> None:
    resolved = resolve(EncodeSettings(), _as(plain, codec, pixels), target)
    assert resolved.encoder == encoder
    assert resolved.pixel_format == pixels
    assert resolved.reason
    assert encoder_options(resolved, plain.video)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"codec": "libx264"}, {}, "out.webm", "cannot hold h264"),
    ({"codec": "libsvtav1"}, {"pixels": "yuv444p"}, "out.mp4", "cannot write yuv444p"),
    ({"codec": "libx264"}, {"width": 641, "height": 359}, "out.mp4", "odd size 641x359"),
    ({"codec": "libvpx-vp9"}, {"field_order": FieldOrder.TOP_FIRST}, "out.mkv", "interlaced"),
    ({"codec": "libsvtav1", "lossless": True}, {}, "out.mp4", "no lossless mode"),
    ({"codec": "mpeg2video"}, {"variable_rate": True}, "out.ts", "variable frame rate"),
    ({"codec": "libvpx-vp9"}, {"hdr": Hdr(light_level=(1, 1))}, "out.mkv", "static HDR"),
    ({"codec": "libsvtav1"}, {"side_data": ("a53_cc",)}, "out.mp4", "closed captions"),
    ({"codec": "libx264"}, {"display_matrix": (0,) * 9}, "out.ts", "cannot hold a rotation"),
    ({}, {"width": 641, "height": 359}, "out.ts", "no encoder can write this video into .ts"),
    ({}, {}, "out.avi", "expected one of .mp4"),
    ({}, {}, "out", "a file without suffix"),
]


@pytest.mark.parametrize(("settings", "changes", "target", "words"), REFUSED)
def test_what_would_harm_the_picture_is_refused(
    plain: MediaInfo, settings: dict[str, Any], changes: dict[str, Any], target: str, words: str
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        resolve(EncodeSettings(**settings), _as(plain, **changes), target)


def test_an_odd_size_is_fine_without_subsampled_chroma(plain: MediaInfo) -> None:
    odd = _as(plain, pixels="yuv444p", width=641, height=359)
    assert resolve(EncodeSettings(), odd, "out.mp4").encoder == "libx264"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"codec": "x264"}, "unknown codec 'x264'"),
    ({"threads": 0}, "threads must be 1 or more"),
    ({"audio": "mute"}, "audio must be one of keep, drop"),
    ({"codec": "libx264", "crf": 99}, "crf of libx264 must be 0..51"),
    ({"codec": "libx264", "preset": "warp"}, "no preset 'warp'"),
    ({"codec": "prores_ks", "crf": 5}, "prores_ks has no crf"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_wrong_setting_is_named(plain: MediaInfo, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(EncodeSettings(**settings), _as(plain, pixels="yuv422p10le"), "out.mov")


def test_the_output_without_a_name_is_the_sources_kind(plain: MediaInfo) -> None:
    assert resolve(EncodeSettings(), plain).container == "mp4"


def test_nothing_is_left_to_the_machine(plain: MediaInfo) -> None:
    asked = {
        "libx264": "threads=1:lookahead-threads=1", "libx265": "pools=none:frame-threads=1",
        "libsvtav1": "lp=1", "libvpx-vp9": "0",
    }  # fmt: skip
    keys = {
        "libx264": "x264-params",
        "libx265": "x265-params",
        "libsvtav1": "svtav1-params",
        "libvpx-vp9": "row-mt",
    }
    for codec, words in asked.items():
        resolved = resolve(EncodeSettings(codec=codec), plain, "out.mkv")
        assert words in encoder_options(resolved, plain.video)[keys[codec]]
    two = resolve(EncodeSettings(codec="libx264", threads=2), plain, "out.mkv")
    assert "threads=2:lookahead-threads=1" in encoder_options(two, plain.video)["x264-params"]


def test_every_encoder_fits_a_container() -> None:
    held = frozenset[str]().union(*(container.codecs for container in CONTAINERS.values()))
    assert {encoder.codec for encoder in ENCODERS.values()} <= held
    assert all(container.default in ENCODERS for container in CONTAINERS.values())
