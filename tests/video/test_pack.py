"""Frames that change their process: an encoder cannot tell them from the decoder's own."""

from __future__ import annotations

import hashlib
import pickle
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from video_makers import make_video

from facefx.errors import UnsupportedError
from facefx.values import FrameBatch, Patch
from facefx.video.codecs import EncodeSettings
from facefx.video.info import MediaInfo
from facefx.video.pack import PackedBatch, can_pack, can_pack_batch, pack, unpack
from facefx.video.probe import probe
from facefx.video.sink import VideoSink
from facefx.video.source import VideoSource

FRAMES = 40
FORMATS = (
    "av1_640x360.mp4",
    "bench_720p.mp4",
    "fps2997_640x360.mp4",
    "full_range_640x360.mp4",
    "gray_640x360.mp4",
    "h264_aac_640x360.flv",
    "hevc_10bit_640x360.mp4",
    "hevc_10bit_pq_tagged_640x360.mp4",
    "interlaced_mpeg2_720x576.ts",
    "interlaced_tff_sar_720x576.mp4",
    "not_mult16_642x362.mp4",
    "odd_641x359_h264_444.mp4",
    "odd_641x359_vp9.webm",
    "one_frame_640x360.mp4",
    "prores_422_10bit_480x270.mov",
    "rotated90_480x640.mp4",
    "start_offset_3600s_640x360.ts",
    "tiny_64x36.mp4",
    "vfr_640x360.mp4",
)
Packets = list[tuple[int | None, int | None, int | None, str]]


def block(size: int) -> NDArray[np.uint8]:
    """Memory that begins where an object store's buffers do."""
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


def stored(buffer: pickle.PickleBuffer) -> memoryview:
    raw = buffer.raw()
    copy = block(raw.nbytes)
    copy[:] = raw
    return copy.data.toreadonly()


def travelled(batch: FrameBatch) -> FrameBatch:
    """What another process gets: pixels out of band, and read only."""
    buffers: list[pickle.PickleBuffer] = []
    plain = pickle.dumps(pack(batch), 5, buffer_callback=buffers.append)
    assert len(plain) < 16384
    packed: PackedBatch = pickle.loads(plain, buffers=[stored(buffer) for buffer in buffers])
    assert not any(plane.flags.writeable for planes in packed.planes for plane in planes)
    return unpack(packed)


def encoded(info: MediaInfo, target: Path, change: Callable[[FrameBatch], FrameBatch], codec: str) -> Packets:
    fast = {"h264": "ultrafast", "hevc": "ultrafast", "libx264": "ultrafast", "av1": "12", "vp9": "8"}
    preset = fast.get(info.video.codec if codec == "auto" else codec)
    with (
        VideoSource(info.path, info=info) as source,
        VideoSink(target, info, EncodeSettings(codec, preset=preset)) as sink,
    ):
        count = 0
        for batch in source.batches():
            sink.write(change(batch))
            count += len(batch)
            if count >= FRAMES:
                break
        sink.finish()
    return packets(target)


def packets(path: Path) -> Packets:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        head = hashlib.sha256(video.codec_context.extradata or b"").hexdigest()
        found = [
            (packet.pts, packet.dts, packet.duration, hashlib.sha256(bytes(packet)).hexdigest())
            for packet in container.demux(video)
            if packet.size
        ]
    return [(None, None, None, head), *found]


@pytest.mark.parametrize("name", FORMATS)
def test_an_encoder_makes_the_same_bytes_of_rebuilt_frames(media: Path, tmp_path: Path, name: str) -> None:
    info = probe(media / "formats" / name)
    assert can_pack(info)
    native = encoded(info, tmp_path / f"native-{name}", lambda batch: batch, "auto")
    rebuilt = encoded(info, tmp_path / f"rebuilt-{name}", travelled, "auto")
    assert len(native) > 1
    assert rebuilt == native


