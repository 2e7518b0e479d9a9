"""A session with everything that goes wrong in it: what goes out, what is counted, and that it ends."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from live_fakes import Eye, EyeNets, FakeOutput, FakeSource, Out, Running, run, settings, start, stream_format

from facefx.errors import EffectError, SinkError, SourceError, StageError
from facefx.live.session import LiveSession
from facefx.live.stats import LiveStats


def is_black(frame: Out) -> bool:
    return bool((frame.luma == 16).all())


def hides_the_face(frame: Out) -> bool:
    """True where the middle of the face that the eye sees is black."""
    return bool((frame.luma[40:60, 70:90] == 16).all())


def until(condition: Any, timeout_s: float = 10.0) -> None:
    """Wait for what another thread does; fail where it does not."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "it did not happen"
        threading.Event().wait(0.005)


def test_every_frame_of_a_stream_goes_out_with_its_face_hidden() -> None:
    output = FakeOutput()
    report = run(FakeSource(20), output, budget_s=5)
    assert [frame.pts for frame in output.frames] == [round(1000 * i / 30) for i in range(20)]
    assert all(hides_the_face(frame) and not is_black(frame) for frame in output.frames)
    assert report.reason == "the source ended"
    assert (report.stats.frames_in, report.stats.frames_out) == (20, 20)
    assert report.stats.faces == 1
    assert output.closed == 1


@pytest.mark.parametrize("late", ["cover", "drop", "hold"])
def test_a_detector_that_stalls_for_two_seconds_lets_no_raw_frame_out(late: str) -> None:
    eye = Eye(lambda look: time.sleep(2) if look == 10 else None)
    output = FakeOutput()
    report = run(FakeSource(90), output, eye=eye, late=late)
    assert eye.looks > 10
    assert [frame.pts for frame in output.frames if not hides_the_face(frame)] == []
    black = sum(is_black(frame) for frame in output.frames)
    assert (black > 25) == (late == "cover")
    assert report.stats.covered.get("late", 0) == black
    gaps = np.diff([frame.at_s for frame in output.frames])
    assert (gaps.max() < 1.2) == (late == "cover"), "only a covered stream goes on while the detector hangs"


def test_a_stage_that_is_too_slow_costs_frames_and_not_latency() -> None:
    output = FakeOutput()
    report = run(FakeSource(60), output, eye=Eye(lambda look: time.sleep(0.06)))
    stats = report.stats
    assert stats.dropped["overtaken"] > 10
    assert stats.p95_s < 0.8, "where every frame waits for its turn, the last ones are 1.6 s late"
    assert sum(stats.dropped.values()) + stats.frames_out == 60
    assert all(hides_the_face(frame) for frame in output.frames)


def boom(look: int) -> None:
    if look in (5, 6):
        raise RuntimeError("no device")


def test_a_frame_at_which_a_stage_raises_goes_out_black_and_the_next_ones_do_not() -> None:
    output = FakeOutput()
    report = run(FakeSource(12), output, eye=Eye(boom), late="cover", budget_s=5)
    assert sum(is_black(frame) for frame in output.frames) == 2
    assert all(hides_the_face(frame) for frame in output.frames)
    assert report.stats.covered == {"failed": 2}
    assert report.stats.failed == {"detect": 2}
    assert "no device" in report.stats.error


def test_a_beauty_stream_goes_on_without_its_effect_where_a_stage_raises() -> None:
    output = FakeOutput()
    report = run(
        FakeSource(12),
        output,
        eye=Eye(lambda look: boom(5) if look > 1 else None),
        effects=("sharpen",),
        budget_s=5,
    )
    assert len(output.frames) == 12
    assert all(frame.raw for frame in output.frames)
    assert report.stats.failed["detect"] > 0


def test_a_consumer_that_stalls_costs_frames_but_never_shows_a_raw_one_nor_grows_a_queue() -> None:
    pending: list[int] = []

    def stall(written: int) -> None:
        if written == 5:
            time.sleep(1.5)
        pending.append(sum(running.session.stats().pending.values()))

    output = FakeOutput(stall)
    running = start(FakeSource(70), output)
    report = running.join()
    assert all(hides_the_face(frame) for frame in output.frames)
    assert sum(report.stats.dropped.values()) > 20
    assert max(pending) <= 32
    assert report.stats.frames_out + sum(report.stats.dropped.values()) == 70


def test_stop_ends_a_stream_promptly_and_closes_the_output() -> None:
    source, output = FakeSource(10_000), FakeOutput()
    running = start(source, output)
    until(lambda: len(output.frames) > 3)
    began = time.monotonic()
    running.session.stop()
    report = running.join(5)
    assert time.monotonic() - began < 1
    assert report.reason == "stopped"
    assert source.closed.is_set()
    assert output.closed == 1


