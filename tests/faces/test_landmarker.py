"""Landmarks from frame to frame: on the right face, or absent for a reason that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import pytest
from detector_makers import batch_of, read
from mesh_films import MOUTH, SPEC, Puppet, PuppetNet, faces_of, film, paint, run
from numpy.typing import NDArray

from facefx.errors import ConfigError, ModelError, ShapeError, WeightsMismatchError
from facefx.faces.landmarker import FaceLandmarker, choose_landmarker, landmarker_names
from facefx.faces.mesh import FaceMesh
from facefx.faces.mesh_track import Missing, Restart
from facefx.faces.topology import topology
from facefx.models.catalog import get_card
from facefx.models.store import load_session
from facefx.values import Faces, FrameBatch

HERE = Puppet(160, 120)
# By MediaPipe's rule a landmark is where a sample's number is, half a pixel from its middle each way.
NEAR = 0.5 * 2**0.5 + 0.1


def error(faces: Faces, i: int, puppet: Puppet) -> float:
    """The furthest that eyes or mouth lie from where they are painted, in pixels."""
    spots = faces.landmarks[i, [33, 263, MOUTH], :2]
    return float(np.linalg.norm(spots - puppet.spots, axis=1).max())


@pytest.mark.parametrize("tilt", [0, -35, 40, 90, -90, 180, 125])
def test_a_tilted_head_is_seen_upright(tilt: float) -> None:
    puppet = Puppet(160, 120, tilt=tilt)
    faces, landmarker, _ = run([[puppet]] * 3)
    assert landmarker.stats.meshed == 3
    assert max(error(faces, i, puppet) for i in range(3)) < NEAR


def test_a_head_that_turns_is_followed_all_the_way_round() -> None:
    puppets = [Puppet(160, 120, tilt=tilt) for tilt in range(0, 360, 24)]
    faces, landmarker, _ = run([[puppet] for puppet in puppets])
    assert landmarker.stats.meshed == len(puppets)
    assert landmarker.stats.starts == 1
    assert not landmarker.stats.restarts
    assert max(error(faces, i, puppet) for i, puppet in enumerate(puppets)) < NEAR


def test_a_followed_face_is_looked_at_once_a_frame() -> None:
    _, landmarker, net = run([[HERE]] * 10)
    assert net.looks == landmarker.stats.net_runs == 11  # a box knows of no tilt: twice at first


def test_where_to_look_comes_from_the_frame_before_not_from_the_box() -> None:
    moved = [Puppet(160 + 8 * i, 120) for i in range(10)]
    faces, landmarker, _ = run([[p] for p in moved], [[(0, moved[i - i % 5].box)] for i in range(10)])
    assert landmarker.stats.meshed == 10
    assert max(error(faces, i, puppet) for i, puppet in enumerate(moved)) < NEAR


def test_a_mesh_that_stays_behind_is_fetched_to_the_box() -> None:
    there = Puppet(270, 120)
    faces, landmarker, _ = run(
        [[HERE], [HERE, there], [there]], [[(0, HERE.box)], [(0, there.box)], [(0, there.box)]]
    )
    assert landmarker.stats.restarts == {Restart.DRIFTED: 1}
    assert error(faces, 1, there) < NEAR
    assert error(faces, 2, there) < NEAR


def test_a_face_that_jumps_is_found_at_its_box() -> None:
    there = Puppet(60, 60)
    faces, landmarker, _ = run([[HERE], [there]])
    assert landmarker.stats.restarts == {Restart.LOST: 1}
    assert error(faces, 1, there) < NEAR


def test_a_box_without_a_face_gets_nan_and_a_reason() -> None:
    empty = (10.0, 10.0, 60.0, 60.0)
    faces, landmarker, _ = run([[HERE]] * 2, [[(0, HERE.box), (1, empty)]] * 2)
    assert faces.has_landmarks.tolist() == [True, False, True, False]
    assert landmarker.stats.missing == {Missing.NO_FACE: 2}
    assert np.isnan(faces.landmarks[1]).all()


def test_a_box_that_holds_nothing_gets_nan_and_a_reason() -> None:
    faces, landmarker, net = run([[HERE]], [[(0, (50.0, 50.0, 50.0, 90.0)), (1, (90.0, 20.0, 80.0, 10.0))]])
    assert not faces.has_landmarks.any()
    assert landmarker.stats.missing == {Missing.NO_BOX: 2}
    assert net.looks == 0


def test_a_box_beside_the_face_does_not_get_its_mesh() -> None:
    beside = (HERE.x - 20, HERE.y - 60, HERE.x + 100, HERE.y + 60)
    faces, landmarker, _ = run([[HERE]], [[(0, beside)]])
    assert not faces.has_landmarks.any()
    assert landmarker.stats.missing == {Missing.ELSEWHERE: 1}


def test_two_tracks_on_one_face_give_one_mesh() -> None:
    x0, y0, x1, y1 = HERE.box
    shifted = (x0 + 12, y0 + 6, x1 + 12, y1 + 6)
    faces, landmarker, _ = run([[HERE]] * 2, [[(3, shifted), (8, HERE.box)]] * 2)
    assert faces.has_landmarks.tolist() == [False, True, False, True]
    assert landmarker.stats.missing == {Missing.DOUBLE: 2}


def test_an_absent_face_is_not_searched_in_every_position_in_every_frame() -> None:
    empty = (10.0, 10.0, 60.0, 60.0)
    _, _, net = run([[HERE]] * 12, [[(0, empty)]] * 12)
    assert net.looks == 12 + 3 * 2  # 12 frames of 40 ms reach into two quarters of a second


def test_a_face_comes_back_after_it_was_covered() -> None:
    frames = [[HERE], [HERE], [], [], [HERE], [HERE]]
    faces, landmarker, _ = run(frames, [[(0, HERE.box)]] * 6)
    assert faces.has_landmarks.tolist() == [True, True, False, False, True, True]
    assert landmarker.stats.restarts == {Restart.LOST: 1}
    assert error(faces, 5, HERE) < NEAR


def test_every_row_is_accounted_for() -> None:
    empty = (10.0, 10.0, 60.0, 60.0)
    _, landmarker, _ = run([[HERE]] * 3, [[(0, HERE.box), (1, empty), (2, HERE.box)]] * 3)
    stats = landmarker.stats
    assert stats.faces == 9 == stats.meshed + stats.missing.total()
    assert stats.to_json()["missing"] == {"no_face": 3, "elsewhere": 0, "double": 3, "no_box": 0}


def colours(stored: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Where red, blue and green lie in a BGR picture, (3, 2) pixels, a sample being centred on its half."""
    blue, green, red = (stored[..., i].astype(float) for i in range(3))
    found = []
    for mass in (red - np.maximum(green, blue), blue - np.maximum(green, red), green - np.maximum(red, blue)):
        mass = np.clip(mass, 0, None)
        x, y = np.arange(mass.shape[1]) + 0.5, np.arange(mass.shape[0])[:, None] + 0.5
        found.append([(mass * x).sum() / mass.sum(), (mass * y).sum() / mass.sum()])
    return np.array(found)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4, 3)])
