"""The analyzer as a stage: every frame once, in order, bounded, and the same however it is fed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import cycle

import numpy as np
import pytest
from face_scripts import (
    STILL,
    TICKS,
    WALL,
    WIDTH,
    Actor,
    Box,
    Picture,
    Seen,
    analyzer,
    batches,
    nobody,
    plain,
    popping,
    rows,
    run,
    steady,
    through,
    times,
)

from facefx.faces.analyze import FaceAnalyzer
from facefx.faces.looks import Reason
from facefx.faces.policy import FacePolicy
from facefx.values import FaceSource, FrameBatch

FACE = (100.0, 60.0, 140.0, 110.0)


def busy(i: int) -> list[Seen]:
    """Faces that come, go, run, fade, flicker and cross."""
    seen: list[Seen] = []
    if i % 97 < 60:
        seen.append(((30.0 + i % 97 * 2, 40, 66.0 + i % 97 * 2, 84), 0.85))
    if i % 41 > 6:
        seen.append(((220.0 - i % 41, 90, 250.0 - i % 41, 128), 0.9 if i % 5 else 0.45))
    if i % 67 in (20, 21, 22, 50):
        seen.append(((150.0, 20, 180.0, 56), 0.8))
    if i % 89 > 30:
        x = 5 * (i % 89) - 150.0
        seen.append(((x, 120, x + 40, 170), 0.75))
    return seen


def busy_draw(i: int) -> Picture:
    """A cut every 4.6 seconds, a pan in every second shot, and the faces that pop up."""
    shot = i // 137
    ground = STILL if shot % 2 else np.ascontiguousarray(WALL[:, i % 137 * 2 : i % 137 * 2 + WIDTH])
    ground = ground + np.uint8(60 * (shot % 3))
    return popping(range(i, i + 1), (150, 20, 180, 56), ground)(i) if i % 67 in (20, 21, 22, 50) else ground


def cut_up(pts: Sequence[int], sizes: Sequence[int], draw: Callable[[int], Picture]) -> list[FrameBatch]:
    """The clip in batches of these sizes, over and over."""
    singles = batches(pts, draw, 16)
    frames = [batch.select(k, k + 1) for batch in singles for k in range(len(batch))]
    out: list[FrameBatch] = []
    at = 0
    for size in cycle(sizes):
        part = frames[at : at + size]
        if not part:
            return out
        out.append(
            FrameBatch(
                part[0].format,
                tuple(f.planes[0] for f in part),
                np.concatenate([f.pts for f in part]),
                np.concatenate([f.index for f in part]),
            )
        )
        at += size
    return out


def test_all_frames_come_out_once_in_order_and_as_the_very_batches_that_went_in() -> None:
    clip = cut_up(times(200), (16, 1, 3, 7), busy_draw)
    out = through(analyzer(Actor(busy), clip), clip)
    assert [batch for batch, _ in out] == clip
    for batch, faces in out:
        assert all(0 <= frame < len(batch) for frame in faces.frame)
        assert (faces.pts == batch.pts[faces.frame]).all()
        assert (np.diff(faces.frame) >= 0).all()


def test_how_frames_are_batched_changes_nothing() -> None:
    results = []
    for sizes in ((16,), (1,), (3,), (5, 16, 2)):
        clip, detector = cut_up(times(300), sizes, busy_draw), Actor(busy)
        looking = analyzer(detector, clip)
        found = rows(through(looking, clip))
        results.append((found, detector.looked, detector.glanced, looking.stats.to_json()))
    first = results[0][0]
    for found, *rest in results[1:]:
        assert plain(found) == plain(first)
        assert {i: [f.track_id for f in faces] for i, faces in found.items()} == {
            i: [f.track_id for f in faces] for i, faces in first.items()
        }
        assert rest == list(results[0][1:])


@pytest.mark.parametrize("cut_s", [2.0, 2.37, 3.9, 5.0, 7.77])
def test_a_worker_that_starts_two_seconds_early_finds_the_same_boxes(cut_s: float) -> None:
    pts = times(360)
    whole = plain(run(Actor(busy), pts, busy_draw))
    first = next(i for i, t in enumerate(pts) if t >= (cut_s - 2) * TICKS)
    last = min(len(pts), next((i for i, t in enumerate(pts) if t > (cut_s + 4) * TICKS), len(pts)))
    clip = batches(pts[first:last], busy_draw, 7, first)
    part = plain(rows(through(analyzer(Actor(busy), clip, anchor_pts=pts[0]), clip)))
    own = [i for i, t in enumerate(pts) if cut_s * TICKS <= t < (cut_s + 2) * TICKS and i < last]
    assert own
    assert {i: whole.get(i) for i in own} == {i: part.get(i) for i in own}


def test_a_worker_that_starts_at_the_cut_would_not() -> None:
    pts = times(360)
    whole = plain(run(Actor(busy), pts, busy_draw))
    differing = 0
    for first in (60, 71, 117, 150):
        clip = batches(pts[first:], busy_draw, 7, first)
        part = plain(rows(through(analyzer(Actor(busy), clip, anchor_pts=pts[0]), clip)))
        differing += any(whole.get(i) != part.get(i) for i in range(first, first + 60))
    assert differing, "the comparison above must be able to fail"


@pytest.mark.parametrize(("fps", "size"), [(30, 16), (30, 1), (60, 16), (12, 4)])
def test_no_more_frames_are_kept_than_the_look_ahead_and_a_batch(fps: int, size: int) -> None:
    clip, kept, most = batches(times(8 * fps, fps), size=size), 0, 0
    looking = analyzer(Actor(steady(FACE, range(4 * fps))), clip, frame_period=Fraction(1, fps))
    for batch in clip:
        kept += len(batch) - sum(len(done) for done, _ in looking.push(batch))
        most = max(most, kept)
    bound_s = FacePolicy().look_ahead_s + 2 / fps
    assert most <= bound_s * fps + 2 * size
    assert sum(len(batch) for batch, _ in looking.flush()) == kept


def test_frames_that_were_handed_out_are_let_go() -> None:
    clip = batches(times(300))
    looking = analyzer(Actor(steady(FACE, range(300))), clip)
    pictures: list[weakref.ref[Picture]] = []
    for i in range(0, 300, 10):
        planes = tuple((STILL.copy(),) for _ in range(10))
        pictures += [weakref.ref(plane) for (plane,) in planes]
        index = np.arange(i, i + 10, dtype=np.int64)
        looking.push(FrameBatch(clip[0].format, planes, np.array(times(300)[i : i + 10]), index))
        del planes
    gc.collect()
    kept = sum(ref() is not None for ref in pictures)
    assert kept <= (FacePolicy().look_ahead_s + 0.1) * 30 + 20


def test_flush_without_frames_gives_nothing() -> None:
    looking = FaceAnalyzer(Actor(nobody), FacePolicy(), batches(times(1))[0].format)
    assert looking.flush() == []
    assert looking.flush() == []


def test_a_single_frame_is_looked_at() -> None:
    found = run(Actor(steady(FACE, range(1))), times(1))
    assert [face.source for face in found[0]] == [FaceSource.DETECTED]


def test_after_a_flush_it_starts_anew() -> None:
    clip = batches(times(40))
    looking = analyzer(Actor(steady(FACE, range(40))), clip)
    first, second = rows(through(looking, clip)), rows(through(looking, clip))
    assert plain(first) == plain(second)
    assert first[0][0].track_id != second[0][0].track_id


@pytest.mark.parametrize("fps", [1, 5, 12, 60])
def test_clips_of_any_rate_have_every_face_covered(fps: int) -> None:
    frames = max(10, 4 * fps)
    found = run(Actor(steady(FACE, range(frames))), times(frames, fps), frame_period=Fraction(1, fps))
    assert set(found) == set(range(frames))
    assert all(len(faces) == 1 for faces in found.values())


def test_a_variable_rate_clip_has_every_face_covered() -> None:
    rng = np.random.default_rng(5)
    pts = np.cumsum(rng.integers(5, 150, 150)).tolist()

    def script(i: int) -> list[Seen]:
        x = 20 + 30 * (pts[i] - pts[0]) / TICKS % 200
        box: Box = (x, 60, x + 40, 110)
        return [(box, 0.9)]

    found = run(Actor(script), pts, frame_period=None)
    assert set(found) == set(range(150))


def test_the_report_counts_what_a_person_should_review() -> None:
    def script(i: int) -> list[Seen]:
        if i < 60 or i >= 120:
            return []
        return [] if 80 <= i < 92 else [(FACE, 0.9 if i < 105 else 0.5)]

    clip, detector = batches(times(200)), Actor(script)
    looking = analyzer(detector, clip)
    found = rows(through(looking, clip))
    stats = looking.stats
    faces = [face for frame in found.values() for face in frame]
    assert stats.frames == 200
    assert stats.face_frames == len(found)
    assert stats.tracks == 1
    assert {s: stats.faces[s] for s in FaceSource} == {
        s: sum(f.source == s for f in faces) for s in FaceSource
    }
    assert stats.filled_frames == stats.faces[FaceSource.FILLED] > 0
    assert stats.held_frames == stats.faces[FaceSource.HELD] > 0
    assert stats.unsure_frames == sum(f.confidence < 0.7 for f in faces) > 0
    assert 12 / 30 <= stats.longest_gap_s <= 0.7
    assert stats.looks_total == len(detector.looked) + len(detector.glanced)
    assert stats.looks_extra == stats.looks_total - stats.looks[Reason.GRID] > 0
    assert stats.glances == len(detector.glanced)
    told = stats.to_json()
    assert told["faces"]["held"] == stats.faces[FaceSource.HELD]
    assert sum(told["looks"][reason.value] for reason in Reason) == told["looks"]["total"]


def test_what_the_detector_raises_comes_through() -> None:
    def broken(_: int) -> list[Seen]:
        raise RuntimeError("the net is gone")

    clip = batches(times(60))
    with pytest.raises(RuntimeError, match="the net is gone"):
        through(analyzer(Actor(broken), clip), clip)
