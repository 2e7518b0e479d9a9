"""A face that moves evenly is not looked at in every frame, and nobody can tell from its landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle

import numpy as np
import pytest
from mesh_films import MOUTH, SPEC, Puppet, PuppetNet, faces_of, film
from numpy.typing import NDArray

from facefx.faces.crop import Cropper
from facefx.faces.landmarker import FaceLandmarker
from facefx.faces.mesh_track import Missing
from facefx.values import Faces, FrameBatch

PERIOD = Fraction(1, 25)
# By MediaPipe's rule a landmark is where a sample's number is, half a pixel from its middle each way.
NEAR = 0.5 * 2**0.5 + 0.1


def drifting(count: int, step: float = 0.3) -> list[Puppet]:
    return [Puppet(120 + step * i, 100 + 0.1 * i) for i in range(count)]


class Run:
    """One puppet's film, pushed through a new landmarker in batches of these sizes."""

    def __init__(
        self,
        puppets: Sequence[Puppet | None],
        *,
        sizes: Sequence[int] = (16,),
        boxes: Sequence[tuple[float, float, float, float] | None] | None = None,
        tracks: Sequence[int] | None = None,
        pts: Sequence[int] | None = None,
        skip: int = 0,
        **spec: object,
    ) -> None:
        self.puppets = puppets
        self.net = PuppetNet()
        films = [film([puppet] if puppet else []) for puppet in puppets]
        times = np.arange(len(films)) if pts is None else np.array(pts)
        boxes = boxes or [puppet.box if puppet else None for puppet in puppets]
        rows = [[] if box is None else [(tracks[i] if tracks else 0, box)] for i, box in enumerate(boxes)]
        self.landmarker = FaceLandmarker(
            replace(SPEC, **spec),  # type: ignore[arg-type]
            films[0].format,
            net=self.net,
            anchor_pts=int(times[0]),
            frame_period=PERIOD if pts is None else None,
        )
        self.batches: list[tuple[FrameBatch, Faces]] = []
        self.most_held = 0
        start = pushed = skip
        for size in cycle(sizes):
            if start >= len(films):
                break
            part = slice(start, start + size)
            planes = tuple(each.view(0) for each in films[part])
            at = times[part]
            batch = FrameBatch(films[0].format, planes, at, np.arange(len(planes)))
            self.batches += self.landmarker.push(batch, faces_of(rows[part], at))
            start += size
            pushed += len(planes)
            self.most_held = max(self.most_held, pushed - skip - sum(len(batch) for batch, _ in self.batches))
        self.batches += self.landmarker.flush()

    @property
    def landmarks(self) -> NDArray[np.float32]:
        return np.concatenate([faces.landmarks for _, faces in self.batches])

    @property
    def pts(self) -> list[int]:
        return [pts for batch, _ in self.batches for pts in batch.pts.tolist()]

    @property
    def error(self) -> float:
        """The furthest that eyes or mouth lie from where they are painted, in pixels."""
        spots = self.landmarks[:, [33, 263, MOUTH], :2]
        painted = np.array([puppet.spots for puppet in self.puppets if puppet])
        return float(np.linalg.norm(spots - painted, axis=2).max())


@dataclass(frozen=True)
class Talking(Puppet):
    """Its mouth is open: lower than a resting one's by so many pixels."""

    gap: float = 4.0

    @property
    def spots(self) -> NDArray[np.float64]:
        return np.asarray(super().spots + np.array([[0, 0], [0, 0], [0, self.gap]]))


def test_a_face_that_moves_evenly_is_looked_at_in_every_other_frame() -> None:
    run = Run(drifting(33))
    stats = run.landmarker.stats
    assert stats.meshed == 33
    assert stats.between == 16
    # A box knows of no tilt: twice at first, and where it is looked at afresh.
    assert run.net.looks == stats.net_runs == 17 + 2
    assert run.error < NEAR


def test_a_face_that_rests_is_looked_at_once_a_window() -> None:
    run = Run([Puppet(120, 100)] * 33)
    assert run.landmarker.stats.meshed == 33
    assert run.landmarker.stats.between == 28
    assert run.net.looks == 1 + 4 + 2
    assert run.error < NEAR