def test_stop_does_not_wait_for_a_detector_that_hangs() -> None:
    hang, hanging = threading.Event(), threading.Event()

    def stall(look: int) -> None:
        if look == 4:
            hanging.set()
            hang.wait(30)

    output = FakeOutput()
    running = start(FakeSource(10_000), output, eye=Eye(stall))
    assert hanging.wait(10)
    running.session.stop()
    running.join(10)
    hang.set()
    assert output.closed == 1
    assert all(hides_the_face(frame) for frame in output.frames)


def test_an_output_that_fails_ends_the_stream_with_its_error() -> None:
    def fail(written: int) -> None:
        if written == 3:
            raise SinkError("rtmp://x/***: gone")

    output = FakeOutput(fail)
    with pytest.raises(SinkError, match="gone"):
        run(FakeSource(10_000), output)
    assert output.closed == 1


def test_a_bug_in_the_output_ends_the_stream_as_an_error_of_the_tree() -> None:
    def fail(written: int) -> None:
        raise ZeroDivisionError("oops")

    with pytest.raises(StageError, match="facefx-push failed: ZeroDivisionError: oops"):
        run(FakeSource(10_000), FakeOutput(fail))


def test_effects_are_changed_between_two_frames_without_a_gap() -> None:
    output, running = FakeOutput(), list[Running]()

    def change(i: int) -> None:
        if i == 9:
            running[0].session.set_effects(["solid:shape=box,grow=1.5"])

    source = FakeSource(20, then=change)
    running.append(start(source, output, budget_s=5))
    report = running[0].join()
    assert len(output.frames) == 20
    assert all(hides_the_face(frame) for frame in output.frames)
    corner = [bool((frame.luma[26:30, 56:60] == 16).all()) for frame in output.frames]
    assert corner == [False] * 10 + [True] * 10
    assert report.stats.dropped == {}
    assert report.stats.tracks["next"] == 1, "the face kept its number"


def test_effects_that_cannot_be_read_change_nothing() -> None:
    output, running = FakeOutput(), list[Running]()
    errors: list[str] = []

    def change(i: int) -> None:
        if i == 5:
            for wrong in (["no-such-effect"], ["solid:grow=9"], [3]):
                with pytest.raises(EffectError) as caught:
                    running[0].session.set_effects(wrong)  # type: ignore[arg-type]
                errors.append(str(caught.value))

    running.append(start(FakeSource(12, then=change), output))
    running[0].join()
    assert len(errors) == 3
    assert all(hides_the_face(frame) for frame in output.frames)
    assert len(output.frames) == 12


def test_hiding_ends_only_when_it_is_asked_for_and_begins_at_once() -> None:
    output, running = FakeOutput(), list[Running]()

    def change(i: int) -> None:
        if i == 9:
            running[0].session.set_effects(["sharpen"])
        if i == 19:
            running[0].session.set_effects(["solid"])

    running.append(start(FakeSource(30, then=change), output, budget_s=5))
    report = running[0].join()
    hidden = {round(frame.pts * 30 / 1000): hides_the_face(frame) for frame in output.frames}
    assert all(hidden[i] for i in hidden if i < 10 or i >= 20)
    assert not any(hidden[i] for i in hidden if 10 <= i < 20)
    assert set(report.stats.dropped) <= {"changed"}


def test_a_source_that_comes_back_goes_on_with_the_same_tracks_and_time_runs_on() -> None:
    gone = SourceError("rtmp://x/***: the publisher went away")
    sources = [
        FakeSource(10, start_pts=5000, fails=gone, sound_every=5),
        FakeSource(0, refused=SourceError("rtmp://x/***: not published")),
        FakeSource(10, start_pts=0, sound_every=5),
    ]
    output = FakeOutput()
    report = run(sources, output, retry_s=0.05, budget_s=5)
    pts = [frame.pts for frame in output.frames]
    assert len(pts) == 20
    assert pts[:10] == [5000 + round(1000 * i / 30) for i in range(10)]
    assert pts == sorted(set(pts))
    assert [b - pts[10] for b in pts[10:]] == [round(1000 * i / 30) for i in range(10)], (
        "the source's own spacing"
    )
    assert 33 <= pts[10] - pts[9] < 1000
    assert [packet.pts for packet in output.packets] == [pts[0], pts[5], pts[10], pts[15]], (
        "sound is kept in step"
    )
    assert report.stats.reconnects == 1
    assert report.stats.tracks["next"] == 1
    assert all(hides_the_face(frame) for frame in output.frames)


def test_a_source_that_never_appears_is_an_error_once_it_was_awaited() -> None:
    def refused() -> FakeSource:
        return FakeSource(0, refused=SourceError("rtmp://x/***: refused"))

    began = time.monotonic()
    with pytest.raises(SourceError, match="refused"):
        run([refused() for _ in range(50)], FakeOutput(), wait_s=0.3, retry_s=0.05)
    assert 0.3 <= time.monotonic() - began < 3
    with pytest.raises(SourceError, match="refused"):
        run(refused(), FakeOutput(), wait_s=0)


