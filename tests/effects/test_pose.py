"""Where a head is: its turn, steady under speech, and glasses and hats that sit where they should."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ar_makers import asset, centroid, disc, head, made, shown, turn, weight
from effect_makers import face, mesh_face, real_face, stream
from numpy.typing import NDArray

from facefx.effects.masks import Mesh
from facefx.effects.pose import View, solve_pose
from facefx.effects.registry import make_spec
from facefx.effects.uv import layout
from facefx.errors import ConfigError, EffectError
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology
from facefx.values import Face, StreamFormat

NAMES = anchors("mediapipe-468")


def pose(format: StreamFormat, someone: Face) -> Any:
    view = View.of(format)
    solved = solve_pose(view.landmarks(someone), view.focal)
    assert solved is not None
    return solved


@pytest.mark.parametrize("pitch", [-25, 0, 30])
@pytest.mark.parametrize("yaw", [-80, -35, 0, 60])
@pytest.mark.parametrize("roll", [-120, -10, 0, 45])
def test_a_known_turn_is_found(pitch: float, yaw: float, roll: float) -> None:
    format = stream("gray", 400, 400)
    someone = head(format, (210, 190), 150, pitch=pitch, yaw=yaw, roll=roll)
    found = pose(format, someone)
    assert found.angles == pytest.approx((pitch, yaw, roll), abs=0.1)
    assert found.size == pytest.approx(150, rel=1e-3)
    assert found.origin[:2] == pytest.approx((210, 190), abs=0.05)


@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 11)])
def test_it_is_the_same_however_the_picture_is_stored(
    rotation: int, mirrored: bool, aspect: Fraction
) -> None:
    format = stream("gray", 400, 400, rotation=rotation, mirrored=mirrored, sample_aspect=aspect)
    found = pose(format, head(format, (200, 190), 140, pitch=12, yaw=25, roll=-8))
    assert found.angles == pytest.approx((12, 25, -8), abs=0.1)
    assert found.size == pytest.approx(140, rel=1e-3)


def test_speech_blinks_and_brows_do_not_move_the_head() -> None:
    format = stream("gray", 400, 400)
    someone = head(format, (200, 200), 150, yaw=20)
    assert someone.landmarks is not None
    moved = someone.landmarks.copy()
    regions = topology("mediapipe-468").regions
    for name in ("lips_outer", "lips_inner"):
        moved[list(regions[name]), 1] += 15
    moved[[NAMES["chin"], NAMES["left_jaw"], NAMES["right_jaw"]], 1] += 20
    for name in ("left_brow", "right_brow"):
        moved[list(regions[name]), 1] -= 8
    moved[[NAMES["left_eye_top"], NAMES["right_eye_top"]], 1] += 5
    before, after = pose(format, someone), pose(format, replace(someone, landmarks=moved))
    assert np.array_equal(before.rotation, after.rotation)
    assert before.size == after.size


def test_noise_of_the_mesh_is_averaged_away() -> None:
    format = stream("gray", 400, 400)
    someone = head(format, (200, 200), 150, yaw=20)
    generator = np.random.default_rng(0)
    assert someone.landmarks is not None
    found = []
    for _ in range(20):
        noisy = someone.landmarks + generator.normal(0, 1, someone.landmarks.shape).astype(np.float32)
        found.append([*pose(format, replace(someone, landmarks=noisy)).angles])
    assert np.std(found, axis=0).max() < 0.3


@pytest.mark.parametrize(
    "still", ["portrait_1.jpg", "glasses_1.jpg", "couple_2.jpg", "man_sofa_1.jpg", "hopper_1.jpg"]
)
def test_the_mean_face_lies_on_real_ones(media: Path, models_dir: Path, still: str) -> None:
    format, _, someone = real_face(media, models_dir, still)
    found = pose(format, someone)
    assert found.size == pytest.approx(Mesh(someone).size, rel=0.06)
    assert someone.landmarks is not None
    away = np.linalg.norm(found.place(layout().shape)[:, :2] - someone.landmarks[:, :2], axis=1) / found.size
    assert away.mean() < 0.03


def test_points_of_the_head_go_to_the_picture_and_back() -> None:
    format = stream("gray", 400, 400)
    someone = head(format, (200, 200), 150, pitch=10, yaw=30, roll=5)
    found = pose(format, someone)
    assert np.abs(found.of_head(View.of(format).landmarks(someone)) - layout().shape).max() < 1e-3
    near, far = found.place(np.array(((0.2, 0, -0.4), (0.2, 0, 0.4)))) - found.origin
    level = replace(found, rotation=np.eye(3))
    near, far = level.place(np.array(((0.2, 0, -0.4), (0.2, 0, 0.4)))) - level.origin
    assert near[0] > 0.2 * 150 > far[0]  # what is nearer appears larger
    assert near[2] < 0 < far[2]


def test_no_pose_where_there_is_no_head() -> None:
    format = stream("gray")
    assert solve_pose(np.zeros((468, 3)), 100.0) is None
    assert solve_pose(View.of(format).landmarks(head(format, (50, 50), 1.0)), 100.0) is None
    with pytest.raises(EffectError, match="face 1 at pts 0: expected landmarks, got none"):
        View.of(format).landmarks(face((0, 0, 9, 9)))
    with pytest.raises(ConfigError, match="dlib-68"):
        View.of(format).landmarks(replace(mesh_face((50, 50), 40), topology="dlib-68"))


def opaque(path: Path, rgb: tuple[int, int, int], size: tuple[int, int] = (100, 40)) -> str:
    rgba = np.full((size[1], size[0], 4), 255, np.uint8)
    rgba[..., :3] = rgb
    return asset(path, rgba)


def lit(effect: Any, format: StreamFormat, someone: Face) -> NDArray[np.float64]:
    return weight(shown(effect, format, None, someone)[0], format.color.luma_range[0])


def test_glasses_sit_on_the_eyes_and_are_as_wide_as_asked(tmp_path: Path) -> None:
    format = stream("yuvj444p", 400, 400)
    someone = head(format, (200, 200), 160)
    effect = made(
        "model", path=opaque(tmp_path / "w.png", (255, 255, 255)), width=0.8, anchor_y=0.5, temples=False
    )
    bright = lit(effect, format, someone)
    x, y = centroid(bright)
    eyes = Mesh(someone).point("left_eye_outer")[1]
    assert x == pytest.approx(200, abs=0.3)
    assert y == pytest.approx(eyes, abs=3)
    wide = (bright > 100).any(axis=0).sum() / 160
    assert wide == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("yaw", [-40, 40])
def test_glasses_turn_with_the_head_and_the_near_half_is_larger(yaw: float, tmp_path: Path) -> None:
    format = stream("yuvj444p", 400, 400)
    rgba = np.full((40, 100, 4), 255, np.uint8)
    rgba[:, :50, :3] = 128
    effect = made("model", path=asset(tmp_path / "halves.png", rgba), temples=False, pitch=0)
    luma = lit(effect, format, head(format, (200, 200), 160, yaw=yaw))
    right, left = ((luma > 100) & (luma < 150)).sum(), (luma > 200).sum()
    near, far = (right, left) if yaw > 0 else (left, right)
    assert near > 1.1 * far
    frontal = lit(effect, format, head(format, (200, 200), 160))
    assert (luma > 60).any(axis=0).sum() < 0.9 * (frontal > 60).any(axis=0).sum()


@pytest.mark.parametrize(("yaw", "least", "most"), [(0, 0, 0.1), (55, 0.05, 0.5)])
def test_the_nose_hides_the_far_lens_in_part(
    yaw: float, least: float, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    format = stream("yuvj444p", 400, 400)
    effect = made("model", path=opaque(tmp_path / "w.png", (255, 255, 255)), temples=False)
    someone = head(format, (200, 200), 160, yaw=yaw)
    bright = lit(effect, format, someone)
    monkeypatch.setattr(type(effect), "_surface", lambda *_: None)
    hidden = 1 - bright.sum() / lit(effect, format, someone).sum()
    assert least <= hidden < most


@pytest.mark.parametrize("yaw", [-35, 35])
def test_only_the_near_temple_is_drawn(yaw: float, tmp_path: Path) -> None:
    format = stream("yuvj444p", 400, 400)
    path = opaque(tmp_path / "w.png", (255, 255, 255))
    someone = head(format, (200, 200), 160, yaw=yaw)
    without = lit(made("model", path=path, temples=False), format, someone)
    more = lit(made("model", path=path), format, someone) - without
    x, _ = centroid(np.maximum(more, 0))
    near, _ = Mesh(someone).point("right_ear" if yaw > 0 else "left_ear")
    assert (more > 50).sum() > 100
    assert abs(x - near) < 50
    frontal = head(format, (200, 200), 160)
    level = lit(made("model", path=path), format, frontal) - lit(
        made("model", path=path, temples=False), format, frontal
    )
    assert (level > 50).sum() < 0.4 * (more > 50).sum()


def test_a_hat_is_above_the_forehead_and_round(tmp_path: Path) -> None:
    format = stream("yuvj444p", 600, 600)
    effect = made("model", path=opaque(tmp_path / "w.png", (255, 255, 255), (100, 60)), kind="hat", width=1.0)
    widths = {}
    for yaw in (0, 60):
        someone = head(format, (300, 350), 160, yaw=yaw)
        bright = lit(effect, format, someone)
        _, y = centroid(bright)
        assert y < Mesh(someone).point("forehead")[1]
        widths[yaw] = (bright > 100).any(axis=0).sum()
    assert widths[60] == pytest.approx(widths[0], rel=0.06)
    tilted = lit(effect, format, head(format, (300, 350), 160, roll=30))
    assert centroid(tilted)[0] > 340


def test_glasses_seen_from_behind_are_not_drawn(tmp_path: Path) -> None:
    format = stream("yuvj444p", 400, 400)
    effect = made("model", path=opaque(tmp_path / "w.png", (255, 255, 255)), temples=False)
    effect.prepare(format, b"")
    assert effect.region(head(format, (200, 200), 160, yaw=60)) is not None
    assert effect.region(head(format, (200, 200), 160, yaw=120)) is None


def test_what_lies_beside_the_asset_is_read_but_what_is_given_wins(tmp_path: Path) -> None:
    path = asset(tmp_path / "cap.png", disc())
    assert make_spec("model", {"path": path}).params["kind"] == "glasses"
    (tmp_path / "cap.yaml").write_text("kind: hat\nwidth: 1.2\nanchor_y: 0.9\n")
    params = make_spec("model", {"path": path, "width": "0.7"}).params
    assert (params["kind"], params["width"], params["anchor_y"]) == ("hat", 0.7, 0.9)
    # Once planned, the file beside it is not needed, and cannot change the plan.
    (tmp_path / "cap.yaml").write_text("kind: glasses\n")
    assert make_spec("model", params).params == params


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: cap", "cap.yaml: parameter 'kind': Input should be 'glasses' or 'hat', got 'cap'"),
        ("size: 3", "cap.yaml: parameter 'size': Extra inputs are not permitted"),
        ("- 1", "expected parameters as NAME: VALUE"),
        ("a: [", "cap.yaml cannot be read"),
        ("sha256: ''", "must not say sha256"),
        ("width: .nan", "parameter 'width'"),
    ],
)
def test_a_wrong_file_beside_the_asset_is_an_error_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = asset(tmp_path / "cap.png", disc())
    (tmp_path / "cap.yaml").write_text(text)
    with pytest.raises(EffectError, match=said) as caught:
        make_spec("model", {"path": path})
    assert "\n" not in str(caught.value)


def test_turns_of_the_makers_are_turns() -> None:
    matrix = turn(10, 20, 30)
    assert np.abs(matrix @ matrix.T - np.eye(3)).max() < 1e-12
    assert np.linalg.det(matrix) == pytest.approx(1)