@pytest.mark.parametrize("at", range(1, 7))
@pytest.mark.parametrize("frames", [1, 2])
def test_a_resting_face_that_opens_its_mouth_for_a_frame_is_seen_with_it_open(at: int, frames: int) -> None:
    """Neither end of the window tells of it, and the middle may not either: the pixels do."""
    puppets = [Puppet(120, 100)] * 25
    for i in range(8 + at, 8 + at + frames):
        puppets[i] = Talking(120, 100)
    run = Run(puppets)
    assert run.error < NEAR
    assert run.net.looks == 1 + 3 + 1 + frames


@pytest.mark.parametrize("at", range(4, 13))
def test_a_mouth_that_opens_a_little_in_a_key_frame_is_open_there_only(at: int) -> None:
    """Both ends of a window may differ by so much and be a rest; what lies between is none the less one of
    them, and not half a mouth for a third of a second.
    """
    puppets = [Puppet(120, 100)] * 25
    for i in range(at, at + 3):
        puppets[i] = Talking(120, 100, gap=1.0)
    run, every = Run(puppets), Run(puppets, leap_s=0.0)
    assert np.abs(run.landmarks - every.landmarks).max() < 0.25
    assert run.landmarker.stats.between > 8


def test_a_face_that_nods_is_looked_at_in_every_frame_of_the_nod() -> None:
    """Two frames, unseen from either key frame, would be drawn where the face is not."""
    puppets = drifting(33)
    for i in (10, 11):
        puppets[i] = replace(puppets[i], y=puppets[i].y + 4)
    run = Run(puppets)
    assert run.error < NEAR
    assert run.landmarker.stats.between == 14  # all but those of two frames on each side
    assert run.net.looks == 33 - 14 + 2, "no look is made in vain"


