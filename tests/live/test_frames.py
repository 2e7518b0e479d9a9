"""One client's frames: in order, whole, and never raw where faces are to be hidden."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from frame_makers import SIZE, TICKS, Finding, Reader, jpeg, number_of, packets, served
from video_makers import make_video

from facefx.config import RunConfig
from facefx.effects.presets import read_chain
from facefx.effects.registry import effect_class
from facefx.errors import EffectError, SourceError
from facefx.live.frames import FrameSession, FrameSettings, Serving, serving
from facefx.pipeline.nets import Nets
from facefx.video.frame_codec import CodecRules
from facefx.video.nal import make_avcc, to_lengths, units
from facefx.video.packet_codec import H264Encoder

BLACK = 16
FACE = np.s_[30:50, 30:50]


@pytest.fixture
def nets() -> Iterator[Nets]:
    with Nets() as nets:
        yield nets


def session(
    nets: Nets, finding: Finding | None = None, serves: Serving | None = None, **settings: Any
) -> Any:
    return FrameSession(FrameSettings(**settings), serves or served(), nets, looking=finding or Finding())


def test_h264_frames_leave_as_they_come_one_by_one_and_numbered(nets: Nets) -> None:
    _, sent = packets(range(30))
    reader, frames = Reader(), session(nets)
    for number, data in enumerate(sent):
        result = frames.push(data, number * TICKS)
        assert (result.pts, result.dropped, result.covered) == (number * TICKS, "", "")
        assert result.key_frame or number > 0
        shown = reader.luma(result.data)
        assert number_of(shown) == number
        assert np.ptp(shown[FACE]) <= 4  # the face is solid
    assert frames.counts["frames"] == 30


def test_avcc_in_gives_avcc_out_that_its_own_config_opens(nets: Nets) -> None:
    headers, sent = packets(range(5), separate=True)
    frames = session(nets, Finding(None), coding="avcc", config=make_avcc(headers))
    results = [frames.push(to_lengths(data), i * TICKS) for i, data in enumerate(sent)]
    assert results[0].config[:1] == b"\1"
    assert [bool(result.config) for result in results] == [True, False, False, False, False]
    reader = Reader(config=results[0].config)
    assert [number_of(reader.luma(result.data)) for result in results] == list(range(5))


def test_avcc_without_its_parameter_sets_is_refused_when_it_opens(nets: Nets) -> None:
    with pytest.raises(SourceError, match="parameter sets"):
        session(nets, coding="avcc")


def test_parameter_sets_in_a_packet_of_their_own_go_with_the_next(nets: Nets) -> None:
    headers, sent = packets([3], separate=True)
    frames = session(nets)
    assert frames.push(headers, 0).dropped == "no picture"
    assert number_of(Reader().luma(frames.push(sent[0], TICKS).data)) == 3


def test_a_face_that_nobody_could_look_for_is_not_shown(nets: Nets) -> None:
    def fail(pts: int) -> None:
        if pts == TICKS:
            raise RuntimeError("device lost")

    reader, frames = Reader(), session(nets, Finding(act=fail))
    _, sent = packets(range(3))
    results = [frames.push(data, i * TICKS) for i, data in enumerate(sent)]
    shown = [reader.luma(result.data) for result in results]
    assert [result.covered for result in results] == ["", "not looked at: RuntimeError", ""]
    assert np.abs(shown[1].astype(int) - BLACK).max() <= 3  # all of it is black
    assert number_of(shown[2]) == 2
    assert frames.counts["covered not looked at"] == 1


def test_a_frame_that_nobody_could_look_at_leaves_as_it_came_where_nobody_is_hidden(nets: Nets) -> None:
    def fail(pts: int) -> None:
        raise RuntimeError("device lost")

    frames = session(nets, Finding(act=fail), effects=("sharpen",))
    result = frames.push(packets([5])[1][0], 0)
    assert (result.covered, number_of(Reader().luma(result.data))) == ("", 5)
    assert frames.counts["failed detect: RuntimeError"] == 1


def test_a_hiding_effect_that_fails_covers_the_whole_frame(
    nets: Nets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no room")

    monkeypatch.setattr(effect_class("solid"), "apply", fail)
    result = session(nets).push(packets([1])[1][0], 0)
    assert result.covered == "an effect failed"
    assert np.abs(Reader().luma(result.data).astype(int) - BLACK).max() <= 3


def test_every_frame_is_looked_at_as_soon_as_faces_are_hidden(nets: Nets) -> None:
    finding = Finding()
    frames = session(nets, finding, effects=("sharpen",))
    _, sent = packets(range(2))
    frames.push(sent[0], 0)
    frames.set_effects(["solid"])
    frames.push(sent[1], TICKS)
    assert finding.hides == [False, True]


def test_effects_change_with_the_next_frame_and_a_wrong_one_changes_nothing(nets: Nets) -> None:
    reader, frames = Reader(), session(nets, effects=("sharpen",))
    _, sent = packets(range(4))
    assert np.ptp(reader.luma(frames.push(sent[0], 0).data)[FACE]) == 0  # the number 0 has no bright column
    bare = reader.luma(frames.push(sent[1], TICKS).data)
    frames.set_effects([{"solid": {"colour": "#ffffff"}}])
    white = reader.luma(frames.push(sent[2], 2 * TICKS).data)
    with pytest.raises(EffectError, match="unknown effect"):
        frames.set_effects(["sollid"])
    still = reader.luma(frames.push(sent[3], 3 * TICKS).data)
    assert bare[FACE].mean() < 120 < 220 < min(white[FACE].mean(), still[FACE].mean())


def test_no_client_opens_a_file_of_the_server(nets: Nets, tmp_path: Path) -> None:
    """Both are there, and would do."""
    picture_file, preset = tmp_path / "a.png", tmp_path / "a.yaml"
    cv2.imwrite(str(picture_file), np.full((8, 8, 4), 255, np.uint8))
    preset.write_text("about: mine\neffects: [solid]\n")
    frames = session(nets)
    for chain in (f"image:path={picture_file}", {"image": {"path": str(picture_file)}}, f"@{preset}"):
        read_chain([chain])
        with pytest.raises(EffectError, match=r"may only name what ships|unknown preset"):
            session(nets, effects=(chain,))
        with pytest.raises(EffectError, match=r"may only name what ships|unknown preset"):
            frames.set_effects([chain])


@pytest.mark.parametrize("pts", [0, -1, TICKS - 1, TICKS])
def test_time_that_does_not_rise_ends_the_stream(nets: Nets, pts: int) -> None:
    _, sent = packets(range(3))
    frames = session(nets)
    for number in range(2):
        frames.push(sent[number], number * TICKS)
    with pytest.raises(SourceError, match="must rise"):
        frames.push(sent[2], pts)


def test_pictures_that_are_reordered_are_refused_by_name(nets: Nets) -> None:
    """x264's default look-ahead sends P before the B-frames that are shown earlier."""
    _, sent = packets([0, 1, 2, 3, 4, 5, 6, 7], b_frames=3)
    frames = session(nets)
    results = [frames.push(data, i * TICKS) for i, data in enumerate(sent)]
    refused = [result.dropped for result in results if result.dropped]
    assert refused
    assert all("B-frames" in reason or "key frame" in reason for reason in refused)


