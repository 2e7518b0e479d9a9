"""What is written: the picture with its patches and nothing else changed, or no file at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from video_makers import (
    QUICK,
    add_to_sample_entry,
    box,
    make_video,
    pictures,
    same,
    transcode,
)

from facefx.errors import ShapeError, SinkError, UnsupportedError
from facefx.values import FrameBatch, Patch
from facefx.video.codecs import EncodeSettings
from facefx.video.isobmff import read_tracks
from facefx.video.probe import probe
from facefx.video.sink import VideoSink
from facefx.video.source import VideoSource


def _grey_squares(batch: FrameBatch) -> list[Patch]:
    """Two overlapping patches on every third frame."""
    found = []
    for i in range(0, len(batch), 3):
        for xyxy in ((100, 60, 180, 150), (150, 120, 210, 200)):
            patch = Patch.cut(batch.format, i, batch.view(i), xyxy)
            assert patch is not None
            for plane in patch.planes:
                plane[...] = 99
            found.append(patch)
    return found


LOSSLESS = [
    ("vfr_640x360.mp4", "libx264", "out.mp4"),
    ("hevc_10bit_640x360.mp4", "libx264", "out.mkv"),
    ("hevc_10bit_640x360.mp4", "libx265", "out.mp4"),
    ("interlaced_tff_sar_720x576.mp4", "libx264", "out.mp4"),
    ("prores_422_10bit_480x270.mov", "ffv1", "out.mkv"),
    ("odd_641x359_vp9.webm", "libvpx-vp9", "out.webm"),
]


@pytest.mark.parametrize(("name", "codec", "target"), LOSSLESS)
def test_every_pixel_outside_the_patches_is_bit_exact(
    media: Path, name: str, codec: str, target: str, tmp_path: Path
) -> None:
    source = media / "formats" / name
    settings = {"codec": codec, "lossless": True, "to_s": 0.6}
    report = transcode(source, tmp_path / target, patches=_grey_squares, **settings)  # type: ignore[arg-type]
    times, wanted = pictures(source, to_s=0.6)
    got_times, got = pictures(tmp_path / target)
    assert report.patched == sum(-(-min(16, len(wanted) - at) // 3) for at in range(0, len(wanted), 16))
    assert len(got) == len(wanted) == report.frames
    form = probe(source).video.format
    for number, (before, after) in enumerate(zip(wanted, got, strict=True)):
        expected = [plane.copy() for plane in before]
        if number % 16 % 3 == 0:
            for xyxy in ((100, 60, 180, 150), (150, 120, 210, 200)):
                patch = Patch.cut(form, 0, tuple(expected), xyxy)
                assert patch is not None
                for plane in patch.planes:
                    plane[...] = 99
                patch.paste(tuple(expected))
        assert same(tuple(expected), after), f"frame {number}"
    assert len(times) == len(got_times)


def test_writing_in_place_without_a_copy_would_harm_later_frames(media: Path) -> None:
    """The check above can fail: this is the harm that make_writable keeps away."""
    source = media / "formats" / "vfr_640x360.mp4"
    wanted = pictures(source)[1]
    harmed = 0
    with av.open(str(source)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            plane = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(
                -1, frame.planes[0].line_size
            )
            if number and not np.array_equal(plane[:360, :640][200:], wanted[number][0][200:]):
                harmed += 1
            plane[:200, :300] = 99
    assert harmed > 10


AGAIN = ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "mpeg2video", "prores_ks", "ffv1", "mjpeg", "mpeg4"]


@pytest.mark.parametrize("codec", AGAIN)
def test_same_input_gives_the_same_bytes(codec: str, tmp_path: Path) -> None:
    special = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}
    form = special.get(codec, "yuv420p")
    maker = "libx265" if form.startswith("yuvj") else "ffv1"
    source = make_video(tmp_path / "in.mkv", codec=maker, pixels=form, count=8)
    suffix = "mov" if codec == "prores_ks" else "mkv" if codec == "ffv1" else "mp4"
    for number in range(2):
        transcode(source, tmp_path / f"{number}.{suffix}", codec=codec)
        transcode(source, tmp_path / f"{number}.mkv", codec=codec)
    for kind in (suffix, "mkv"):
        assert (tmp_path / f"0.{kind}").read_bytes() == (tmp_path / f"1.{kind}").read_bytes()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_video_shorter_than_the_encoders_delay(codec: str, count: int, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", count=count)
    transcode(source, tmp_path / "out.mp4", codec=codec)
    before, after = probe(source), probe(tmp_path / "out.mp4")
    assert pictures(source)[0] == pictures(tmp_path / "out.mp4")[0]
    assert before.duration_s == after.duration_s


def test_irregular_times_and_the_last_frames_duration_are_kept(tmp_path: Path) -> None:
    pts = [0, 512, 700, 3000, 3001, 9000, 20000, 20512]
    source = make_video(tmp_path / "in.mp4", count=len(pts), pts=pts)
    for codec in ("libx264", "libx265", "libvpx-vp9", "libsvtav1"):
        transcode(source, tmp_path / "out.mp4", codec=codec)
        assert pictures(tmp_path / "out.mp4")[0] == [Fraction(p, 12800) for p in pts]
        # The edit list, in the track's own clock: to the end of the last frame that is shown.
        assert read_tracks(tmp_path / "out.mp4")[0].edits[0][0] == pts[-1] + 512


HDR = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
BT2020 = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}


def _hdr_video(path: Path, **options: Any) -> Path:
    settings = {"x264-params": f"mastering-display={HDR}:cll=1000,400", "chroma_sample_location": "topleft"}
    return make_video(
        path, pixels="yuv420p10le", options=settings, context=BT2020, size=(128, 128), **options
    )


@pytest.mark.parametrize(
    ("codec", "target"),
    [("libx264", "o.mp4"), ("libx265", "o.mp4"), ("libx265", "o.mkv"), ("libx264", "o.ts"),
     ("libsvtav1", "o.mp4")],
)  # fmt: skip
def test_hdr_and_colour_tags_survive(codec: str, target: str, tmp_path: Path) -> None:
    source = _hdr_video(tmp_path / "in.mp4")
    transcode(source, tmp_path / target, codec=codec)
    before, after = probe(source).video, probe(tmp_path / target).video
    assert after.format.color == before.format.color
    assert before.hdr is not None
    assert after.hdr is not None
    assert after.hdr.light_level == before.hdr.light_level
    near = 1 if codec == "libsvtav1" else 0  # AV1 stores them in steps of 1/65536
    assert after.hdr.primaries == pytest.approx(before.hdr.primaries, abs=near)
    assert after.hdr.luminance == pytest.approx(before.hdr.luminance, abs=near * 2)


def test_hdr_that_an_encoder_cannot_write_is_refused(tmp_path: Path) -> None:
    source = _hdr_video(tmp_path / "in.mp4")
    with pytest.raises(UnsupportedError, match="static HDR data"):
        transcode(source, tmp_path / "out.mkv", codec="ffv1")


CROP = bytes.fromhex("0000003c 00000001 00000028 00000001" + "00000000 00000001" * 2)
CONTAINER_FACTS = {
    "stereo": ([box(b"st3d", b"\0\0\0\0\x01")], "Stereo 3D"),
    "cropping": ([box(b"clap", CROP)], "Frame Cropping"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTAINER_FACTS)
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_what_only_the_container_says_is_carried_or_refused(case: str, target: str, tmp_path: Path) -> None:
    boxes, name = CONTAINER_FACTS[case]
    source = add_to_sample_entry(make_video(tmp_path / "in.mp4"), b"avc1", *boxes)
    assert name in probe(source).video.side_data
    transcode(source, tmp_path / target)
    assert name in probe(tmp_path / target).video.side_data
    with pytest.raises(UnsupportedError, match=name):
        transcode(source, tmp_path / target, codec="libx265")


@pytest.mark.parametrize(("degrees", "flip"), [(90, False), (180, False), (270, True), (0, True)])
@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
def test_rotation_and_mirroring_are_carried(degrees: int, flip: bool, target: str, tmp_path: Path) -> None:
    def turn(output: Any, video: Any) -> None:
        video.set_display_rotation(degrees, hflip=flip)

    source = make_video(tmp_path / "in.mp4", before=turn)
    transcode(source, tmp_path / target)
    before, after = probe(source).video, probe(tmp_path / target).video
    assert before.display_matrix is not None
    assert after.format.mirrored == flip
    assert after.format.rotation % 360 == before.format.rotation % 360
    if target != "out.mkv":  # Matroska holds angles, not matrices
        assert after.display_matrix == before.display_matrix


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.ts", "out.mov"])
def test_interlaced_stays_interlaced(media: Path, target: str, tmp_path: Path) -> None:
    transcode(media / "formats" / "interlaced_tff_sar_720x576.mp4", tmp_path / target, to_s=0.5)
    after = probe(tmp_path / target).video.format
    assert (
        after.field_order
        == probe(media / "formats" / "interlaced_tff_sar_720x576.mp4").video.format.field_order
    )
    assert after.sample_aspect == Fraction(64, 45)
    with av.open(str(tmp_path / target)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))


def test_interlaced_is_refused_where_it_would_be_lost(media: Path, tmp_path: Path) -> None:
    source = media / "formats" / "interlaced_tff_sar_720x576.mp4"
    with pytest.raises(UnsupportedError, match="interlaced"):
        transcode(source, tmp_path / "out.mkv", codec="libx265")


def test_output_appears_with_the_first_frame_and_goes_unless_finished(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with VideoSource(source) as frames_in, VideoSink(target, frames_in.info) as sink:
        assert not target.exists()
        sink.write(next(frames_in.batches()))
        assert target.exists()
    assert not target.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_error_or_ctrl_c_midway_leaves_no_file(error: type[BaseException], tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "in.mp4", count=20), tmp_path / "out.mkv"

    def fail(batch: FrameBatch) -> list[Patch]:
        assert target.exists() == bool(batch.index[0])
        if batch.index[0]:
            raise error("the effect failed")
        return []

    with pytest.raises(error, match="the effect"):
        transcode(source, target, patches=fail)
    assert not target.exists()


def test_nothing_written_is_no_video(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", probe(make_video(tmp_path / "in.mp4")))
    with pytest.raises(SinkError, match="no frame was written"):
        sink.finish()
    assert not (tmp_path / "out.mp4").exists()


def test_destination_that_cannot_be_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(make_video(tmp_path / "in.mp4"))
    (tmp_path / "folder.mp4").mkdir()
    for target, words in (
        (tmp_path / "nowhere" / "out.mp4", "does not exist"),
        (tmp_path / "folder.mp4", "is a folder"),
        (tmp_path / "in.mp4", "the same file"),
    ):
        with pytest.raises(SinkError, match=words):
            VideoSink(target, info)
    with pytest.raises(UnsupportedError, match=r"expected one of \.mp4"):
        VideoSink(tmp_path / "out.gif", info)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SinkError, match="cannot be written"):
        VideoSink(tmp_path / "out.mp4", info)
    assert (tmp_path / "in.mp4").stat().st_size > 0


_FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from video_makers import transcode
from facefx.errors import SinkError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    transcode(Path(sys.argv[2]), Path(sys.argv[3]))
except SinkError as error:
    print("SinkError", error)
"""


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_full_disk_is_one_line_and_no_file(media: Path, suffix: str, tmp_path: Path) -> None:
    source, target = media / "formats" / "vfr_640x360.mp4", tmp_path / f"out.{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(Path(__file__).parent.parent), str(source), str(target)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("SinkError"), done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
    assert not target.exists()