@pytest.mark.parametrize("codec", ["ffv1", "mpeg2video", "libx264"])
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_the_order_of_fields_reaches_every_encoder_that_writes_it(
    tmp_path: Path, codec: str, order: str
) -> None:
    source = make_video(
        tmp_path / "fields.mkv", size=(64, 64), codec="libx264", options={"x264-params": f"{order}=1"}
    )
    info = probe(source)
    assert info.video.format.field_order
    native = encoded(info, tmp_path / "native.mkv", lambda batch: batch, codec)
    assert encoded(info, tmp_path / "rebuilt.mkv", travelled, codec) == native
    assert encoded(info, tmp_path / "turned.mkv", turned, codec) != native  # the order is in the bytes


def turned(batch: FrameBatch) -> FrameBatch:
    packed = pack(batch)
    return unpack(replace(packed, order=np.array(3 - packed.order, np.uint8)))


def first_batch(path: Path) -> FrameBatch:
    with VideoSource(path) as source:
        return next(source.batches())


def test_pixels_times_and_positions_come_back(media: Path) -> None:
    batch = first_batch(media / "formats" / "odd_641x359_vp9.webm")
    again = travelled(batch)
    assert np.array_equal(again.pts, batch.pts)
    assert np.array_equal(again.index, batch.index)
    for i in range(len(batch)):
        for there, here in zip(again.view(i), batch.view(i), strict=True):
            assert np.array_equal(there, here)
            assert not there.flags.writeable


@pytest.mark.parametrize(
    "name", ["fps2997_640x360.mp4", "odd_641x359_h264_444.mp4", "interlaced_tff_sar_720x576.mp4"]
)
def test_a_patch_is_never_pasted_into_the_pixels_that_others_read(
    media: Path, tmp_path: Path, name: str
) -> None:
    info = probe(media / "formats" / name)
    packed = pack(first_batch(Path(info.path)))
    before = [plane.copy() for planes in packed.planes for plane in planes]
    batch = unpack(packed)
    shapes = batch.format.pixels.plane_shapes(16, 16)
    black = tuple(np.zeros(shape, batch.format.pixels.dtype) for shape in shapes)
    patches = [Patch(batch.format, i, 0, 0, black) for i in range(len(batch))]
    with VideoSink(tmp_path / "out.mkv", info, EncodeSettings("ffv1")) as sink:
        sink.write(batch, patches)
        sink.finish()
    after = [plane for planes in packed.planes for plane in planes]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    with VideoSource(tmp_path / "out.mkv") as source:
        assert not next(source.batches()).view(0)[0][:16, :16].any()


def test_memory_goes_with_the_last_frame(media: Path) -> None:
    packed = pack(first_batch(media / "formats" / "fps2997_640x360.mp4"))
    lines = block(packed.planes[3][0].size).reshape(packed.planes[3][0].shape)
    assert lines.base is not None
    gone = weakref.ref(lines.base)
    planes = [list(frame) for frame in packed.planes]
    planes[3][0] = lines
    batch = unpack(replace(packed, planes=tuple(map(tuple, planes))))
    # In a store all arrays of a batch lie in one block: a number that is kept must keep no pixels.
    assert not np.shares_memory(batch.pts, packed.pts)
    assert not np.shares_memory(batch.index, packed.index)
    frame = batch.native[3]
    del packed, batch, planes, lines
    assert gone() is not None
    del frame
    assert gone() is None


def test_what_cannot_be_put_back_is_named(media: Path) -> None:
    info = probe(media / "formats" / "fps2997_640x360.mp4")
    for names, reason in ((("a53_cc",), "a53_cc"), (("dynamic_hdr_plus", "panscan"), "dynamic_hdr_plus")):
        packing = can_pack(replace(info, video=replace(info.video, side_data=names)))
        assert not packing
        assert packing.reason == f"{reason} beside the pictures cannot be put back"
    known = ("Display Matrix", "displaymatrix", "content_light_level", "sei_unregistered", "Stereo 3D")
    assert can_pack(replace(info, video=replace(info.video, side_data=known)))


def test_a_progressive_frame_in_an_interlaced_stream_is_refused(media: Path) -> None:
    batch = first_batch(media / "formats" / "fps2997_640x360.mp4")
    mixed = replace(batch, format=replace(batch.format, field_order=type(batch.format.field_order)(1)))
    assert "progressive frame" in can_pack_batch(mixed).reason
    with pytest.raises(UnsupportedError, match="cannot change their process"):
        pack(mixed)
