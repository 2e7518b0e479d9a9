"""A contact sheet shows what the output shows: upright, whole, in its colours, and it is cheap."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import facefx.video.glimpse as glimpse_room
from facefx.archive.contact import MOST_BYTES, contact_sheet, to_sdr
from facefx.errors import SourceError, UnsupportedError
from facefx.values import Color, FrameBatch, PixelFormat, StreamFormat
from facefx.video.clip import write_clip
from facefx.video.glimpse import glimpses
from facefx.video.probe import probe


def shown(data: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(picture, np.uint8)


def ramp(path: Path, count: int, size: tuple[int, int] = (160, 90)) -> Path:
    """A clip that grows brighter frame by frame, 30 a second."""
    format = StreamFormat(PixelFormat.of("yuv420p"), *size, Fraction(1, 30), Color("bt709"))

    def batches() -> Any:
        for start in range(0, count, 10):
            index = np.arange(start, min(start + 10, count), dtype=np.int64)
            planes = tuple(
                (
                    np.full((size[1], size[0]), 16 + 219 * i // count, np.uint8),
                    np.full((size[1] // 2, size[0] // 2), 128, np.uint8),
                    np.full((size[1] // 2, size[0] // 2), 128, np.uint8),
                )
                for i in index
            )
            yield FrameBatch(format, planes, index, index)

    write_clip(path, batches())
    return path


KINDS = (
    "bench_720p.mp4", "rotated90_480x640.mp4", "interlaced_tff_sar_720x576.mp4", "tiny_64x36.mp4",
    "hevc_10bit_640x360.mp4", "hevc_10bit_pq_tagged_640x360.mp4", "vp9_opus_640x360.webm", "av1_640x360.mp4",
    "start_offset_3600s_640x360.ts", "h264_aac_640x360.flv", "two_audio_640x360.mkv", "gray_640x360.mp4",
    "prores_422_10bit_480x270.mov", "odd_641x359_h264_444.mp4", "one_frame_640x360.mp4", "vfr_640x360.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("short", [True, False], ids=["decoded", "sought"])
def test_every_kind_of_video_gets_a_small_sheet(
    media: Path, name: str, short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not short:
        monkeypatch.setattr(glimpse_room, "_SHORT_PIXELS", 0)
    data = contact_sheet(media / "formats" / name)
    assert len(data) <= MOST_BYTES
    assert data.startswith(b"\xff\xd8\xff")
    assert shown(data).std() > 20  # something is to be seen


def test_the_moments_are_spread_over_the_whole_length(tmp_path: Path) -> None:
    path = ramp(tmp_path / "r.mp4", 120)
    times = [one.time_s for one in glimpses(path, probe(path), 12)]
    assert times == pytest.approx([(2 * i + 1) * 4 / 24 for i in range(12)], abs=1 / 30)


def test_each_time_stands_below_its_own_frame(tmp_path: Path) -> None:
    path = ramp(tmp_path / "r.mp4", 120)
    for one in glimpses(path, probe(path), 12):
        expected = 16 + 219 * round(one.time_s * 30) // 120
        assert abs(float(one.planes[0].mean()) - expected) < 3


def test_a_long_video_is_not_decoded_for_its_sheet(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    true = glimpse_room._decoded

    def counting(packet: Any) -> Any:
        decoded.append(packet.pts)
        return true(packet)

    monkeypatch.setattr(glimpse_room, "_decoded", counting)
    contact_sheet(media / "formats" / "bench_720p.mp4")  # 600 frames, a keyframe every two seconds
    assert 10 <= len(decoded) <= 12


def test_pictures_between_keyframes_are_passed_over(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glimpse_room, "_SHORT_PIXELS", 0)
    keys: list[bool] = []
    true = glimpse_room._decoded

    def noting(packet: Any) -> Any:
        keys.append(packet.is_keyframe)
        return true(packet)

    monkeypatch.setattr(glimpse_room, "_decoded", noting)
    path = media / "formats" / "interlaced_mpeg2_720x576.ts"  # whose seeks land anywhere
    assert list(glimpses(path, probe(path), 12))
    assert set(keys) == {True}


def test_a_long_video_is_shown_by_its_keyframes_in_order(media: Path) -> None:
    path = media / "formats" / "bench_720p.mp4"
    times = [one.time_s for one in glimpses(path, probe(path), 12)]
    assert times == sorted(set(times))
    assert times[0] == 0
    assert times[-1] > 18


def test_a_frame_is_shown_as_a_player_turns_it(media: Path) -> None:
    """Stored lying, shown upright: landscape cells, and brighter where the upright picture is."""
    from facefx.archive import contact

    lying = media / "formats" / "rotated90_480x640.mp4"
    info = probe(lying)
    assert info.video.format.width < info.video.format.height
    layout = contact._Layout.of(info.video.format)
    assert layout.width / layout.height == pytest.approx(4 / 3, rel=0.02)
    upright = media / "clips" / "signer_woman_640x480.mp4"
    seen = next(iter(glimpses(lying, info, 1)))
    thumb = contact._thumbnail(info.video.format, seen.planes, layout).astype(float)
    other = probe(upright)
    frames = [
        contact._thumbnail(other.video.format, one.planes, layout) for one in glimpses(upright, other, 12)
    ]
    assert min(np.abs(thumb - frame).mean() for frame in frames) < 20
    assert min(np.abs(thumb[::-1] - frame).mean() for frame in frames) > 30


def test_oblong_pixels_are_shown_square(media: Path) -> None:
    from facefx.archive import contact

    info = probe(media / "formats" / "interlaced_tff_sar_720x576.mp4")  # 64:45, so 16:9
    layout = contact._Layout.of(info.video.format)
    assert layout.width / layout.height == pytest.approx(16 / 9, rel=0.02)


def test_hdr_is_neither_dim_nor_burnt_out() -> None:
    def grey(code: float, transfer: int) -> float:
        return float(to_sdr(np.full((3, 2, 2), 255 * code, np.float32), transfer)[0, 0, 0])

    assert 215 < grey(0.58, 16) < 245  # 203 cd/m² in PQ: BT.2408's diffuse white
    assert 215 < grey(0.75, 18) < 245  # and in HLG
    for transfer in (16, 18):
        steps = [grey(code, transfer) for code in np.linspace(0, 1, 20)]
        assert min(np.diff(steps)) > -0.01  # never darker for more light
        assert 0 <= steps[0] < 5
        assert 245 < steps[-1] <= 255.5
    assert grey(0.5, 1) == pytest.approx(127.5)  # ordinary video is left alone


def test_hdr_is_brought_to_a_screen_where_the_file_says_so(media: Path) -> None:
    from facefx.archive import contact

    info = probe(media / "formats" / "hevc_10bit_pq_tagged_640x360.mp4")
    format = info.video.format
    planes = next(iter(glimpses(info.path, info, 1))).planes
    layout = contact._Layout.of(format)
    as_tagged = contact._thumbnail(format, planes, layout)
    as_sdr = contact._thumbnail(replace(format, color=replace(format.color, transfer=1)), planes, layout)
    assert as_tagged.mean() > as_sdr.mean() + 20


def test_a_red_of_hdr_stays_red() -> None:
    red = np.zeros((3, 1, 1), np.float32)
    red[2] = 255 * 0.6
    blue, green, shown_red = to_sdr(red, 16)[:, 0, 0]
    assert shown_red > 200
    assert max(blue, green) < 60


def test_noise_does_not_break_the_limit_of_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    format = StreamFormat(PixelFormat.of("yuv420p"), 320, 180, Fraction(1, 30))
    index = np.arange(12, dtype=np.int64)
    planes = tuple(
        tuple(rng.integers(16, 236, shape, np.uint8) for shape in ((180, 320), (90, 160), (90, 160)))
        for _ in index
    )
    write_clip(tmp_path / "n.mp4", [FrameBatch(format, planes, index, index)])
    assert len(contact_sheet(tmp_path / "n.mp4")) <= MOST_BYTES


def test_a_damaged_output_still_shows_what_it_can(media: Path) -> None:
    assert contact_sheet(media / "formats" / "bitflips_640x360.mp4")
    assert contact_sheet(media / "formats" / "truncated_faststart.mp4")


def test_what_is_no_video_is_named(media: Path) -> None:
    with pytest.raises(SourceError, match=r"garbage\.mp4"):
        contact_sheet(media / "formats" / "garbage.mp4")
    with pytest.raises((SourceError, UnsupportedError), match=r"audio_only\.mp4"):
        contact_sheet(media / "formats" / "audio_only.mp4")
