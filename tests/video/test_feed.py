"""A frame of another process is patched in a copy: same bytes, no picture overwritten, no fresh memory."""

from __future__ import annotations

import gc
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from test_pack import first_batch, packets, travelled

from facefx.values import FrameBatch, Patch
from facefx.video.encoder import VideoEncoder
from facefx.video.feed import Feed
from facefx.video.pack import is_lent
from facefx.video.probe import probe
from facefx.video.sink import VideoSink
from facefx.video.source import VideoSource

ALIGNED = "bench_720p.mp4"  # lines that can be lent without a copy


def patches_of(batch: FrameBatch) -> list[Patch]:
    """Two that overlap in every frame but each third."""
    found = []
    for i in set(range(len(batch))) - set(range(2, len(batch), 3)):
        for shift in (0, 12):
            patch = Patch.cut(batch.format, i, batch.view(i), (shift, 4, 40 + shift, 36))
            assert patch is not None
            for plane in patch.planes:
                plane[...] = plane // 2 + shift + i
            found.append(patch)
    return found


def written(source: Path, target: Path, *, travel: bool) -> object:
    info = probe(source)
    with VideoSource(source, info=info) as frames, VideoSink(target, info) as sink:
        for batch in islice(frames.batches(), 2):
            there = travelled(batch) if travel else batch
            sink.write(there, patches_of(there))
        sink.finish()
    return packets(target)


@pytest.mark.parametrize(
    "name",
    [
        "fps2997_640x360.mp4",
        "full_range_640x360.mp4",
        "gray_640x360.mp4",
        "hevc_10bit_640x360.mp4",
        "interlaced_mpeg2_720x576.ts",
        "interlaced_tff_sar_720x576.mp4",
        "not_mult16_642x362.mp4",
        "odd_641x359_h264_444.mp4",
        "prores_422_10bit_480x270.mov",
        "vfr_640x360.mp4",
    ],
)
def test_a_patched_frame_of_another_process_comes_to_the_same_bytes(
    media: Path, tmp_path: Path, name: str
) -> None:
    source = media / "formats" / name
    here = written(source, tmp_path / f"here{source.suffix}", travel=False)
    assert written(source, tmp_path / f"there{source.suffix}", travel=True) == here


class Taker:
    """Takes pictures as an encoder would; one that `keeps` them refers to each until the end."""

    def __init__(self, *, keeps: bool) -> None:
        self.keeps = keeps
        self.addresses: list[int] = []
        self.kept: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []

    def prepare(self, frame: av.VideoFrame, pts: int) -> None: ...

    def encode(self, frame: av.VideoFrame) -> list[Any]:
        self.addresses.append(frame.planes[0].buffer_ptr)
        if self.keeps:
            luma = np.from_dlpack(frame.planes[0])
            self.kept.append((luma, luma.copy()))
        return []


def fed(batch: FrameBatch, taker: Taker) -> Feed:
    feed = Feed(cast(VideoEncoder, taker))
    assert feed.write(batch, patches_of(batch)) == []
    return feed


def test_memory_is_used_again_where_the_encoder_lets_go_of_it(media: Path) -> None:
    batch = travelled(first_batch(media / "formats" / ALIGNED))
    assert all(is_lent(cast(av.VideoFrame, frame)) for frame in batch.native)
    taker = Taker(keeps=False)
    assert fed(batch, taker).patched == 11
    patched = [address for i, address in enumerate(taker.addresses) if i % 3 != 2]
    assert len(set(patched)) == 1


def test_a_picture_that_the_encoder_keeps_is_not_overwritten(media: Path) -> None:
    taker = Taker(keeps=True)
    fed(travelled(first_batch(media / "formats" / ALIGNED)), taker)
    assert all(np.array_equal(luma, then) for luma, then in taker.kept)


def test_the_copy_keeps_no_picture_of_another_process(media: Path) -> None:
    batch = travelled(first_batch(media / "formats" / ALIGNED))
    feed = fed(batch, Taker(keeps=False))
    del batch
    gc.collect()
    frames = [thing for thing in gc.get_objects() if isinstance(thing, av.VideoFrame) and is_lent(thing)]
    assert not frames
    assert feed.frames == 16


def test_what_is_seen_of_a_lent_frame_stays_as_it_came(media: Path) -> None:
    batch = travelled(first_batch(media / "formats" / ALIGNED))
    before = [batch.view(i)[0].copy() for i in range(len(batch))]
    fed(batch, Taker(keeps=False))
    for i, luma in enumerate(before):
        assert np.array_equal(batch.view(i)[0], luma)