def test_a_stored_picture_on_its_side_is_seen_upright(
    rotation: int, mirrored: bool, aspect: Fraction
) -> None:
    """The landmarks come in stored pixels, and the left eye is still the left one."""
    stored = np.rot90(paint([Puppet(150, 100, tilt=15)]), -rotation // 90)
    if mirrored:
        stored = stored[::-1]
    narrow = (round(stored.shape[1] / aspect), stored.shape[0])
    stored = cv2.resize(np.ascontiguousarray(stored), narrow, interpolation=cv2.INTER_AREA)
    batch = batch_of(
        stored, rotation=rotation, mirrored=mirrored, pixels="yuv444p", sample_aspect=Fraction(aspect)
    )
    spots = colours(stored)
    box = (*spots.min(axis=0).tolist(), *spots.max(axis=0).tolist())
    landmarker = FaceLandmarker(SPEC, batch.format, net=PuppetNet())
    faces = landmarker.process(batch, faces_of([[(0, box)]], batch.pts))
    assert np.abs(faces.landmarks[0, [33, 263, MOUTH], :2] - spots).max() < 0.8


@pytest.mark.parametrize("sizes", [(1,), (3, 1, 2), (16,), (7,)], ids=str)
def test_the_result_does_not_depend_on_how_frames_are_batched(sizes: tuple[int, ...]) -> None:
    spec = replace(SPEC, smoothing=(1.0, 5.0))
    frames = [[Puppet(120 + 5 * i, 100 + 2 * i, tilt=7 * i), Puppet(60, 190, 36)] for i in range(16)]
    rows = [[(i, p.box) for i, p in enumerate(puppets)] for puppets in frames]
    whole = film(*frames)
    expected = FaceLandmarker(spec, whole.format, net=PuppetNet()).process(whole, faces_of(rows, whole.pts))
    landmarker = FaceLandmarker(spec, whole.format, net=PuppetNet())
    got, start = [], 0
    for size in cycle(sizes):
        if start >= len(whole):
            break
        part = whole.select(start, start + size)
        got.append(landmarker.process(part, faces_of(rows[start : start + size], part.pts)).landmarks)
        start += size
    assert np.array_equal(np.concatenate(got), expected.landmarks)
    assert expected.has_landmarks.all()


def test_frames_without_faces_pass() -> None:
    faces, landmarker, net = run([[], []], [[], []])
    assert faces.landmarks.shape == (0, 468, 3)
    assert faces.topology == "mediapipe-468"
    assert net.looks == landmarker.stats.faces == 0


def one_by_one(pts: Sequence[int], track: Sequence[int]) -> FaceLandmarker:
    """The same face in frames of these pts, under these track ids."""
    batch = film([HERE])
    landmarker = FaceLandmarker(replace(SPEC, smoothing=(1.0, 5.0)), batch.format, net=PuppetNet())
    for at, track_id in zip(pts, track, strict=True):
        here = FrameBatch(batch.format, batch.planes, np.array([at]), np.zeros(1, np.int64))
        landmarker.process(here, faces_of([[(track_id, HERE.box)]], here.pts))
    return landmarker


@pytest.mark.parametrize(
    ("pts", "track", "starts"),
    [
        ((0, 1, 2), (5, 5, 5), 1),
        ((0, 1, 2), (5, 5, 6), 2),  # a cut: the tracker begins a new face
        ((0, 1, 20), (5, 5, 5), 2),  # a gap of more than half a second
        ((0, 1, 13), (5, 5, 5), 1),  # one of 0.48 s
        ((8, 9, 9), (5, 5, 5), 2),  # time stands still
        ((8, 9, 3), (5, 5, 5), 2),  # time runs backwards
    ],
    ids=["steady", "cut", "gap", "pause", "twice", "backwards"],
)
def test_nothing_links_across_a_cut_a_gap_or_a_step_back(
    pts: tuple[int, ...], track: tuple[int, ...], starts: int
) -> None:
    assert one_by_one(pts, track).stats.starts == starts


def test_faces_that_went_are_forgotten() -> None:
    landmarker = one_by_one(range(300), range(300))
    assert landmarker.stats.starts == 300
    assert len(landmarker._tracks) <= 14  # half a second of frames
    landmarker.close()
    assert len(landmarker._tracks) == 0


def test_what_comes_out_can_be_stored_without_loss() -> None:
    faces, _, _ = run([[Puppet(150.3, 110.7, 41.3)]] * 3, spec=replace(SPEC, smoothing=(1.0, 5.0)))
    steps = faces.landmarks * 64
    assert np.array_equal(steps, np.rint(steps))
    assert faces.landmarks.dtype == np.float32


def test_a_row_that_points_outside_its_batch_is_refused() -> None:
    batch = film([HERE])
    landmarker = FaceLandmarker(SPEC, batch.format, net=PuppetNet())
    with pytest.raises(ShapeError, match="1 frames of their batch"):
        landmarker.process(batch, faces_of([[], [(0, HERE.box)]], np.array([0, 1])))
    with pytest.raises(ShapeError, match="once a frame"):
        landmarker.process(batch, faces_of([[(0, HERE.box), (0, HERE.box)]], batch.pts))


def test_closing_twice_is_harmless() -> None:
    _, landmarker, net = run([[HERE]])
    landmarker.close()
    landmarker.close()
    assert net.closed == 2


def test_the_plan_names_the_very_net() -> None:
    spec = choose_landmarker()
    assert (spec.name, spec.net, spec.topology) == ("facemesh-468", "facemesh-468", "mediapipe-468")
    assert spec.sha256 == get_card("facemesh-468").sha256
    assert "default" in spec.reason
    assert [choose_landmarker(name).topology[-3:] for name in landmarker_names()] == ["468", "478"]


def test_a_plan_with_another_net_is_refused() -> None:
    spec = replace(choose_landmarker("facemesh-478"), sha256="0" * 64)
    with pytest.raises(WeightsMismatchError, match=r"facemesh-478.*0000"):
        FaceLandmarker(spec, film([HERE]).format)


def test_an_unknown_landmarker_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"dlib.*auto, facemesh-468, facemesh-478"):
        choose_landmarker("dlib")