def test_a_damaged_packet_costs_frames_up_to_the_next_key_frame_and_not_the_stream(nets: Nets) -> None:
    _, first = packets(range(4))
    _, again = packets([9])
    frames = session(nets)
    sent = [first[0], b"\0\0\0\1\x41" + b"\xff" * 60, first[2], again[0]]
    dropped = [frames.push(data, i * TICKS).dropped.partition(":")[0] for i, data in enumerate(sent)]
    assert dropped == ["", "undecodable", "undecodable", ""]


def test_parameter_sets_that_came_once_are_still_known_after_damage(nets: Nets) -> None:
    headers, sent = packets(range(2), separate=True)
    frames, reader = session(nets), Reader()
    spoilt = b"\0\0\0\1\x41" + b"\xff" * 60
    given = [headers, sent[0], spoilt, sent[0]]
    results = [frames.push(data, number * TICKS) for number, data in enumerate(given)]
    assert [bool(result.dropped) for result in results] == [True, False, True, False]
    assert [number_of(reader.luma(results[i].data)) for i in (1, 3)] == [0, 0]


def test_a_stream_that_begins_without_a_key_frame_waits_for_one(nets: Nets) -> None:
    _, sent = packets(range(3))
    frames = session(nets)
    assert "key frame" in frames.push(sent[1], 0).dropped
    assert not frames.push(sent[0], TICKS).dropped


def test_a_key_frame_is_made_when_it_is_asked_for(nets: Nets) -> None:
    _, sent = packets(range(4))
    frames = session(nets, Finding(None))
    results = [frames.push(data, i * TICKS, key_frame=i == 2) for i, data in enumerate(sent)]
    assert [result.key_frame for result in results] == [True, False, True, False]
    assert number_of(Reader().luma(results[2].data)) == 2  # decodes with nothing before it


def test_pictures_above_the_limit_are_not_decoded(nets: Nets) -> None:
    small = served(max_pixels=SIZE[0] * SIZE[1] - 1)
    assert "pixels" in session(nets, serves=small).push(packets([0])[1][0], 0).dropped
    assert "limit" in session(nets, serves=small, coding="picture").push(jpeg(0), 0).dropped


def test_a_picture_that_unpacks_to_gigabytes_is_refused_by_its_header(nets: Nets) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    assert "limit" in session(nets, coding="picture").push(bomb, 0).dropped


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xe0junk", b"GIF89a" + bytes(40)])
@pytest.mark.parametrize("coding", ["h264", "picture"])
def test_what_is_no_picture_is_dropped_with_the_reason(nets: Nets, coding: str, data: bytes) -> None:
    result = session(nets, coding=coding).push(data, 0)
    assert result.data == b""
    assert result.dropped.startswith("undecodable: ")