def test_lack_of_space_says_what_to_do(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", probe(make_video(tmp_path / "in.mp4")))
    with pytest.raises(SinkError, match="free some space"), sink._sink_errors("writing"):
        raise OSError(errno.ENOSPC, "No space left on device")
    sink.close()


def test_patch_of_a_frame_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    with VideoSource(source) as frames_in, VideoSink(tmp_path / "out.mp4", frames_in.info) as sink:
        batch = next(frames_in.batches())
        patch = Patch.cut(batch.format, 99, batch.view(0), (0, 0, 8, 8))
        assert patch is not None
        with pytest.raises(ShapeError, match="patch of frame 99"):
            sink.write(batch, [patch])


def test_encoder_does_not_follow_the_sources_frame_types(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", count=30, options={"g": "1", "bf": "0"})
    transcode(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(p.is_keyframe for p in container.demux() if p.size) == 1


def test_hevc_is_tagged_for_every_player(tmp_path: Path) -> None:
    transcode(make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4", codec="libx265")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_index_stands_in_front(tmp_path: Path) -> None:
    transcode(make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_report_tells_what_was_written(media: Path, tmp_path: Path) -> None:
    report = transcode(media / "formats" / "two_audio_640x360.mkv", tmp_path / "out.mkv")
    assert (report.frames, report.patched, report.copied) == (120, 0, {1: 189, 2: 189})
    assert report.encode.encoder == "libx264"
    assert report.size_bytes == (tmp_path / "out.mkv").stat().st_size
    assert set(QUICK) >= {report.encode.encoder}
    assert EncodeSettings().threads == 1


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_steady_rate_is_written_into_the_stream(codec: str, tmp_path: Path) -> None:
    """MPEG-TS has no frame durations of its own: readers take them from the stream."""
    source = make_video(tmp_path / "in.mkv", count=25)
    transcode(source, tmp_path / "out.ts", codec=codec)
    with av.open(str(tmp_path / "out.ts")) as container:
        assert {packet.duration for packet in container.demux() if packet.size} == {3600}