def test_a_source_that_stays_away_ends_the_stream_after_it_lingered() -> None:
    gone = SourceError("rtmp://x/***: went away")
    sources = [FakeSource(5, fails=gone), *(FakeSource(0, refused=gone) for _ in range(50))]
    output = FakeOutput()
    began = time.monotonic()
    report = run(sources, output, linger_s=0.3, retry_s=0.05, budget_s=5)
    assert time.monotonic() - began < 3
    assert report.reason == "the source went away: rtmp://x/***: went away"
    assert output.closed == 1
    assert len(output.frames) == 5


def test_a_source_that_comes_back_with_another_picture_gets_an_output_of_its_own() -> None:
    gone = SourceError("went away")
    sources = iter([FakeSource(5, fails=gone), FakeSource(6, format=stream_format(128, 96))])
    outputs: list[FakeOutput] = []

    def open_output(stream: Any) -> FakeOutput:
        assert all(output.closed for output in outputs), "the old one is closed first"
        outputs.append(FakeOutput())
        return outputs[-1]

    session = LiveSession(
        settings(retry_s=0.01, budget_s=5),
        open_source=lambda: next(sources),
        open_output=open_output,
        nets=EyeNets(Eye()),
    )
    report = session.run()
    assert [len(output.frames) for output in outputs] == [5, 6]
    assert [output.frames[0].luma.shape for output in outputs] == [(96, 160), (96, 128)]
    assert [output.closed for output in outputs] == [1, 1]
    assert all(hides_the_face(frame) for output in outputs for frame in output.frames)
    assert report.stats.reconnects == 1


def test_a_lane_that_comes_back_gives_faces_their_numbers_again() -> None:
    first = run(FakeSource(5), FakeOutput(), budget_s=5).stats
    tracks = {**first.tracks, "next": 8, "faces": [{**face, "track_id": 7} for face in first.tracks["faces"]]}
    again = LiveSession(
        settings(),
        open_source=lambda: FakeSource(5, start_pts=90),
        open_output=lambda stream: FakeOutput(),
        nets=EyeNets(Eye()),
        tracks=tracks,
    ).run()
    assert [face["track_id"] for face in again.stats.tracks["faces"]] == [7]


def parts_s(stats: LiveStats) -> float:
    return sum(h.sum_s for kinds in stats.latency.values() for h in kinds.values())


@pytest.mark.parametrize("slow", ["detect", "encode", "none"])
def test_each_stages_time_stands_under_its_name_and_the_parts_are_the_whole(slow: str) -> None:
    nap = 0.05
    eye = Eye(lambda look: time.sleep(nap) if slow == "detect" else None)
    output = FakeOutput(lambda written: time.sleep(nap) if slow == "encode" else None)
    stats = run(FakeSource(20, period_s=0.1), output, eye=eye).stats
    assert parts_s(stats) == pytest.approx(stats.through.sum_s, rel=0.05)
    assert {h.count for kinds in stats.latency.values() for h in kinds.values()} == {stats.frames_out}
    for stage, kinds in stats.latency.items():
        mean_s = kinds["working"].sum_s / kinds["working"].count
        assert (mean_s >= nap) == (stage == slow), f"{stage}: {mean_s}"


def test_a_preview_shows_what_goes_out_and_never_what_was_hidden() -> None:
    output, running = FakeOutput(), list[Running]()
    seen: list[Any] = []

    def look(i: int) -> None:
        if i == 12:
            seen.append(running[0].session.preview())
            running[0].session.set_effects(["sharpen"])
        if i == 25:
            seen.append(running[0].session.preview())
            running[0].session.set_effects(["solid"])
            seen.append(running[0].session.preview())

    running.append(start(FakeSource(30, then=look), output))
    running[0].join()
    (no_before, hidden), (before, after), at_once = seen
    assert no_before is None
    assert before is not None
    assert {picture.jpeg[:2] for picture in (hidden, before, after)} == {b"\xff\xd8"}
    assert (hidden.width, hidden.height) == (160, 96)
    assert at_once is None, "a frame from before the hiding is not shown after it began"


def test_sound_can_be_left_out() -> None:
    output = FakeOutput()
    run(FakeSource(5, sound_every=1), output, audio="drop")
    assert output.packets == []


def test_what_is_told_is_json_and_numbers_for_an_exporter() -> None:
    import json

    stats = run(FakeSource(5), FakeOutput(), budget_s=5).stats
    told = json.loads(json.dumps(stats.to_json()))
    assert told["frames_out"] == 5
    assert told["through"]["buckets"]["+Inf"] == 5
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in stats.samples()}
    assert samples["facefx_live_frames_total", (("way", "out"),)] == 5
    assert samples["facefx_live_latency_seconds_count", ()] == 5
    assert "secret" not in json.dumps(told)