def test_a_frame_that_waited_too_long_is_dropped_and_the_rest_still_decodes(nets: Nets) -> None:
    finding = Finding(None)
    reader, frames = Reader(), session(nets, finding, late_s=0.1)
    _, sent = packets(range(4))
    results = [frames.push(data, i * TICKS, waited_s=0.2 * (i == 1)) for i, data in enumerate(sent)]
    assert [result.dropped for result in results] == ["", "late", "", ""]
    assert [number_of(reader.luma(r.data)) for r in results if r.data] == [0, 2, 3]
    assert TICKS not in finding.seen


def test_pictures_that_change_their_size_go_on_as_a_new_stream(nets: Nets) -> None:
    frames = session(nets)
    _, small = packets([1])
    _, large = packets([0], (320, 192))
    assert frames.push(small[0], 0).key_frame
    result = frames.push(large[0], TICKS)
    assert result.key_frame
    assert Reader().luma(result.data).shape == (192, 320)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_leaves_as_its_own_kind_in_its_own_colours(nets: Nets, suffix: str) -> None:
    across = np.linspace(0, 255, SIZE[0], dtype=np.uint8)
    bgr = np.stack(
        [np.broadcast_to(part, SIZE[::-1]) for part in (across, across[::-1], across // 2)], axis=2
    )
    data = cv2.imencode(suffix, bgr, [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes()
    result = session(nets, coding="picture").push(data, 0)
    shown = cv2.imdecode(np.frombuffer(result.data, np.uint8), cv2.IMREAD_COLOR)
    assert result.data[:3] == data[:3]
    assert shown is not None
    assert np.ptp(shown[FACE].reshape(-1, 3), axis=0).max() <= 6
    assert np.abs(shown[:, 80:].astype(int) - bgr[:, 80:]).mean() < 4
    assert [face.track_id for face in result.faces] == [7]


def test_a_turned_picture_stays_turned_and_brings_no_thumbnail_along(nets: Nets) -> None:
    thumbnail = jpeg(99)
    tags = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + tags + struct.pack(">I", 0) + thumbnail
    data = jpeg(1)
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    result = session(nets, Finding(None), coding="picture").push(marked, 0)
    assert struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) in result.data
    assert result.data.count(b"\xff\xd8\xff") == 1
    assert thumbnail[30:60] not in result.data[:200]


def test_the_seconds_of_the_steps_are_those_of_the_frame(nets: Nets) -> None:
    result = session(nets).push(packets([0])[1][0], 0, waited_s=0.25)
    steps = [result.seconds[step] for step in ("decode", "detect", "blend", "encode")]
    assert result.seconds["waited"] == 0.25
    assert 0 < sum(steps) <= result.seconds["total"]


def test_faces_of_a_real_clip_keep_their_track_and_are_hidden(media: Path) -> None:
    """The detector that ships, the live policy, twelve frames of one speaker."""
    with av.open(str(media / "formats" / "bench_720p.mp4")) as clip, Nets() as nets:
        coder, frames = None, None
        tracks, reader = set(), Reader()
        for number, frame in zip(range(12), clip.decode(video=0), strict=False):
            if coder is None or frames is None:
                rules = CodecRules(preset="ultrafast")
                frames = FrameSession(FrameSettings(), serving(RunConfig(detector="blazeface"), rules), nets)
                coder = _coder(frame, rules)
            coded = coder.encode(frame, number * TICKS, key_frame=False)
            result = frames.push(coded.data, number * TICKS)
            shown = reader.luma(result.data)
            for face in result.faces:
                x0, y0, x1, y1 = (round(side) for side in face.xyxy)
                tracks.add(face.track_id)
                middle = shown[
                    (y0 + y1) // 2 - 40 : (y0 + y1) // 2 + 40, (x0 + x1) // 2 - 40 : (x0 + x1) // 2 + 40
                ]
                assert middle.std() < 3
    assert len(tracks) == 1


def _coder(frame: av.VideoFrame, rules: CodecRules) -> H264Encoder:
    from fractions import Fraction

    from facefx.values import Color, PixelFormat, StreamFormat

    pixels = PixelFormat.of(frame.format.name)
    base = Fraction(1, 90_000)
    return H264Encoder(StreamFormat(pixels, frame.width, frame.height, base, Color()), rules, avcc=False)


def test_start_codes_and_lengths_say_the_same() -> None:
    _, (data,) = packets([0])
    kinds = [unit[0] & 31 for unit in units(data)]
    assert kinds[:2] == [7, 8]
    assert 5 in kinds
    lengths, at = to_lengths(data), 0
    while at < len(lengths):
        at += 4 + int.from_bytes(lengths[at : at + 4], "big")
    assert at == len(lengths)


def test_parameter_sets_are_written_as_mp4_writes_them(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", count=2, options={"preset": "veryfast"})
    with av.open(str(path)) as video:
        written = bytes(video.streams.video[0].codec_context.extradata or b"")
    sps = int.from_bytes(written[6:8], "big")
    pps = int.from_bytes(written[9 + sps : 11 + sps], "big")
    headers = b"\0\0\0\1" + written[8 : 8 + sps] + b"\0\0\1" + written[11 + sps : 11 + sps + pps]
    assert written[1] == 100  # a high profile, which has more to say
    assert make_avcc(headers) == written
