"""Frames out of files: all of them, once, in their own planes, and the truth about those that are missing."""

from __future__ import annotations

import gc
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from video_makers import BASE, STEP, data_packet, frames, make_video, pictures, same

from facefx.errors import ConfigError, DamagedError, SourceError, UnsupportedError
from facefx.values.frames import MAX_BATCH_BYTES
from facefx.video.damage import DamageLog
from facefx.video.planes import read_views, write_views
from facefx.video.probe import probe
from facefx.video.source import VideoSource

GOOD = [
    "audio_shorter_640x360.mp4", "av1_640x360.mp4", "fps2997_640x360.mp4", "fps60_640x360.mp4",
    "fragmented_640x360.mp4", "full_range_640x360.mp4", "gray_640x360.mp4", "h264_aac_640x360.flv",
    "hevc_10bit_640x360.mp4", "hevc_10bit_pq_tagged_640x360.mp4", "interlaced_mpeg2_720x576.ts",
    "interlaced_tff_sar_720x576.mp4", "not_mult16_642x362.mp4", "odd_641x359_h264_444.mp4",
    "odd_641x359_vp9.webm", "one_frame_640x360.mp4", "prores_422_10bit_480x270.mov",
    "rotated180_640x480.mp4", "rotated270_480x640.mp4", "rotated90_480x640.mp4",
    "start_offset_3600s_640x360.ts", "tiny_64x36.mp4", "two_audio_640x360.mkv", "vfr_640x360.mp4",
    "vp9_opus_640x360.webm",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_every_good_file_decodes_whole(media: Path, name: str) -> None:
    with VideoSource(media / "formats" / name) as source:
        last, count = None, 0
        for batch in source.batches():
            assert len(batch) <= 16
            assert batch.index.tolist() == list(range(count, count + len(batch)))
            assert (np.diff(batch.pts) > 0).all()
            assert last is None or batch.pts[0] > last
            last, count = batch.pts[-1], count + len(batch)
        assert count == source.info.video.frames_expected
        assert not source.damage


DAMAGED = {
    "bitflips_640x360.mp4": (180, range(170, 180)),
    "truncated_faststart.mp4": (180, range(90, 91)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_file_fails_with_the_count_of_what_was_readable(media: Path, name: str) -> None:
    expected, readable = DAMAGED[name]
    with (
        pytest.raises(DamagedError, match="frames are readable") as caught,
        VideoSource(media / "formats" / name) as source,
    ):
        list(source.batches())
    assert caught.value.expected == expected
    assert caught.value.decoded in readable


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_file_gives_what_is_readable_when_asked_to(media: Path, name: str) -> None:
    expected, readable = DAMAGED[name]
    with VideoSource(media / "formats" / name, on_damage="keep") as source:
        times = [int(pts) for batch in source.batches() for pts in batch.pts]
        count = len(times)
        assert source.damage
        assert times == sorted(set(times))
        assert (source.damage.expected, source.damage.decoded) == (expected, count)
        assert count in readable


def test_corrupt_packet_costs_a_frame_and_not_the_file(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4", count=24, codec="libvpx-vp9", options={"lag-in-frames": "0", "g": "6"}
    )
    with av.open(str(path)) as container:
        hurt = [p for p in container.demux() if p.size][7]
        at, size = hurt.pos or 0, hurt.size
    data = bytearray(path.read_bytes())
    data[at : at + min(size, 12)] = b"\xff" * min(size, 12)
    path.write_bytes(data)
    with VideoSource(path, on_damage="keep") as source:
        count = sum(len(batch) for batch in source.batches())
        assert 24 - 6 <= count < 24
        assert source.damage.corrupt_packets >= 1
    with pytest.raises(DamagedError), VideoSource(path) as source:
        list(source.batches())


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(media: Path, threads: int) -> None:
    path = media / "formats" / "vfr_640x360.mp4"
    one, many = pictures(path), pictures(path, threads=threads)
    assert one[0] == many[0]
    assert all(same(a, b) for a, b in zip(one[1], many[1], strict=True))


def test_views_are_read_only_and_outlive_frame_and_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", size=(72, 40))
    with VideoSource(path) as source:
        batch = next(source.batches())
        views, kept = batch.view(0), [plane.copy() for plane in batch.view(0)]
        native: Any = batch.native[0]
    with pytest.raises(ValueError, match="read-only"):
        views[0][0, 0] = 1
    native.make_writable()
    for plane in write_views(native, batch.format):
        plane[...] = 1
    del native, batch, source
    gc.collect()
    pictures(path)
    assert same(views, tuple(kept))


@pytest.mark.parametrize(
    "pixels", ["yuv420p", "yuv420p10le", "yuv422p", "yuv444p", "gray", "nv12", "yuv422p10le"]
)
@pytest.mark.parametrize("size", [(64, 48), (50, 38), (33, 17)])
def test_views_are_the_picture(pixels: str, size: tuple[int, int], tmp_path: Path) -> None:
    width, height = size
    form = probe(make_video(tmp_path / "a.mkv", codec="ffv1", count=1, size=size)).video.format
    form = type(form)(type(form.pixels).of(pixels), width, height, form.time_base)
    frame = next(iter(frames(1, width, height, pixels)))
    for read, raw in zip(read_views(frame, form), write_views(frame, form), strict=True):
        assert np.array_equal(read, raw)
        assert read.dtype == form.pixels.dtype
        raw[0, 0] = 77
        assert raw[0, 0].max() == 77


class _Upturned(bytearray):
    """A plane whose lines run backwards in memory, as some decoders give it."""

    line_size = -8


def test_bottom_up_picture_is_read_top_down() -> None:
    from facefx.video import planes

    rows = np.arange(32, dtype=np.uint8).reshape(4, 8)
    plane: Any = _Upturned(rows.tobytes())
    view = planes._raw_view(plane, (4, 6), np.dtype("u1"))
    assert np.array_equal(view, rows[::-1, :6])


def test_batch_holds_at_most_32_megabytes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", size=(2560, 1440), count=7, options={"crf": "51"})
    with VideoSource(path) as source:
        sizes = [len(batch) for batch in source.batches()]
        assert sizes == [6, 1]
        assert max(sizes) * source.format.frame_bytes <= MAX_BATCH_BYTES


EXCERPTS = [
    ("vfr_640x360.mp4", None, 0.5), ("vfr_640x360.mp4", 0.0, 100.0), ("vfr_640x360.mp4", 1.0, 2.5),
    ("start_offset_3600s_640x360.ts", 1.0, 2.5), ("start_offset_3600s_640x360.ts", 2.95, None),
    ("vp9_opus_640x360.webm", 2.95, None), ("h264_aac_640x360.flv", 1.0, 2.5),
    ("two_audio_640x360.mkv", 1.0, 2.5),
    ("fragmented_640x360.mp4", 2.95, None), ("interlaced_mpeg2_720x576.ts", 1.0, 2.5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "from_s", "to_s"), EXCERPTS)
def test_excerpt_is_the_frames_of_that_time(
    media: Path, name: str, from_s: float | None, to_s: float | None
) -> None:
    path = media / "formats" / name
    start = probe(path).start
    whole = [time - start for time in pictures(path)[0]]
    wanted = [t for t in whole if (from_s is None or t >= from_s) and (to_s is None or t < to_s)]
    with VideoSource(path, from_s=from_s, to_s=to_s) as source:
        base = source.format.time_base
        got = [int(pts) * base - start for batch in source.batches() for pts in batch.pts]
        assert got == wanted
        assert source.damage.decoded == source.damage.expected == len(wanted)


def test_excerpt_has_the_same_pixels_as_the_whole(media: Path) -> None:
    path = media / "formats" / "vfr_640x360.mp4"
    times, planes = pictures(path)
    some_times, some = pictures(path, from_s=3.0, to_s=4.0)
    first = times.index(some_times[0])
    assert all(same(a, b) for a, b in zip(some, planes[first : first + len(some)], strict=True))


@pytest.mark.parametrize(("from_s", "to_s", "words"), [
    (-1.0, None, "0 or more"), (2.0, 1.0, "before --to"), (99.0, None, "behind the end"),
    (None, float("nan"), "--to"),
])  # fmt: skip
def test_impossible_range_is_a_wrong_setting(
    from_s: float | None, to_s: float | None, words: str, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "a.mp4")
    with pytest.raises(ConfigError, match=words):
        VideoSource(path, from_s=from_s, to_s=to_s)


def test_loop_can_be_left_at_any_time(media: Path) -> None:
    before = threading.active_count()
    for stop in (0, 1, 3):
        source = VideoSource(media / "formats" / "vfr_640x360.mp4", threads=2)
        for number, _ in enumerate(source.batches()):
            if number == stop:
                break
        source.close()
        source.close()
    assert threading.active_count() == before


def test_close_from_another_thread_ends_the_loop(media: Path) -> None:
    source = VideoSource(media / "formats" / "vfr_640x360.mp4")
    seen = []
    for batch in source.batches():
        seen.append(len(batch))
        closer = threading.Thread(target=source.close)
        closer.start()
        closer.join()
    assert len(seen) <= 2


def test_batches_can_be_kept_small(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", count=5)
    with VideoSource(path, batch_frames=2) as source:
        assert [len(batch) for batch in source.batches()] == [2, 2, 1]
    with pytest.raises(ConfigError, match=r"1\.\.16"):
        VideoSource(path, batch_frames=17)


def test_source_gives_its_frames_once(tmp_path: Path) -> None:
    with VideoSource(make_video(tmp_path / "a.mp4")) as source:
        list(source.batches())
        with pytest.raises(SourceError, match="once"):
            source.batches()


def _joined(path: Path, *parts: Path) -> Path:
    """Several MPEG-TS files in a row, on one clock."""
    with av.open(str(path), "w") as output:
        stream = output.add_mux_stream("h264", rate=25, width=64, height=48)
        stream.time_base = Fraction(1, 90000)
        shift = 0
        for part in parts:
            with av.open(str(part)) as source:
                packets = [(bytes(p), p.pts or 0, p.dts or 0) for p in source.demux(video=0) if p.size]
            first = min(dts for _, _, dts in packets)
            for data, pts, dts in packets:
                packet = data_packet(stream, data, pts - first + shift, Fraction(1, 90000))
                packet.dts = dts - first + shift
                output.mux(packet)
            shift += 90000
    return path


def test_change_of_size_midway_is_refused(tmp_path: Path) -> None:
    small = make_video(tmp_path / "a.ts", options={"bf": "0"})
    large = make_video(tmp_path / "b.ts", size=(96, 80), options={"bf": "0"})
    path = _joined(tmp_path / "c.ts", small, large)
    words = "expected 64x48 yuv420p throughout, got 96x80"
    with pytest.raises(UnsupportedError, match=words), VideoSource(path, on_damage="keep") as source:
        list(source.batches())


def test_time_that_runs_backwards_is_damage(tmp_path: Path) -> None:
    part = make_video(tmp_path / "a.mkv", options={"bf": "0"})
    info = probe(part)
    log = DamageLog(info.video, (None, None))
    log.packet(10, keyframe=True, discard=False)
    log.frame(10, corrupt=False)
    log.late(5)
    assert log.finish()
    assert log.summary().out_of_order == 1


def test_recording_that_starts_midway_is_no_damage(tmp_path: Path) -> None:
    whole = make_video(
        tmp_path / "a.ts",
        count=24,
        codec="mpeg2video",
        options={"g": "6", "bf": "2"},
        base=Fraction(1, 25),
        step=1,
    )
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.ts"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number >= 3:
                packet.stream = stream
                output.mux(packet)
    with VideoSource(tmp_path / "b.ts") as cut:
        count = sum(len(batch) for batch in cut.batches())
        assert 15 <= count == cut.info.video.frames_expected


def test_frame_without_a_time_follows_the_last_one(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    from facefx.video.decode import Decoder
    from facefx.video.guard import Limits

    info = probe(path)
    decoder = Decoder(path, info, Limits(), 1, DamageLog(info.video, (None, None)))
    frame = av.VideoFrame(64, 48, "yuv420p")
    decoder._last = 5 * STEP
    assert decoder._pts(frame) == 6 * STEP
    assert frame.pts == 6 * STEP
    assert info.video.format.time_base == BASE


def test_reordered_pictures_in_an_avi_keep_their_order(tmp_path: Path) -> None:
    options = {"preset": "veryfast", "bf": "2", "b-adapt": "0", "g": "12"}
    for name in ("a.mkv", "a.avi"):
        make_video(tmp_path / name, count=30, options=options, base=Fraction(1, 25), step=1)
    wanted = pictures(tmp_path / "a.mkv")[1]
    times, got = pictures(tmp_path / "a.avi")
    assert [time - times[0] for time in times] == [Fraction(n, 25) for n in range(30)]
    assert all(same(a, b) for a, b in zip(wanted, got, strict=True))
    part_times, part = pictures(tmp_path / "a.avi", from_s=0.56, to_s=0.8)
    at = times.index(part_times[0])
    assert part_times == [time for time in times if Fraction(14, 25) <= time < Fraction(4, 5)]
    assert all(same(a, b) for a, b in zip(got[at : at + len(part)], part, strict=True))


def test_lost_packet_of_an_avi_does_not_shift_what_follows(tmp_path: Path) -> None:
    options = {"preset": "veryfast", "bf": "2", "b-adapt": "0", "g": "12"}
    path = make_video(tmp_path / "a.avi", count=30, options=options, base=Fraction(1, 25), step=1)
    whole = pictures(path)
    with av.open(str(path)) as container:
        bad = [bytes(packet) for packet in container.demux(video=0) if packet.size][5]
    data = path.read_bytes()
    at = data.index(bad)
    path.write_bytes(data[:at] + bytes(len(bad)) + data[at + len(bad) :])
    times, got = pictures(path, on_damage="keep")
    assert len(times) < 30
    assert times[-1] == whole[0][-1]
    assert same(got[-1], whole[1][-1])


def test_a_batch_does_not_hold_the_pictures_that_its_views_show(media: Path) -> None:
    """Else every changed frame would be copied before it is changed, which costs more than the change."""
    with VideoSource(media / "formats" / "vfr_640x360.mp4") as source:
        batches = list(source.batches())
    first = batches[0]
    kept = first.view(0)
    for i, frame in enumerate(first.native):
        before = frame.planes[0].buffer_ptr  # type: ignore[attr-defined]
        frame.make_writable()  # type: ignore[attr-defined]
        copied = frame.planes[0].buffer_ptr != before  # type: ignore[attr-defined]
        assert copied == (i == 0), "only where somebody still looks at it"
    assert kept[0].any()