def test_a_closed_net_says_so() -> None:
    batch = film([HERE])
    landmarker = FaceLandmarker(choose_landmarker(), batch.format)
    landmarker.close()
    with pytest.raises(ModelError, match="after it was closed"):
        landmarker.process(batch, faces_of([[(0, HERE.box)]], batch.pts))


def test_a_net_with_another_number_of_points_is_refused() -> None:
    spec = replace(choose_landmarker("facemesh-478"), topology="mediapipe-468")
    batch = film([HERE])
    with pytest.raises(ModelError, match=r"478.*expected.*468"):
        FaceLandmarker(spec, batch.format).process(batch, faces_of([[(0, HERE.box)]], batch.pts))


def test_a_net_that_is_no_mesh_is_refused() -> None:
    with pytest.raises(ModelError, match="is no face mesh"):
        FaceMesh(load_session(get_card("blazeface-short")), topology("mediapipe-468"))


def test_an_unsure_net_is_asked_about_every_turn() -> None:
    """A net that draws an upright mesh on a head that hangs down is less sure of it."""
    batch = film([HERE], [HERE])
    net = PuppetNet()
    net.score = 0.9
    landmarker = FaceLandmarker(SPEC, batch.format, net=net)
    faces = landmarker.process(batch, faces_of([[(0, HERE.box)]] * 2, batch.pts))
    assert faces.has_landmarks.all()
    assert net.looks == 2 + 3 + 1 + 1  # upright, and once more as it lies; three turns; settled; followed
    net.score = 0.49
    late = FrameBatch(batch.format, batch.planes, batch.pts + 2, batch.index)
    assert not landmarker.process(late, faces_of([[(0, HERE.box)]] * 2, late.pts)).has_landmarks.any()


@pytest.mark.parametrize("tilt", range(-45, 46, 15))
@pytest.mark.parametrize("name", landmarker_names())
def test_a_tilted_head_is_not_taken_for_one_that_lies_down(media: Path, name: str, tilt: int) -> None:
    """A box does not tell how a head is turned, and a net draws a mesh on it at many a turn."""
    portrait = read(media / "stills" / "astronaut_1.png")
    turn = cv2.getRotationMatrix2D((230, 97.5), -tilt, 1.6)
    turn[:, 2] += (10, 80)  # from there to the middle
    noise = np.random.default_rng(3).normal(0, 3, (360, 480, 3))
    picture = np.clip(cv2.warpAffine(portrait, turn, (480, 360)) + noise, 0, 255).astype(np.uint8)
    batch = batch_of(picture)
    box = (240.0 - 48, 177.5 - 60, 240.0 + 48, 177.5 + 60)
    faces = FaceLandmarker(choose_landmarker(name), batch.format).process(
        batch, faces_of([[(0, box)]], batch.pts)
    )
    right, left = faces.landmarks[0, [33, 263], :2].astype(float)
    assert np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])) == pytest.approx(tilt, abs=8)