def test_a_mouth_that_opens_is_seen_though_the_head_moves_evenly() -> None:
    """One point in hundreds moves, so that the mean over all of them hardly does."""

    class Opening(PuppetNet):
        def look(self, crops: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            points, scores = super().look(crops)
            points[:, 17] += 3.0 * (self.looks == 4)  # half way to the next key frame
            return points, scores

    puppets = drifting(9)
    batch = film(*([puppet] for puppet in puppets))
    faces = faces_of([[(0, puppet.box)] for puppet in puppets], batch.pts)
    landmarker = FaceLandmarker(SPEC, batch.format, net=Opening(), frame_period=PERIOD)
    landmarker.push(batch, faces)
    landmarker.flush()
    assert landmarker.stats.between < 4


def test_a_face_that_runs_is_followed_frame_by_frame() -> None:
    run = Run(drifting(25, step=5))
    assert run.landmarker.stats.between == 0
    assert run.net.looks == 25 + 1, "no look is made in vain"
    assert run.error < NEAR


def test_process_answers_at_once_and_looks_at_every_frame() -> None:
    puppets = drifting(16)
    batch = film(*([puppet] for puppet in puppets))
    net = PuppetNet()
    landmarker = FaceLandmarker(SPEC, batch.format, net=net)
    faces = landmarker.process(batch, faces_of([[(0, puppet.box)] for puppet in puppets], batch.pts))
    assert faces.has_landmarks.all()
    assert net.looks == 16 + 1


def test_a_plan_can_ask_for_a_look_at_every_frame() -> None:
    run = Run(drifting(16), leap_s=0.0)
    assert run.net.looks == 16 + 1
    assert run.most_held == 0


@pytest.mark.parametrize("sizes", [(1,), (3, 1, 2), (7,), (5, 11)], ids=str)
def test_landmarks_do_not_depend_on_how_frames_are_batched(sizes: tuple[int, ...]) -> None:
    puppets = drifting(40)
    for i in (13, 22, 23):
        puppets[i] = replace(puppets[i], y=puppets[i].y + 3, tilt=6)
    whole = Run(puppets, smoothing=(1.0, 5.0))
    assert 8 < whole.landmarker.stats.between < 20
    assert np.array_equal(Run(puppets, sizes=sizes, smoothing=(1.0, 5.0)).landmarks, whole.landmarks)


@pytest.mark.parametrize("skip", [5, 6, 7, 8])
def test_a_worker_that_begins_later_uses_the_same_key_frames(skip: int) -> None:
    puppets = drifting(40)
    whole, late = Run(puppets), Run(puppets, skip=skip)
    settled = 8 - skip % 4  # its first key frame, and the one behind it
    assert np.array_equal(late.landmarks[settled:], whole.landmarks[skip + settled :])


def test_between_looks_time_counts_and_not_the_number_of_frames() -> None:
    """Of a phone that drops frames, the line must be followed by pts."""
    pts = [0, 1, 2, 4, 5, 6, 8, 9, 12, 13, 14, 16, 17, 20, 21, 22, 24, 25]
    puppets = [Puppet(120 + 0.4 * at, 100) for at in pts]
    run = Run(puppets, pts=pts)
    assert run.landmarker.stats.between >= 3
    assert run.error < NEAR


@pytest.mark.parametrize(
    ("here", "meshed"),
    [([*range(7), *range(11, 20)], 16), (range(6, 20), 14), (range(11), 11)],
    ids=["away", "comes", "goes"],
)
def test_a_face_that_is_not_in_every_frame_of_a_window_is_not_drawn_through_it(
    here: Sequence[int], meshed: int
) -> None:
    puppets = [puppet if i in here else None for i, puppet in enumerate(drifting(20))]
    run = Run(puppets)
    assert [int(pts) for _, faces in run.batches for pts in faces.pts] == list(here)
    assert run.landmarker.stats.meshed == meshed
    assert run.error < NEAR


@pytest.mark.parametrize(
    ("at", "still"),
    [*((at, True) for at in range(8, 17)), *((at, False) for at in range(8, 17, 2))],
)
def test_a_face_that_is_covered_for_a_moment_gets_nan_and_a_reason(at: int, still: bool) -> None:
    """The tracker holds its box, but there is nothing to draw a mesh on, at whichever place of a window."""
    puppets: list[Puppet | None] = [Puppet(120, 100)] * 25 if still else [*drifting(25)]
    boxes = [puppet.box for puppet in puppets if puppet]
    puppets[at] = None
    run = Run(puppets, boxes=boxes)
    stats = run.landmarker.stats
    assert [i for i, row in enumerate(run.landmarks) if np.isnan(row).any()] == [at]
    assert stats.missing == {Missing.NO_FACE: 1}
    assert stats.faces == stats.meshed + 1
    assert stats.between <= 25 - 1 - 3
    assert run.net.looks >= stats.meshed - stats.between


def test_a_face_whose_pixels_lie_outside_the_picture_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pixels are no evidence, and no error either."""
    monkeypatch.setattr(Cropper, "glimpse", lambda *_: np.zeros((0, 0), np.uint8))
    run = Run([Puppet(120, 100)] * 17)
    assert run.landmarker.stats.meshed == 17
    assert run.landmarker.stats.between == 8


@pytest.mark.parametrize("behind", [5, 7, 8])
def test_nothing_is_drawn_across_a_gap(behind: int) -> None:
    """A camera that stood still for half a second and more: the face is met anew."""
    pts = [*range(behind), behind + 13]
    run = Run([Puppet(120, 100)] * len(pts), pts=pts)
    assert run.landmarker.stats.starts == 2
    assert run.landmarker.stats.between == 0
    assert run.net.looks == len(pts) + 2


def test_nothing_is_drawn_from_one_face_to_another() -> None:
    puppets = drifting(20)
    run = Run(puppets, tracks=[0] * 10 + [1] * 10)
    assert run.landmarker.stats.starts == 2
    assert run.error < NEAR


def test_time_that_runs_backwards_ends_a_window() -> None:
    pts = [*range(9), *range(3, 10)]
    puppets = drifting(16)
    run = Run(puppets, pts=pts)
    assert run.pts == pts
    parts = [Run(puppets[part], pts=pts[part]).landmarks for part in (slice(9), slice(9, 16))]
    assert np.array_equal(run.landmarks[:9], parts[0])
    assert np.abs(run.landmarks[9:] - parts[1]).max() < NEAR
    assert run.landmarker.stats.starts == 2
    assert run.net.looks == 16 - run.landmarker.stats.between + 2


def test_few_frames_are_held_and_none_is_lost() -> None:
    run = Run(drifting(50), sizes=(4,))
    assert run.pts == list(range(50))
    assert run.most_held <= 8 + 4  # a window, and the batch in which it began
    run.landmarker.close()
    assert run.landmarker.flush() == []


def test_frames_without_faces_pass_in_order() -> None:
    run = Run([None] * 21, sizes=(4,))
    assert run.pts == list(range(21))
    assert run.net.looks == 0
