"""What is kept of a video must not grow with its length: pictures least of all, and numbers sparingly."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest
from fidelity_clips import Clip, Sound, write
from video_makers import make_video

from facefx.video.codecs import EncodeSettings
from facefx.video.damage import DamageLog
from facefx.video.fidelity import verify
from facefx.video.fidelity_scan import scan
from facefx.video.guard import Limits
from facefx.video.passthrough import Passthrough, plan_streams
from facefx.video.probe import probe
from facefx.video.scan import Steps
from facefx.video.timeline import Timeline

TURNED = Clip(rotation=90)  # its pictures say so in side data


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python's collector of cycles off: it comes when it likes, and not for the sake of pixels."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def pictures_alive() -> int:
    return sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that Python takes at most while it works."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("no_collector")
def test_a_check_that_decodes_everything_lets_each_picture_go(tmp_path: Path) -> None:
    source = write(tmp_path / "source.mp4", TURNED)
    output = write(tmp_path / "output.mp4", replace(TURNED, picture_seed=9))
    before = pictures_alive()
    assert verify(source, output, decode="full").ok
    assert pictures_alive() == before


def test_the_step_between_pictures_is_found_without_a_list_of_all_times() -> None:
    def count(packets: int) -> None:
        steps = Steps()
        for number in range(packets):
            steps.add(40 * (number ^ 3))  # four by four in another order, as B-frames lie
        assert not steps.vary()

    assert peak_of(lambda: count(40_000)) < peak_of(lambda: count(400)) + 1000


def test_a_check_keeps_numbers_and_not_objects_of_a_packet(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", Clip(sounds=(Sound(frames=4000),)))
    packets = sum(len(stream.pts) for stream in scan(film).streams)
    base = peak_of(lambda: scan(write(tmp_path / "short.mkv", Clip(sounds=(Sound(frames=4),)))))
    # 36 bytes of times, digest and flags, and what growing arrays keep in hand.
    assert peak_of(lambda: scan(film)) - base < 60 * packets


def test_lost_pictures_are_counted_and_not_kept(tmp_path: Path) -> None:
    video = probe(make_video(tmp_path / "a.mkv", options={"bf": "0"})).video
    log = DamageLog(video, (None, None))

    def lose(packets: int) -> None:
        for number in range(packets):
            log.packet(1000 + 40 * number, keyframe=True, discard=False)

    lose(2000)
    assert peak_of(lambda: lose(30_000)) < 300_000
    log.restart()
    lose(30_000)
    log.frame(1000 + 40 * 29_999, corrupt=False)
    assert log.finish()
    assert log.summary().expected == 30_000
    assert log.summary().first_at_s == float(1000 * video.format.time_base)


def test_a_source_with_nothing_to_copy_is_not_kept_open_a_second_time(tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "a.mp4"))
    plan = plan_streams(info, EncodeSettings(), "mp4")
    copies = Passthrough(info, plan, EncodeSettings(), "mp4", Limits())
    copies.start(Timeline())
    with pytest.raises(AssertionError, match="not open"):  # PyAV's answer for a closed file
        assert copies.source.size
    copies.close()
