"""However a video is batched or cut into segments, the conclusions are the same, and memory is let go."""

from __future__ import annotations

import gc
from bisect import bisect_left
from fractions import Fraction
from functools import cache
from typing import Any
from weakref import ref

import numpy as np
import pytest
from films import FPS30, SURE, Film, Outcome, Scripted, Seen, analyze, seen, square

from facefx.faces.analyze import FaceAnalyzer, FacePolicy
from facefx.faces.moment import Moment
from facefx.faces.policy import REACH_S
from facefx.values import FaceSource, FrameBatch

HERE = square(80, 48)


def drama(count: int, seed: int) -> dict[int, list[Seen]]:
    """Faces that come, go, fade, hide, jump and leave by the edge, at random."""
    rng = np.random.default_rng(seed)
    table: dict[int, list[Seen]] = {i: [] for i in range(count)}
    for _ in range(count // 25):
        start, length = int(rng.integers(0, count)), int(rng.choice([1, 3, 12, 40, 90, 150]))
        x, y, side = rng.uniform(10, 150), rng.uniform(15, 80), rng.uniform(14, 40)
        vx, vy = rng.normal(0, 0.7, 2)
        blind, weak = rng.integers(start, start + length + 1, 2)
        for i in range(start, min(start + length, count)):
            if rng.random() < 0.01:
                x += rng.uniform(-40, 40)
            x, y = x + vx, y + vy
            gone = blind <= i < blind + 12 or x < -5 or x > 165 or y < -5 or y > 101
            if not gone:
                sure = not (weak <= i < weak + 20) and rng.random() < 0.9
                table[i].append((*square(x, y, side), SURE if sure else float(rng.uniform(0.3, 0.69))))
    return table


def play(count: int, seed: int, pts: list[int] | None = None) -> tuple[Film, dict[int, list[Seen]]]:
    table = drama(count, seed)
    rng = np.random.default_rng(seed + 1000)
    cuts = sorted(int(c) for c in rng.integers(5, count, max(1, count // 100)))
    more: dict[str, Any] = {"painted": table, "cuts": cuts, "drift_px": 0.3}
    if pts is None:
        return Film.steady(count, **more), table
    return Film(pts, Fraction(1, 1000), **more), table


@cache
def reference(kind: str, seed: int) -> tuple[Film, dict[int, list[Seen]], Fraction | None, Outcome]:
    """A whole run of 12 s or so."""
    pts = None
    if kind == "vfr":
        steps = np.random.default_rng(seed).choice([16, 33, 34, 50, 120], 300, p=[0.1, 0.4, 0.3, 0.15, 0.05])
        pts = [int(t) for t in np.cumsum(steps)]
    film, table = play(300 if pts else 360, seed, pts)
    period = None if pts else FPS30
    return film, table, period, analyze(film, table, frame_period=period)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(1,), (3,), (16,), (5, 1, 16, 2)], ids=str)
def test_the_result_does_not_depend_on_batches(sizes: tuple[int, ...], seed: int) -> None:
    film, table, period, whole = reference("steady", seed)
    got = analyze(film, table, sizes=sizes, frame_period=period)
    assert got.order == whole.order == list(range(len(film.pts)))
    for name in ("pts", "track_id", "xyxy", "confidence", "source"):
        one, other = (
            np.concatenate([getattr(faces, name) for _, faces in o.tables], axis=0) for o in (whole, got)
        )
        assert one.dtype == other.dtype
        assert np.array_equal(one, other), name
    assert got.detector.looks == whole.detector.looks
    assert got.stats.to_json() == whole.stats.to_json()


def test_the_drama_shows_everything_that_can_happen() -> None:
    """The comparisons here are worth nothing where nothing happens."""
    stats = [reference(kind, seed)[3].stats for kind in ("steady", "vfr") for seed in range(1, 5)]
    assert all(sum(s.faces[source] for s in stats) > 150 for source in FaceSource)
    assert sum(s.cuts for s in stats) >= 20
    assert all(sum(s.looks[reason] for s in stats) > 0 for reason in stats[0].looks)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["steady", "vfr"])
def test_a_worker_that_starts_two_seconds_early_concludes_the_same(kind: str, seed: int) -> None:
    film, table, period, whole = reference(kind, seed)
    facts = whole.facts(ids=False)
    reach = int(REACH_S / film.time_base)
    for cut in range(70, len(film.pts) - 10, 41):
        start = bisect_left(film.pts, film.pts[cut] - reach)
        got = analyze(film, table, frame_period=period, start=start).facts(ids=False)
        wrong = [i for i in range(cut, len(film.pts)) if got[i] != facts[i]]
        assert wrong == [], f"cut at {cut}, begun at {start}"


@pytest.mark.parametrize("kind", ["steady", "vfr"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_worker_that_ends_two_seconds_late_concludes_the_same(kind: str, seed: int) -> None:
    film, table, period, whole = reference(kind, seed)
    facts = whole.facts()
    reach = int(REACH_S / film.time_base)
    for cut in range(20, len(film.pts) - 80, 61):
        stop = bisect_left(film.pts, film.pts[cut] + reach) + 1
        got = analyze(film, table, frame_period=period, stop=stop).facts()
        assert [i for i in range(cut) if got[i] != facts[i]] == [], f"cut at {cut}, ended at {stop}"


class Owner:
    """Stands for a decoder's frame, whose memory somebody holds."""


@pytest.mark.parametrize("size", [1, 4, 16])
@pytest.mark.parametrize("seed", [1, 2])
def test_frames_are_kept_no_longer_than_said(size: int, seed: int) -> None:
    film, table = play(300, seed)
    policy = FacePolicy()
    analyzer = FaceAnalyzer(Scripted(table), policy, film.format, frame_period=FPS30)
    ahead = int(policy.look_ahead_s / film.time_base)
    owners: dict[int, ref[Owner]] = {}
    for plain in film.batches((size,)):
        native = tuple(Owner() for _ in range(len(plain)))
        owners |= {int(i): ref(owner) for i, owner in zip(plain.index, native, strict=True)}
        batch = FrameBatch(plain.format, plain.planes, plain.pts, plain.index, native)
        newest = int(batch.pts[-1])
        out = analyzer.push(batch)
        del native, batch, plain, out
        gc.collect(0)
        alive = [i for i, owner in owners.items() if owner() is not None]
        # A batch leaves as a whole, when its last frame is final.
        assert newest - film.pts[alive[0]] <= ahead + (size + 1) * 3000
    analyzer.flush()
    gc.collect()
    assert all(owner() is None for owner in owners.values()), "kept after the end"


def test_what_is_remembered_of_a_long_video_is_bounded() -> None:
    film = Film.steady(900)
    analyzer = FaceAnalyzer(Scripted(seen(HERE, range(900))), FacePolicy(), film.format, frame_period=FPS30)
    gc.collect()
    before = sum(isinstance(thing, Moment) for thing in gc.get_objects())
    for batch in film.batches((16,)):
        analyzer.push(batch)
    gc.collect()
    moments = sum(isinstance(thing, Moment) for thing in gc.get_objects()) - before
    assert moments < 150
