"""What is told about a file, and what is refused by name."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from video_makers import BASE, STEP, add_to_sample_entry, box, data_packet, edit_mp4, make_video, still

from facefx.errors import SourceError, UnsupportedError
from facefx.values import FieldOrder
from facefx.video.color import matrix_of
from facefx.video.describe import _parse
from facefx.video.extras import find_unsupported
from facefx.video.isobmff import read_tracks
from facefx.video.probe import probe
from facefx.video.scan import is_variable

# file: (frames, counted by, container, width, height, pixel format, rotation, variable, first pts)
FORMATS: Mapping[str, tuple[Any, ...]] = {
    "audio_shorter_640x360.mp4": (180, "index", "mp4", 640, 360, "yuv420p", 0, False, 0),
    "av1_640x360.mp4": (120, "index", "mp4", 640, 360, "yuv420p", 0, False, 0),
    "fps2997_640x360.mp4": (150, "index", "mp4", 640, 360, "yuv420p", 0, False, 0),
    "fragmented_640x360.mp4": (120, "scan", "mp4", 640, 360, "yuv420p", 0, False, 1024),
    "full_range_640x360.mp4": (120, "index", "mp4", 640, 360, "yuvj420p", 0, False, 0),
    "h264_aac_640x360.flv": (150, "scan", "flv", 640, 360, "yuv420p", 0, False, 67),
    "hevc_10bit_640x360.mp4": (120, "index", "mp4", 640, 360, "yuv420p10le", 0, False, 0),
    "interlaced_mpeg2_720x576.ts": (100, "scan", "ts", 720, 576, "yuv420p", 0, False, 129600),
    "odd_641x359_h264_444.mp4": (90, "index", "mp4", 641, 359, "yuv444p", 0, False, 0),
    "odd_641x359_vp9.webm": (90, "scan", "webm", 641, 359, "yuv420p", 0, False, 0),
    "one_frame_640x360.mp4": (1, "index", "mp4", 640, 360, "yuv420p", 0, False, 0),
    "prores_422_10bit_480x270.mov": (60, "index", "mov", 480, 270, "yuv422p10le", 0, False, 0),
    "rotated90_480x640.mp4": (120, "index", "mp4", 480, 640, "yuv420p", 90, False, 0),
    "rotated180_640x480.mp4": (90, "index", "mp4", 640, 480, "yuv420p", -180, False, 0),
    "rotated270_480x640.mp4": (120, "index", "mp4", 480, 640, "yuv420p", -90, False, 0),
    "start_offset_3600s_640x360.ts": (150, "scan", "ts", 640, 360, "yuv420p", 0, False, 324126000),
    "truncated_faststart.mp4": (180, "index", "mp4", 640, 360, "yuv420p", 0, False, 0),
    "two_audio_640x360.mkv": (120, "scan", "mkv", 640, 360, "yuv420p", 0, False, 21),
    "vfr_640x360.mp4": (93, "index", "mp4", 640, 360, "yuv420p", 0, True, 0),
    "vp9_opus_640x360.webm": (120, "scan", "webm", 640, 360, "yuv420p", 0, False, 7),
}


@pytest.mark.parametrize("name", FORMATS)
def test_facts_of_every_kind_of_file(media: Path, name: str) -> None:
    info = probe(media / "formats" / name)
    video, form = info.video, info.video.format
    got = (
        video.frames_expected, video.counted_by, info.container, form.width, form.height, form.pixels.name,
        form.rotation, video.variable_rate, video.start_pts,
    )  # fmt: skip
    assert got == FORMATS[name]
    assert not form.mirrored
    assert not info.unsupported
    assert not info.extras
    json.dumps(info.to_json())


def test_interlaced_and_stretched_are_told(media: Path) -> None:
    for name in ("interlaced_tff_sar_720x576.mp4", "interlaced_mpeg2_720x576.ts"):
        form = probe(media / "formats" / name).video.format
        assert (form.field_order, form.sample_aspect) == (FieldOrder.TOP_FIRST, Fraction(64, 45))


def test_colour_tags_are_told(media: Path) -> None:
    color = probe(media / "formats" / "hevc_10bit_pq_tagged_640x360.mp4").video.format.color
    assert (color.matrix, color.space, color.primaries, color.transfer, color.depth) == (
        "bt2020",
        9,
        9,
        16,
        10,
    )
    assert not color.full_range
    assert probe(media / "formats" / "full_range_640x360.mp4").video.format.color.full_range


@pytest.mark.parametrize(
    ("space", "height", "matrix"),
    [(2, 719, "bt601"), (2, 720, "bt709"), (1, 480, "bt709"), (5, 1080, "bt601"),
     (9, 480, "bt2020"), (10, 480, "bt2020")],
)  # fmt: skip
def test_missing_matrix_is_settled_by_height(space: int, height: int, matrix: str) -> None:
    assert matrix_of(space, height) == matrix


def test_start_is_the_earliest_of_sound_and_picture(media: Path) -> None:
    info = probe(media / "formats" / "start_offset_3600s_640x360.ts")
    assert info.start == Fraction(324124080, 90000)
    assert info.streams[1].packets == 236


def test_variable_rate_forgives_the_rounding_of_a_tick() -> None:
    assert not is_variable([0, 33, 67, 100])
    assert is_variable([0, 33, 68, 101])
    assert not is_variable([])


def test_variable_rate_sees_through_reordered_pictures(tmp_path: Path) -> None:
    late = [STEP * number + (STEP // 2 if number >= 150 else 0) for number in range(200)]
    for name, times, variable in (("steady", None, False), ("uneven", late, True)):
        path = make_video(tmp_path / f"{name}.mkv", count=200, options={"bf": "3"}, pts=times)
        video = probe(path).video
        assert (video.counted_by, video.variable_rate) == ("scan", variable)


def test_chroma_siting_is_read_from_the_description(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", options={"chroma_sample_location": "topleft"}, count=2)
    assert probe(path).video.format.color.chroma_location == 3


def test_description_without_side_data_has_no_notes() -> None:
    video = "  Stream #0:0: Video: h264 (High), yuv420p(tv, bt709, progressive), 64x48"
    assert _parse(f"{video}\n    Metadata:\n      a : b\n") == {}


def test_static_hdr_is_told(tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    path = make_video(
        tmp_path / "a.mp4",
        pixels="yuv420p10le",
        options={"x264-params": f"mastering-display={display}:cll=1000,400"},
        count=2,
    )
    hdr = probe(path).video.hdr
    assert hdr is not None
    assert hdr.primaries == (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)
    assert (hdr.luminance, hdr.light_level) == ((1, 10000000), (1000, 400))


@pytest.mark.parametrize(
    ("degrees", "flip", "expected"), [(0, True, (0, True)), (90, False, (90, False)), (90, True, (90, True))]
)
def test_mirrored_phone_video_is_told(
    degrees: int, flip: bool, expected: tuple[int, bool], tmp_path: Path
) -> None:
    def turn(output: Any, video: Any) -> None:
        video.set_display_rotation(degrees, hflip=flip)

    form = probe(make_video(tmp_path / "a.mp4", before=turn, count=2)).video.format
    assert form.mirrored == expected[1]
    assert abs(form.rotation) % 180 == expected[0] % 180


REFUSED = {
    "RGB": ({"codec": "libx264rgb", "pixels": "rgb24"}, "RGB video"),
    "twelve bit": ({"codec": "ffv1", "pixels": "yuv420p12le"}, "12-bit video"),
    "alpha": ({"codec": "ffv1", "pixels": "yuva420p"}, "an alpha channel video"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_pixel_format_that_cannot_be_carried_is_refused_by_name(case: str, tmp_path: Path) -> None:
    how, words = REFUSED[case]
    with pytest.raises(UnsupportedError, match=words):
        probe(make_video(tmp_path / "a.mkv", count=2, **how))  # type: ignore[arg-type]


def _unsupported(path: Path) -> str:
    with pytest.raises(UnsupportedError) as caught:
        probe(path).require_supported()
    return str(caught.value)


def test_dolby_vision_is_refused_by_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", codec="libx265", pixels="yuv420p10le")
    record = box(b"dvvC", bytes([1, 0, 8 << 1, 5 << 3 | 0b101, 0x10]) + bytes(19))
    assert "Dolby Vision" in _unsupported(add_to_sample_entry(path, b"hev1", record))


def test_vp9_alpha_is_refused_by_name(tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "a.webm", codec="libvpx-vp9", count=2))
    assert not find_unsupported(info.streams, info.video, ())
    streams = tuple(replace(stream, metadata={"alpha_mode": "1"}) for stream in info.streams)
    assert "alpha channel" in find_unsupported(streams, info.video, ())[0]


def test_layered_stereo_is_refused_by_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", codec="libx265")
    info, tracks = probe(path), read_tracks(path)
    assert "hvcC" in tracks[0].boxes
    assert not find_unsupported(info.streams, info.video, tracks)
    layered = [replace(track, boxes=(*track.boxes, "lhvC")) for track in tracks]
    assert "multi-layer" in find_unsupported(info.streams, info.video, layered)[0]


def test_encrypted_file_is_refused_by_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    info, tracks = probe(path), [replace(track, entry="encv") for track in read_tracks(path)]
    assert "encrypted" in find_unsupported(info.streams, info.video, tracks)[0]


def _edits(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">IiI", *entry) for entry in entries)


EDITS = {
    "delay and one cut": (_edits((40, -1, 1 << 16), (400, 1024, 1 << 16)), False),
    "two cuts": (_edits((100, 1024, 1 << 16), (100, 4096, 1 << 16)), True),
    "gap in the middle": (_edits((100, 1024, 1 << 16), (40, -1, 1 << 16), (100, 4096, 1 << 16)), True),
    "double speed": (_edits((200, 1024, 2 << 16)), True),
}


@pytest.mark.parametrize("case", EDITS)
def test_several_edits_are_refused_by_name(case: str, tmp_path: Path) -> None:
    body, refused = EDITS[case]
    path = make_video(tmp_path / "a.mp4")
    edit_mp4(path, lambda kind, _: body if kind == b"elst" else None)
    assert read_tracks(path)[0].several_edits == refused
    if refused:
        assert "several edits in the edit list of track 0" in _unsupported(path)
    else:
        probe(path).require_supported()


def test_torn_boxes_are_no_reason_to_fall_over(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + struct.pack(">I4s", 2**31, b"moov") + box(b"trak", b"xx")[:9])
    assert read_tracks(path) == ()
    path.write_bytes(struct.pack(">I4s", 3, b"free"))
    assert read_tracks(path) == ()


def _with_picture(path: Path, disposition: av.stream.Disposition | None, first: bool = False) -> Path:
    """A video beside an encoded picture in a stream of its own."""
    small = make_video(path.with_name(f"plain{path.suffix}"), count=4)
    with av.open(str(small)) as source, av.open(str(path), "w") as output:
        order = ["picture", "video"] if first else ["video", "picture"]
        streams: dict[str, Any] = {}
        for name in order:
            if name == "video":
                streams[name] = output.add_stream_from_template(source.streams.video[0])
            else:
                streams[name] = output.add_mux_stream("mjpeg", rate=25, width=32, height=32)
                streams[name].time_base = BASE
                if disposition:
                    streams[name].disposition = disposition
        output.mux(data_packet(streams["picture"], still("mjpeg"), 0, BASE))
        for packet in source.demux():
            if packet.size:
                packet.stream = streams["video"]
                output.mux(packet)
    return path


@pytest.mark.parametrize("first", [False, True])
def test_cover_art_is_no_main_picture_and_is_removed(first: bool, tmp_path: Path) -> None:
    info = probe(_with_picture(tmp_path / "a.mp4", av.stream.Disposition.attached_pic, first))
    assert (info.video.codec, info.video.format.width) == ("h264", 64)
    assert [(extra.kind, extra.remedy) for extra in info.extras] == [("cover", "removed")]


def test_second_video_is_refused_and_listed(tmp_path: Path) -> None:
    info = probe(_with_picture(tmp_path / "a.mp4", None))
    assert info.video.index == 0
    assert [(extra.kind, extra.remedy, extra.stream) for extra in info.extras] == [
        ("second_video", "refused", 1)
    ]


def test_undecodable_video_is_one_line(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", count=3)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    with pytest.raises(SourceError, match="no picture could be decoded"):
        probe(path)
